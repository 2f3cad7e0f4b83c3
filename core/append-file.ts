/**
 * A file that only grows: bytes are appended at a known offset and flushed, and what a failed write has left
 * is cut off. Tests replace it to make the disk fail.
 *
 * @module
 */
import { open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FlotillaError } from './errors/flotilla-error.ts';
import { secretFileMode, syncFolder } from './atomic-file.ts';

export interface AppendFile {
  append(bytes: Buffer, offset: number): Promise<void>;
  /** Resolves when all that was appended survives a power failure. */
  flush(): Promise<void>;
  truncate(bytes: number): Promise<void>;
  close(): Promise<void>;
}

export type OpenAppendFile = (path: string) => Promise<AppendFile>;

/**
 * Opens a file on the real disk. Creates it, with access for the owner only, when it does not exist.
 *
 * @throws FlotillaError `file-write-failed`
 */
export const openAppendFile: OpenAppendFile = async (path) => {
  const handle = await opened(path);
  return {
    async append(bytes, offset) {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await handle.write(bytes, done, undefined, offset + done);
        done += bytesWritten;
      }
    },
    flush: () => handle.datasync(),
    truncate: (bytes) => handle.truncate(bytes),
    close: () => handle.close(),
  };
};

async function opened(path: string): Promise<FileHandle> {
  try {
    const file = await open(path, 'a+', secretFileMode);
    await file.close();
    await syncFolder(dirname(path));
    return await open(path, 'r+');
  } catch (error) {
    throw new FlotillaError('file-write-failed', { detail: path, cause: error });
  }
}
