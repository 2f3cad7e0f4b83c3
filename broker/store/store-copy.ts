/**
 * Copies an open store to a new file, in small steps, while it is written. Runs on the writing thread, because the
 * store is locked for every other connection.
 *
 * @module
 */
import { closeSync, openSync, rmSync } from 'node:fs';
import * as sqlite from 'node:sqlite';

/** Between two steps the thread commits; a page has 4 KiB. */
const pagesPerStep = 256;

/**
 * The copy contains the transactions that were committed when its last step ran, and is a store like any other.
 *
 * @throws Error when the file exists or cannot be written
 */
export async function copyStore(database: sqlite.DatabaseSync, path: string): Promise<void> {
  closeSync(openSync(path, 'wx', 0o600));
  // Node.js 22.13 to 22.15 have no backup function. VACUUM INTO delays commits until it has finished.
  if (!('backup' in sqlite)) {
    rmSync(path);
    database.prepare('VACUUM INTO ?').run(path);
    return;
  }
  await sqlite.backup(database, path, { rate: pagesPerStep });
}
