/**
 * Files that are whole or not there: written beside, flushed to the disk, renamed, and the folder
 * flushed, so that a crash at any moment leaves the old or the new content.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FlotillaError } from './errors/flotilla-error.ts';

/** Mode of a file that holds a secret. */
export const secretFileMode = 0o600;
/** Mode of a folder that holds secrets. */
export const secretFolderMode = 0o700;

/**
 * Writes a whole file durably: on the disk when the promise resolves.
 *
 * @param mode permission bits, 0600 unless told
 * A crash may leave the file beside: `.{name}.{12 hexadecimal digits}.tmp`, of the same mode. Nothing
 * reads it.
 *
 * @throws FlotillaError `file-write-failed`; the old content, if any, still stands, unless the very
 *   last step failed: then the new one stands, and only its survival of a power cut is not certain.
 */
export async function writeFileAtomic(
  path: string,
  content: string | Uint8Array,
  mode = secretFileMode,
): Promise<void> {
  const folder = dirname(path);
  const beside = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(beside, 'wx', mode);
    try {
      await file.writeFile(content);
      await file.chmod(mode);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
    await syncFolder(folder);
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined);
    throw new FlotillaError('file-write-failed', { detail: path, cause: error });
  }
}

/** Flushes a folder's entries, so that a rename in it survives a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * Makes a folder, and those above it, that only its owner can enter. One that is there already is left
 * as it is: it may be someone else's.
 */
export async function makeSecretFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: secretFolderMode });
}

/**
 * Refuses a secret file that group or others can read.
 *
 * @throws FlotillaError `file-too-open`
 */
export async function assertSecret(path: string): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) {
    throw new FlotillaError('file-too-open', {
      detail: `${path} has mode ${(mode & 0o777).toString(8)}`,
    });
  }
}
