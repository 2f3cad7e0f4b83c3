/**
 * Writes batches to the database and reads queue entries. One transaction may contain many batches. Runs
 * on the writing thread.
 *
 * @module
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { BatchReader, bodyMode, operation } from './batch-format.ts';
import type { QueueRow } from './store-thread.ts';

export class StoreWriter {
  readonly #database: DatabaseSync;
  readonly #statements: Statements;
  #inTransaction = false;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#statements = prepareAll(database);
  }

  /** Writes one batch, in the open transaction or a new one. */
  apply(data: Uint8Array): void {
    if (!this.#inTransaction) {
      this.#statements.begin.run();
      this.#inTransaction = true;
    }
    const reader = new BatchReader(data);
    // The body that the next entries may refer to.
    const inline: Inline = { row: 0, message: null };
    while (!reader.done) this.#apply(reader, inline);
  }

  /** Commits the open transaction. */
  commit(): void {
    if (!this.#inTransaction) return;
    this.#statements.commit.run();
    this.#inTransaction = false;
  }

  /** Discards the open transaction, after an error in it. */
  rollback(): void {
    this.#inTransaction = false;
    // SQLite itself rolls back after some errors.
    if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
  }

  /** Reads queue entries. Entries that do not exist are skipped. */
  read(sequences: Float64Array): QueueRow[] {
    const rows: QueueRow[] = [];
    for (const sequence of sequences) {
      const row = this.#statements.read.get(sequence) as unknown as QueueRow | undefined;
      if (row !== undefined) rows.push(row);
    }
    return rows;
  }

  #apply(reader: BatchReader, inline: Inline): void {
    const code = reader.u8();
    switch (code) {
      case operation.body:
        return this.#body(reader, inline);
      case operation.enqueue:
        return this.#enqueue(reader, inline, true);
      case operation.cancelledEnqueue:
        return this.#enqueue(reader, inline, false);
      default:
        runStatement(code, reader, this.#statements);
    }
  }

  #body(reader: BatchReader, inline: Inline): void {
    const mode = reader.u8();
    const row = reader.f64();
    const message = reader.bytes();
    if (mode === bodyMode.shared) this.#statements.putBody.run(row, message);
    inline.row = mode === bodyMode.inline ? row : 0;
    inline.message = message;
  }

  #enqueue(reader: BatchReader, inline: Inline, write: boolean): void {
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
    if (!write) return;
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

/** The body that was read last, if its only entry contains it. */
interface Inline {
  row: number;
  message: Buffer | null;
}

/** Runs the statements of an operation that is not about bodies or new entries. */
function runStatement(code: number, reader: BatchReader, sql: Statements): void {
  switch (code) {
    case operation.dequeue:
      return void sql.dequeue.run(reader.f64());
    case operation.mark: {
      const sequence = reader.f64();
      return void sql.mark.run(reader.u16(), sequence);
    }
    case operation.release: {
      const sequence = reader.f64();
      return void sql.release.run(reader.u32(), sequence);
    }
    case operation.deleteBody:
      return void sql.deleteBody.run(reader.f64());
    case operation.putIncoming:
      return void sql.putIncoming.run(reader.u32(), reader.u16());
    case operation.deleteIncoming:
      return void sql.deleteIncoming.run(reader.u32(), reader.u16());
    case operation.putRetained:
      return void sql.putRetained.run(reader.text(), reader.bytes());
    case operation.deleteRetained:
      return void sql.deleteRetained.run(reader.text());
    case operation.putSession: {
      const id = reader.u32();
      const client = reader.text();
      const identity = reader.text();
      const version = reader.u8();
      const expiry = reader.u32();
      const times = [timeOf(reader.f64()), timeOf(reader.f64())] as const;
      return void sql.putSession.run(id, client, identity, version, expiry, ...times);
    }
    case operation.deleteSession: {
      const id = reader.u32();
      sql.deleteSession.run(id);
      sql.deleteSubscriptions.run(id);
      return void sql.deleteAllIncoming.run(id);
    }
    case operation.putSubscription:
      return void sql.putSubscription.run(reader.u32(), reader.text(), reader.u8(), reader.u32());
    case operation.deleteSubscription:
      return void sql.deleteSubscription.run(reader.u32(), reader.text());
    case operation.putWill: {
      const client = reader.text();
      const identity = reader.text();
      const delay = reader.u32();
      const times = [timeOf(reader.f64()), timeOf(reader.f64())] as const;
      const fingerprint = reader.text();
      const [due, created] = times;
      const message = reader.bytes();
      return void sql.putWill.run(client, identity, delay, due, message, created, fingerprint);
    }
    case operation.deleteWill:
      return void sql.deleteWill.run(reader.text());
    default:
      throw new RangeError(`unknown operation ${code}`);
  }
}

function timeOf(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}

type Statements = Record<keyof typeof statements, StatementSync>;

function prepareAll(database: DatabaseSync): Statements {
  const prepared = Object.fromEntries(
    Object.entries(statements).map(([name, sql]) => [name, database.prepare(sql)]),
  ) as Statements;
  prepared.read.setReturnArrays(true);
  return prepared;
}

const statements = {
  begin: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',
  putSession: `INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
    identity = excluded.identity, version = excluded.version, expiry = excluded.expiry,
    disconnected = excluded.disconnected, identity_created = excluded.identity_created`,
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
  putWill: 'INSERT OR REPLACE INTO will VALUES (?, ?, ?, ?, ?, ?, ?)',
  deleteWill: 'DELETE FROM will WHERE client = ?',
  read: `SELECT queue.sequence, queue.flags, queue.identifiers,
    coalesce(queue.message, body.message) FROM queue LEFT JOIN body ON body.id = queue.body
    WHERE queue.sequence = ?`,
} as const;
