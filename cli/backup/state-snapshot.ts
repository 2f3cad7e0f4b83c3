/**
 * Copies a state folder into another folder while the services write it, so that the copy is a state that a start
 * accepts: as after a crash at one moment.
 *
 * - **Registry and audit log.** Every commit that is not in the shards yet is in a journal, and a start writes the audit
 *   lines that are missing (enroll/registry/lowdb-registry.ts). Therefore the audit log is copied first, then the registry.
 *   If a checkpoint moved commits from the journals to the shards meanwhile, both are copied again.
 * - **Session store.** A running broker copies it, since no other process can open the file. A stopped one is locked.
 * - **Identities.** A renewal replaces one link. The copy is repeated until the link leads to files of the copy.
 * - **CA.** A rollover writes several files. The copy is repeated when one of them changed meanwhile.
 * - **Other files** are replaced atomically by those who write them.
 *
 * @module
 */
import { constants } from 'node:fs';
import {
  copyFile,
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { basename, dirname, join, relative } from 'node:path';
import { secretFolderMode } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { isMissing } from '../../core/identity-versions.ts';
import type { StateFolder } from '../../core/state-folder.ts';

const attemptsMax = 30;
const retryMs = 200;

export interface SnapshotOptions {
  /** Copies the session store of the broker into a new file, if there is one. */
  readonly copyStore: (path: string) => Promise<void>;
  /** Whether the file with the passphrase of the CA is copied. */
  readonly withPassphrase: boolean;
  /** Called between the copy of the audit log and that of the registry; for tests. */
  readonly between?: () => Promise<void>;
}

/** Nothing of these is part of a state: locks, sockets, unfinished files. */
function isTransient(name: string): boolean {
  return name === 'lock' || name.endsWith('.tmp') || name.endsWith('.lock') || name === '.pending';
}

/**
 * @param folder an empty folder on the same file system
 * @throws FlotillaError `backup-failed` when the state changed during each attempt
 */
export async function snapshotState(
  state: StateFolder,
  folder: string,
  { copyStore, withPassphrase, between }: SnapshotOptions,
): Promise<void> {
  const at = (path: string): string => join(folder, relative(state.root, path));
  for (const path of [state.config, state.policy]) await copyIfThere(path, at(path));
  await stable(at(state.enroll.folder), () => copyEnrollment(state, at, between));
  const { tls, tlsRsa } = state.enroll;
  const { identity, rsaIdentity } = state.broker;
  for (const path of [state.admin, tls, tlsRsa, identity, rsaIdentity]) {
    await stable(at(path), () => copyIdentity(path, at(path)));
  }
  const isSkipped = (name: string): boolean =>
    name === basename(state.ca.passphrase) && !withPassphrase;
  await stable(at(state.ca.folder), async () => {
    const before = await treeState(state.ca.folder);
    await copyTree(state.ca.folder, at(state.ca.folder), isSkipped);
    return (await treeState(state.ca.folder)) === before;
  });
  for (const path of [state.broker.directory, state.broker.fleetPolicy]) {
    await copyIfThere(path, at(path));
  }
  await mkdir(at(state.broker.folder), { recursive: true, mode: secretFolderMode });
  await copyStore(at(state.broker.store));
}

/** Copies until nothing changed meanwhile. `copy` returns whether the copy is complete. */
async function stable(target: string, copy: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    try {
      if (await copy()) return;
    } catch (error) {
      // A file was replaced or deleted between the list and the copy.
      if (!isMissing(error)) throw error;
    }
    await rm(target, { recursive: true, force: true });
    await pause(retryMs);
  }
  throw new FlotillaError('backup-failed', { detail: `${target} changed during each attempt` });
}

async function copyEnrollment(
  state: StateFolder,
  at: (path: string) => string,
  between: SnapshotOptions['between'],
): Promise<boolean> {
  const { folder, audit, registry, crlNumber } = state.enroll;
  if ((await lstatIfThere(folder)) === undefined) return true;
  const before = await checkpointOf(registry);
  await copyTree(audit, at(audit));
  await between?.();
  await copyTree(registry, at(registry), undefined, linkOrCopy);
  // After the lists of the audit log and the registry: a CRL number must never be used twice.
  await copyIfThere(crlNumber, at(crlNumber));
  return (await checkpointOf(registry)) === before;
}

/** Changes with every checkpoint: its manifest, and the numbers of the journals. */
async function checkpointOf(registry: string): Promise<string> {
  const names = (await readdir(registry).catch(() => [])).filter((name) => name.endsWith('.jsonl'));
  const manifest = await readFile(join(registry, 'manifest.json'), 'utf8').catch(() => '');
  return [manifest, ...names.sort()].join('\n');
}

async function copyIdentity(from: string, to: string): Promise<boolean> {
  if ((await lstatIfThere(from)) === undefined) return true;
  await copyTree(from, to);
  const current = join(to, '.current');
  return (await lstatIfThere(current)) === undefined || (await stat(current)).isDirectory();
}

/** Changes with each file that is written below a folder. */
async function treeState(folder: string): Promise<string> {
  const lines: string[] = [];
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  for (const name of names.sort()) {
    const { size, mtimeMs, ino } = await lstat(join(folder, name));
    lines.push(`${name} ${size} ${mtimeMs} ${ino}`);
  }
  return lines.join('\n');
}

/** Copies a folder that may not exist. */
async function copyTree(
  from: string,
  to: string,
  skip: (name: string) => boolean = () => false,
  copy: (from: string, to: string) => Promise<void> = copyOne,
): Promise<void> {
  if ((await lstatIfThere(from)) === undefined) return;
  await mkdir(to, { recursive: true, mode: secretFolderMode });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const { name } = entry;
    if (isTransient(name) || skip(name)) continue;
    const [source, target] = [join(from, name), join(to, name)];
    if (entry.isSymbolicLink()) await symlink(await readlink(source), target);
    else if (entry.isDirectory()) await copyTree(source, target, undefined, copy);
    else if (entry.isFile()) await copy(source, target);
  }
}

/** Files of the registry are replaced, except for the journals, to which lines are appended. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  if (from.endsWith('.jsonl')) return copyOne(from, to);
  await link(from, to).catch((error: unknown) => {
    if (isMissing(error)) throw error;
    return copyOne(from, to);
  });
}

async function copyOne(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_FICLONE);
}

async function copyIfThere(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: secretFolderMode });
  await copyOne(from, to).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
}

async function lstatIfThere(path: string): Promise<{ isDirectory(): boolean } | undefined> {
  return lstat(path).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
}
