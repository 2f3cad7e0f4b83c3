/**
 * The files of a session store that no broker has open.
 *
 * @module
 */
import { constants } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { isMissing } from '../../core/identity-versions.ts';

/** Copies the database and its write-ahead log, as far as they exist. The caller holds the lock of the broker. */
export async function copyClosedStore(from: string, to: string): Promise<void> {
  for (const end of ['', '-wal']) {
    await copyFile(from + end, to + end, constants.COPYFILE_FICLONE).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
    });
  }
}
