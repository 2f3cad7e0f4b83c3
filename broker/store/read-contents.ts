/**
 * Reads the whole database at the start. Runs on the writing thread.
 *
 * @module
 */
import type { DatabaseSync } from 'node:sqlite';
import { BatchWriter } from './batch-format.ts';
import type { RetainedPage, StoreContents } from './store-thread.ts';

/** How many numbers describe one entry in {@link StoreContents.queue}. */
const queueFields = 6;

/** @throws Error of node:sqlite; RangeError when the contents are not consistent */
export function readContents(database: DatabaseSync): StoreContents {
  const all = (sql: string): unknown => {
    const statement = database.prepare(sql);
    statement.setReturnArrays(true);
    return statement.all();
  };
  // Before the upgrade, a file of format 1 does not have these columns.
  const isFirst = formatOf(database) === 1;
  const created = isFirst ? 'NULL' : 'identity_created';
  const fingerprint = isFirst ? 'NULL' : 'fingerprint';
  // The one seam to node:sqlite: the columns have the types of the schema, which is STRICT.
  return {
    sessions: all(
      `SELECT id, client, identity, version, expiry, disconnected, ${created} FROM session ORDER BY id`,
    ) as StoreContents['sessions'],
    subscriptions: all(
      'SELECT session, filter, options, identifier FROM subscription',
    ) as StoreContents['subscriptions'],
    incoming: all('SELECT session, packet FROM incoming') as StoreContents['incoming'],
    queue: readQueue(database),
    wills: all(
      `SELECT client, identity, delay, due, message, ${created}, ${fingerprint} FROM will`,
    ) as StoreContents['wills'],
  };
}

/** The format of an open file. */
export function formatOf(database: DatabaseSync): number {
  return Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
}

/** The memory of one page of retained messages, approximately, and the messages in it at most. */
const pageBytes = 2 * 1024 * 1024;
const pageMessages = 32_768;

/** Reads retained messages in the order of their rows, until a page is full. */
export function readRetained(database: DatabaseSync, afterRow: number): RetainedPage {
  const statement = database.prepare(
    'SELECT rowid, message FROM retained WHERE rowid > ? ORDER BY rowid LIMIT ?',
  );
  statement.setReturnArrays(true);
  const page = new BatchWriter(pageBytes);
  let lastRow = 0;
  // The types of the schema, as in readContents.
  const rows = statement.iterate(afterRow, pageMessages) as unknown as Iterable<
    [number, Uint8Array]
  >;
  for (const [row, message] of rows) {
    page.bytes(message);
    lastRow = row;
    if (page.length >= pageBytes / 2) break;
  }
  return { data: page.take(), lastRow };
}

function readQueue(database: DatabaseSync): Float64Array<ArrayBuffer> {
  const [{ entries } = { entries: 0 }] = database
    .prepare('SELECT count(*) AS entries FROM queue')
    .all();
  const queue = new Float64Array(Number(entries) * queueFields);
  const statement = database.prepare(
    'SELECT sequence, session, state, packet, bytes, coalesce(body, 0) FROM queue ORDER BY sequence',
  );
  statement.setReturnArrays(true);
  let at = 0;
  for (const row of statement.iterate() as unknown as Iterable<number[]>) {
    queue.set(row, at);
    at += queueFields;
  }
  return queue;
}
