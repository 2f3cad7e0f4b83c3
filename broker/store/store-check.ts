/**
 * Checks the database of the durable store without changing it. A running broker locks the file; then a copy
 * is checked.
 *
 * **Consistency of the copy.** First the database is copied, then its write-ahead log. What a checkpoint writes
 * to the database during the copy is also in the log, as long as the log is not begun again: its header then has
 * other salts (https://www.sqlite.org/fileformat2.html, 4.1), and the copy is repeated.
 *
 * @module
 */
import { copyFile, mkdtemp, open, rm, stat, statfs } from 'node:fs/promises';
import type { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isFlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import type { FindingList } from '../../core/integrity/finding.ts';
import { BatchReader, readMessage } from './batch-format.ts';
import { readContents, readRetained } from './read-contents.ts';
import { recover } from './recover.ts';
import { inspectStoreFile } from './store-file.ts';

/** What the database contains. */
export interface CheckedStore {
  readonly sessions: number;
  readonly retained: number;
}

const copiesMax = 5;
/** Messages of SQLite about damage; each can name many pages. */
const faultsMax = 20;

/**
 * Checks pages, indexes, tables and the encoding of every row.
 *
 * @param path `state.broker.store`
 * @param isStopped whether no broker can have the file open: then it is read where it is
 * @returns undefined when there is no database, or it cannot be read
 */
export async function checkStore(
  path: string,
  isStopped: boolean,
  findings: FindingList,
): Promise<CheckedStore | undefined> {
  const [bytes, logBytes] = await Promise.all([sizeOf(path), sizeOf(`${path}-wal`)]);
  if (bytes === undefined) {
    if ((logBytes ?? 0) > 0)
      findings.add('store-damaged', path, 'the file is missing, its log exists');
    return undefined;
  }
  if (bytes === 0) {
    findings.add('store-damaged', path, 'the file is empty');
    return undefined;
  }
  if (isStopped && (logBytes ?? 0) === 0) return inspect(path, path, findings);
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-check-'));
  try {
    await assertSpace(folder, bytes + (logBytes ?? 0));
    const copy = join(folder, 'store.sqlite');
    await copyConsistently(path, copy);
    return inspect(path, copy, findings);
  } catch (error) {
    findings.addError(error, path, 'store-open-failed');
    return undefined;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function inspect(path: string, copy: string, findings: FindingList): CheckedStore | undefined {
  try {
    return inspectStoreFile(copy, (database) => {
      const faults = database.prepare(`PRAGMA integrity_check(${faultsMax})`).all();
      for (const { integrity_check: text } of faults) {
        if (text !== 'ok') findings.add('store-damaged', path, String(text));
      }
      const { sessions } = recover(readContents(database), path);
      return { sessions: sessions.length, retained: readAllRetained(database) };
    });
  } catch (error) {
    const code = isFlotillaError(error) ? error.code : 'store-damaged';
    const detail = (isFlotillaError(error) ? error.detail : undefined) ?? messageOf(error);
    findings.add(code, path, detail.replace(`${copy}: `, ''));
    return undefined;
  }
}

/** @throws RangeError when a message is not one that the store has written */
function readAllRetained(database: DatabaseSync): number {
  let count = 0;
  for (let after = 0; ;) {
    const page = readRetained(database, after);
    if (page.lastRow === 0) return count;
    after = page.lastRow;
    const reader = new BatchReader(page.data);
    for (; !reader.done; count++) readMessage(reader.bytes());
  }
}

async function copyConsistently(path: string, copy: string): Promise<void> {
  for (let left = copiesMax; left > 0; left--) {
    const before = await saltsOf(`${path}-wal`);
    await copyFile(path, copy);
    await copyFile(`${path}-wal`, `${copy}-wal`).catch(async (error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
      await rm(`${copy}-wal`, { force: true });
    });
    const after = await saltsOf(`${path}-wal`);
    if (before.equals(after) && (await saltsOf(`${copy}-wal`)).equals(after)) return;
  }
  throw new Error('the broker writes too much for a consistent copy');
}

/** The salts in the header of a write-ahead log; empty: there is none. */
async function saltsOf(path: string): Promise<Buffer> {
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 16);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch {
    return Buffer.alloc(0);
  }
}

async function assertSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  // SQLite needs a little more for its index of the log.
  if (bavail * bsize < bytes * 1.1) {
    throw new Error(`${folder} has too little space for a copy of ${bytes} bytes; set TMPDIR`);
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}
