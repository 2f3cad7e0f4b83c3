/**
 * The versions of an identity folder (see identity-folder.ts): folders `.identity-{number}-{random}`, and the
 * links that make one of them current.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import {
  chmod,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
} from 'node:fs/promises';
import { join } from 'node:path';
import { secretFileMode, secretFolderMode, syncFolder } from './atomic-file.ts';

export const fileNames = ['key.pem', 'cert.pem', 'chain.pem', 'ca.pem', 'enrollment.json'] as const;
export type FileName = (typeof fileNames)[number];

export const currentName = '.current';

const publicFileMode = 0o644;

/** Writes files into a version of their own, flushed to the disk, or leaves none. @returns its name */
export async function writeVersion(
  folder: string,
  files: ReadonlyMap<FileName, string>,
): Promise<string> {
  const version = versionName((await highestNumber(folder)) + 1);
  const path = join(folder, version);
  await mkdir(path, { mode: secretFolderMode });
  try {
    await chmod(path, secretFolderMode);
    for (const [name, content] of files) await writeFlushed(join(path, name), name, content);
    await syncFolder(path);
    await syncFolder(folder);
  } catch (error) {
    await deleteVersion(folder, version);
    throw error;
  }
  return version;
}

async function writeFlushed(path: string, name: FileName, content: string): Promise<void> {
  const mode = name === 'key.pem' ? secretFileMode : publicFileMode;
  const file = await open(path, 'wx', mode);
  try {
    await file.writeFile(content);
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Deletes a version that was not completed. On a full disk, what failed attempts leave would be the reason why the next
 * one fails.
 */
export async function deleteVersion(folder: string, version: string): Promise<void> {
  await rm(join(folder, version), { recursive: true, force: true }).catch(() => undefined);
}

/** @returns whether the file was not a link through `.current` before */
export async function linkFile(folder: string, version: string, name: FileName): Promise<boolean> {
  if ((await readLink(join(folder, name))) === linkTargetOf(name)) return false;
  await replaceLink(folder, version, name, linkTargetOf(name));
  return true;
}

/**
 * Replaces a file or link by a link, atomically. The temporary link is in the version's folder: one that a
 * crash leaves is deleted with it, and a version that another writer has deleted cannot become current.
 */
export async function replaceLink(
  folder: string,
  version: string,
  name: string,
  target: string,
): Promise<void> {
  const temporary = join(folder, version, `.link-${randomBytes(6).toString('hex')}`);
  await symlink(target, temporary);
  await rename(temporary, join(folder, name));
}

/** Keeps the current version, the one before, and those with higher numbers: other writers make them. */
export async function deleteOldVersions(folder: string): Promise<void> {
  const current = await readLink(join(folder, currentName));
  if (current === undefined) return;
  for (const entry of await readdir(folder)) {
    if (!isVersion(entry) || numberOf(entry) >= numberOf(current) - 1 || entry === current)
      continue;
    const deleted = join(folder, versionName(0));
    // In one step: its writer must not make a version current that is half deleted.
    await rename(join(folder, entry), deleted).catch(() => undefined);
    await rm(deleted, { recursive: true, force: true });
  }
}

export async function highestNumber(folder: string): Promise<number> {
  return Math.max(0, ...(await readdir(folder)).filter(isVersion).map(numberOf));
}

export function versionName(number: number): string {
  return `.identity-${number}-${randomBytes(6).toString('hex')}`;
}

function isVersion(entry: string): boolean {
  return entry.startsWith('.identity-');
}

/** The number of a version; 0 for one of a release that did not number them. */
export function numberOf(version: string): number {
  return Number(/^\.identity-(\d{1,15})-/.exec(version)?.[1] ?? 0);
}

export function linkTargetOf(name: FileName): string {
  return join(currentName, name);
}

/** The target of a symlink; undefined for anything else. */
export async function readLink(path: string): Promise<string | undefined> {
  return readlink(path).catch(() => undefined);
}

export async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** ELOOP is what a link to itself gives. */
export function isMissing(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'ELOOP')
  );
}
