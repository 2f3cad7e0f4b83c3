/**
 * Carries out batches on the database, and reads. One transaction may hold many batches. Runs on the
 * writing thread.
 *
 * @module
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { BatchReader, bodyMode, operation } from './batch-format.ts';
import type { Contents, QueueRow } from './store-thread.ts';

/** Reads everything, for the start. @throws Error of node:sqlite; RangeError for what makes no sense */
export function readContents(database: DatabaseSync): Contents {
  const all = (sql: string): unknown => {
    const statement = database.prepare(sql);
    statement.setReturnArrays(true);
    return statement.all();
  };
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
  // The one seam to node:sqlite: the columns have the types of the schema, which is STRICT.
  return {
    sessions: all(
      'SELECT id, client, identity, version, expiry, disconnected FROM session ORDER BY id',
    ) as Contents['sessions'],
    subscriptions: all(
      'SELECT session, filter, options, identifier FROM subscription',
    ) as Contents['subscriptions'],
    incoming: all('SELECT session, packet FROM incoming') as Contents['incoming'],
    queue,
    retained: (all('SELECT message FROM retained') as [Uint8Array][]).map(([message]) => message),
    wills: all('SELECT client, identity, delay, due, message FROM will') as Contents['wills'],
  };
}

/** Numbers an entry takes in {@link Contents.queue}. */
export const queueFields = 6;

export class StoreWriter {
  readonly #statements: ReturnType<typeof prepareAll>;
  #open = false;

  constructor(database: DatabaseSync) {
    this.#statements = prepareAll(database);
  }

  /** Carries out one batch, in the open transaction or a new one. */
  apply(data: Uint8Array): void {
    if (!this.#open) {
      this.#statements.begin.run();
      this.#open = true;
    }
    const reader = new BatchReader(data);
    // The body that the entries right behind it refer to.
    const inline: Inline = { row: 0, message: null };
    while (!reader.done) this.#step(reader, inline);
  }

  /** Makes durable what was applied. */
  commit(): void {
    if (!this.#open) return;
    this.#statements.commit.run();
    this.#open = false;
  }

  /** Reads entries; those that are not there are left out. */
  read(sequences: Float64Array): QueueRow[] {
    const rows: QueueRow[] = [];
    for (const sequence of sequences) {
      const row = this.#statements.read.get(sequence) as unknown as QueueRow | undefined;
      if (row !== undefined) rows.push(row);
    }
    return rows;
  }

  #step(reader: BatchReader, inline: Inline): void {
    const sql = this.#statements;
    switch (reader.u8()) {
      case operation.body: {
        const mode = reader.u8();
        const row = reader.f64();
        const message = reader.bytes();
        if (mode === bodyMode.shared) sql.putBody.run(row, message);
        inline.row = mode === bodyMode.inline ? row : 0;
        inline.message = message;
        return;
      }
      case operation.enqueue:
        return this.#enqueue(reader, inline, true);
      case operation.cancelledEnqueue:
        return this.#enqueue(reader, inline, false);
      case operation.dequeue:
        sql.dequeue.run(reader.f64());
        return;
      case operation.mark: {
        const sequence = reader.f64();
        sql.mark.run(reader.u16(), sequence);
        return;
      }
      case operation.release: {
        const sequence = reader.f64();
        sql.release.run(reader.u32(), sequence);
        return;
      }
      case operation.deleteBody:
        sql.deleteBody.run(reader.f64());
        return;
      case operation.putIncoming:
        sql.putIncoming.run(reader.u32(), reader.u16());
        return;
      case operation.deleteIncoming:
        sql.deleteIncoming.run(reader.u32(), reader.u16());
        return;
      case operation.putRetained:
        sql.putRetained.run(reader.text(), reader.bytes());
        return;
      case operation.deleteRetained:
        sql.deleteRetained.run(reader.text());
        return;
      case operation.putSession: {
        const id = reader.u32();
        const client = reader.text();
        const identity = reader.text();
        const version = reader.u8();
        sql.putSession.run(id, client, identity, version, reader.u32(), timeOf(reader.f64()));
        return;
      }
      case operation.deleteSession: {
        const id = reader.u32();
        sql.deleteSession.run(id);
        sql.deleteSubscriptions.run(id);
        sql.deleteAllIncoming.run(id);
        return;
      }
      case operation.putSubscription:
        sql.putSubscription.run(reader.u32(), reader.text(), reader.u8(), reader.u32());
        return;
      case operation.deleteSubscription:
        sql.deleteSubscription.run(reader.u32(), reader.text());
        return;
      case operation.putWill: {
        const client = reader.text();
        const identity = reader.text();
        const delay = reader.u32();
        sql.putWill.run(client, identity, delay, timeOf(reader.f64()), reader.bytes());
        return;
      }
      case operation.deleteWill:
        sql.deleteWill.run(reader.text());
        return;
      default:
        throw new RangeError('no such operation');
    }
  }

  #enqueue(reader: BatchReader, inline: Inline, wanted: boolean): void {
    const state = reader.u8();
    const packet = reader.u16();
    const row = reader.f64();
    const session = reader.u32();
    const sequence = reader.f64();
    const flags = reader.u8();
    const bytes = reader.u32();
    let identifiers: string | null = null;
    for (let left = reader.u16(); left > 0; left--) {
      identifiers = identifiers === null ? `${reader.u32()}` : `${identifiers},${reader.u32()}`;
    }
    if (!wanted) return;
    const own = row !== 0 && row === inline.row;
    this.#statements.enqueue.run(
      sequence,
      session,
      state,
      packet,
      flags,
      bytes,
      own || row === 0 ? null : row,
      identifiers,
      own ? inline.message : null,
    );
  }
}

interface Inline {
  row: number;
  message: Buffer | null;
}

function timeOf(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}

function prepareAll(database: DatabaseSync): Record<keyof typeof statements, StatementSync> {
  const prepared = Object.fromEntries(
    Object.entries(statements).map(([name, sql]) => [name, database.prepare(sql)]),
  ) as Record<keyof typeof statements, StatementSync>;
  prepared.read.setReturnArrays(true);
  return prepared;
}

const statements = {
  begin: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',
  putSession: `INSERT INTO session VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
    identity = excluded.identity, version = excluded.version, expiry = excluded.expiry,
    disconnected = excluded.disconnected`,
  deleteSession: 'DELETE FROM session WHERE id = ?',
  deleteSubscriptions: 'DELETE FROM subscription WHERE session = ?',
  deleteAllIncoming: 'DELETE FROM incoming WHERE session = ?',
  putSubscription: 'INSERT OR REPLACE INTO subscription VALUES (?, ?, ?, ?)',
  deleteSubscription: 'DELETE FROM subscription WHERE session = ? AND filter = ?',
  putBody: 'INSERT INTO body VALUES (?, ?)',
  deleteBody: 'DELETE FROM body WHERE id = ?',
  enqueue: 'INSERT INTO queue VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
  mark: 'UPDATE queue SET state = 1, packet = ? WHERE sequence = ?',
  release: 'UPDATE queue SET state = 2, bytes = ?, body = NULL, message = NULL WHERE sequence = ?',
  dequeue: 'DELETE FROM queue WHERE sequence = ?',
  putIncoming: 'INSERT OR IGNORE INTO incoming VALUES (?, ?)',
  deleteIncoming: 'DELETE FROM incoming WHERE session = ? AND packet = ?',
  putRetained: 'INSERT OR REPLACE INTO retained VALUES (?, ?)',
  deleteRetained: 'DELETE FROM retained WHERE topic = ?',
  putWill: 'INSERT OR REPLACE INTO will VALUES (?, ?, ?, ?, ?)',
  deleteWill: 'DELETE FROM will WHERE client = ?',
  read: `SELECT queue.sequence, queue.flags, queue.identifiers,
    coalesce(queue.message, body.message) FROM queue LEFT JOIN body ON body.id = queue.body
    WHERE queue.sequence = ?`,
} as const;
