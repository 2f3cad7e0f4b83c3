/**
 * Temporary files that an interrupted write has left in a state folder.
 *
 * @module
 */
import { readdir, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { currentName, numberOf } from '../identity-versions.ts';
import type { FindingList } from './finding.ts';

/** A file that is younger may belong to a write that is not complete yet, in ms. */
const leftoverMinMs = 60_000;

/**
 * Names of temporary files: of atomic writes, of locks, of a new session store, of links in an identity folder,
 * and of the key of an interrupted renewal.
 */
const temporary = [
  /^\..+\.[0-9a-f]{12}\.tmp$/,
  /^(?:lock|.+\.lock)\.[0-9a-f]{24}(?:\.old)?$/,
  /^store\.sqlite\.new(?:-wal|-shm|-journal)?$/,
  /^\.link-[0-9a-f]{12}$/,
  /^\.creating$/,
  /^\.identity-0-/,
];

/** Whether this is the name of a temporary file. */
export function isTemporaryName(name: string): boolean {
  return temporary.some((pattern) => pattern.test(name));
}

/**
 * Finds temporary files below a folder.
 *
 * @param nowMs the time by the clock of the file system
 * @param isRunning whether a process uses the folder: then young files are not reported
 */
export async function checkLeftovers(
  root: string,
  nowMs: number,
  isRunning: boolean,
  findings: FindingList,
): Promise<void> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  for (const { name, parentPath } of entries) {
    const path = join(parentPath, name);
    const isLeft = isTemporaryName(name) || (await isUnusedVersion(parentPath, name));
    if (!isLeft || (isRunning && (await isYoung(path, nowMs)))) continue;
    findings.add('leftover-file', path, 'a write was interrupted');
  }
}

/** Whether a version of an identity is older than the one before the current one. */
async function isUnusedVersion(folder: string, name: string): Promise<boolean> {
  if (!name.startsWith('.identity-')) return false;
  const current = await readlink(join(folder, currentName)).catch(() => undefined);
  if (current === undefined) return false;
  // A version with a higher number was written, but did not become current.
  return numberOf(name) < numberOf(current) - 1 || numberOf(name) > numberOf(current);
}

async function isYoung(path: string, nowMs: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found === undefined || nowMs - found.mtimeMs < leftoverMinMs;
}
