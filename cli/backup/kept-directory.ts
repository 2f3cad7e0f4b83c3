/**
 * The directory of the broker during a restore: with that of the backup, nobody would know which devices were revoked
 * since then. A broker on another machine has its newer one, and the service compares it with the registry.
 *
 * @module
 */
import { access, copyFile, rm } from 'node:fs/promises';
import { DirectoryFile } from '../../broker/feed/directory-file.ts';
import { syncFolder } from '../../core/atomic-file.ts';
import { isMissing } from '../../core/identity-versions.ts';
import type { StateFolder } from '../../core/state-folder.ts';

/**
 * Copies the directory of a state into an unpacked backup with a broker.
 *
 * @returns whether there was one
 * @throws Error of the file system
 */
export async function keepDirectory(before: StateFolder, unpacked: StateFolder): Promise<boolean> {
  const from = new DirectoryFile(before.broker.directory);
  const hasBroker = await access(unpacked.broker.folder).then(
    () => true,
    () => false,
  );
  if (!hasBroker || (await from.read()) === undefined) return false;
  const to = new DirectoryFile(unpacked.broker.directory).paths;
  for (const part of ['snapshot', 'changes', 'earlier'] as const) {
    await rm(to[part], { force: true });
    await copyFile(from.paths[part], to[part]).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
    });
  }
  await syncFolder(unpacked.broker.folder);
  return true;
}
