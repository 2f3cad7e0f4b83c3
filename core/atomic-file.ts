/**
 * Atomic file writes: a temporary file is written, flushed to the disk and renamed, and the folder is
 * flushed, so that a crash at any moment leaves either the old or the new content.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { FlotillaError } from './errors/flotilla-error.ts';

/** Mode of a file that holds a secret. */
export const secretFileMode = 0o600;
/** Mode of a folder that holds secrets. */
export const secretFolderMode = 0o700;

/**
 * Writes a file durably and atomically: the content is on the disk when the promise resolves.
 *
 * A crash may leave the temporary file `.{name}.{12 hexadecimal digits}.tmp`, which has the same mode and
 * is never read.
 *
 * @param content the whole content, or the chunks of it
 * @param mode permission bits (default: 0600)
 * @throws FlotillaError `file-write-failed`. The old content, if any, is unchanged, unless the last step
 *   failed: then the file has the new content, which may be lost if the machine loses power.
 */
export async function writeFileAtomic(
  path: string,
  content: string | Uint8Array | AsyncIterable<string>,
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

/** Flushes the entries of a folder, so that a rename in it survives a power failure. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * Creates a folder, and its parents, with access for the owner only. The mode of an existing folder is
 * not changed: it may belong to someone else.
 *
 * @throws FlotillaError `file-write-failed`
 */
export async function makeSecretFolder(path: string): Promise<void> {
  try {
    await makeFolders(resolve(path));
  } catch (error) {
    throw new FlotillaError('file-write-failed', { detail: path, cause: error });
  }
}

/** Like `mkdir` with `recursive`, which never ends in a file system such as /proc, where no folder can be made. */
async function makeFolders(path: string, isRetry = false): Promise<void> {
  try {
    await mkdir(path, { mode: secretFolderMode });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const parent = dirname(path);
    if (code === 'ENOENT' && !isRetry && parent !== path) {
      await makeFolders(parent);
      return makeFolders(path, true);
    }
    if (!(await stat(path).catch(() => undefined))?.isDirectory()) throw error;
  }
}
