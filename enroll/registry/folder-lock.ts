/**
 * One process at a time writes a registry folder.
 *
 * @module
 */
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { secretFileMode } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

/** Folders that this process holds: its own process id in a lock file may be that of a life before. */
const held = new Set<string>();

/**
 * Takes the lock, also from a process that no longer lives. Gives what releases it.
 *
 * @throws FlotillaError `registry-locked`
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, 'lock');
  if (held.has(path)) throw new FlotillaError('registry-locked', { detail: path });
  held.add(path);
  try {
    for (let left = 3; ; left--) {
      try {
        const file = await open(path, 'wx', secretFileMode);
        await file.writeFile(`${process.pid}\n`);
        await file.close();
        break;
      } catch (error) {
        if (left === 0 || !(error instanceof Error && 'code' in error && error.code === 'EEXIST')) {
          throw error;
        }
        const owner = Number(await readFile(path, 'utf8').catch(() => ''));
        if (owner !== process.pid && lives(owner)) {
          throw new FlotillaError('registry-locked', { detail: `${path}, process ${owner}` });
        }
        await rm(path, { force: true });
      }
    }
  } catch (error) {
    held.delete(path);
    throw error;
  }
  return async () => {
    await rm(path, { force: true });
    held.delete(path);
  };
}

function lives(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
