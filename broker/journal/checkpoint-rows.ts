/**
 * Reads the rows of a checkpoint from the local file, as the operations that write them again. The formats are those of
 * broker/store/batch-format.ts, so that a checkpoint is replayed like the journal.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { BatchWriter, bodyMode, operation } from '../store/batch-format.ts';
import { rowKind } from './journal-tables.ts';
import type { TouchedRows } from './touched-rows.ts';

/** A row as it is now. */
export interface CheckpointRow {
  readonly kind: number;
  readonly key: Buffer;
  /** Undefined: the row does not exist any more. */
  readonly operations: Uint8Array | undefined;
}

/** A key in an index of PostgreSQL has a limit of about 2,700 bytes. */
const keyTextMaxBytes = 1024;
/** The number of a body that is part of its only entry. A row of its own has a positive number. */
const inlineRow = -1;

type Cells = readonly (number | string | Uint8Array | null)[];

/** The rows that were touched, one after the other. The file must not change meanwhile. */
export function* checkpointRows(
  database: DatabaseSync,
  touched: TouchedRows,
): Generator<CheckpointRow> {
  const find = (sql: string): StatementSync => {
    const statement = database.prepare(sql);
    statement.setReturnArrays(true);
    return statement;
  };
  const rowOf = (
    [kind, encode]: Encoding,
    key: Buffer,
    statement: StatementSync,
    ...values: (number | string)[]
  ): CheckpointRow => {
    // The types of the schema, which is STRICT.
    const cells = statement.get(...values) as unknown as Cells | undefined;
    if (cells === undefined) return { kind, key, operations: undefined };
    const batch = new BatchWriter(256);
    encode(batch, new CellReader(cells));
    return { kind, key, operations: batch.take() };
  };
  const session = find('SELECT * FROM session WHERE id = ?');
  for (const id of touched.sessions) yield rowOf(encodings.session, numberKey(id), session, id);
  const subscription = find('SELECT * FROM subscription WHERE session = ? AND filter = ?');
  for (const [id, filters] of touched.subscriptions) {
    for (const filter of filters) {
      const key = Buffer.concat([numberKey(id), textKey(filter)]);
      yield rowOf(encodings.subscription, key, subscription, id, filter);
    }
  }
  const incoming = find('SELECT * FROM incoming WHERE session = ? AND packet = ?');
  for (const [id, packets] of touched.incoming) {
    for (const packet of packets) {
      const key = Buffer.concat([numberKey(id), Buffer.from([packet >> 8, packet & 0xff])]);
      yield rowOf(encodings.incoming, key, incoming, id, packet);
    }
  }
  const body = find('SELECT id, message FROM body WHERE id = ?');
  for (const row of touched.bodies.keys()) yield rowOf(encodings.body, longKey(row), body, row);
  const entry = find('SELECT * FROM queue WHERE sequence = ?');
  for (const sequence of touched.queue.keys()) {
    yield rowOf(encodings.queue, longKey(sequence), entry, sequence);
  }
  const retained = find('SELECT topic, message FROM retained WHERE topic = ?');
  for (const topic of touched.retained) {
    yield rowOf(encodings.retained, textKey(topic), retained, topic);
  }
  const will = find('SELECT * FROM will WHERE client = ?');
  for (const client of touched.wills) yield rowOf(encodings.will, textKey(client), will, client);
}

type Encoding = readonly [kind: number, encode: (batch: BatchWriter, cells: CellReader) => void];

/** The columns are in the order of broker/store/schema.ts. */
const encodings = {
  session: [rowKind.session, encodeSessionRow],
  subscription: [rowKind.subscription, encodeSubscriptionRow],
  incoming: [
    rowKind.incoming,
    (batch, cells) => {
      batch.u8(operation.putIncoming);
      batch.u32(cells.number());
      batch.u16(cells.number());
    },
  ],
  body: [
    rowKind.body,
    (batch, cells) => {
      batch.u8(operation.body);
      batch.u8(bodyMode.shared);
      batch.f64(cells.number());
      batch.bytes(cells.bytes());
    },
  ],
  queue: [rowKind.queue, encodeQueueRow],
  retained: [
    rowKind.retained,
    (batch, cells) => {
      batch.u8(operation.putRetained);
      batch.text(cells.text());
      batch.bytes(cells.bytes());
    },
  ],
  will: [rowKind.will, encodeWillRow],
} as const satisfies Record<string, Encoding>;

function encodeSessionRow(batch: BatchWriter, cells: CellReader): void {
  batch.u8(operation.putSession);
  batch.u32(cells.number());
  batch.text(cells.text());
  batch.text(cells.text());
  batch.u8(cells.number());
  batch.u32(cells.number());
  batch.f64(cells.time());
  batch.f64(cells.time());
}

function encodeSubscriptionRow(batch: BatchWriter, cells: CellReader): void {
  batch.u8(operation.putSubscription);
  batch.u32(cells.number());
  batch.text(cells.text());
  batch.u8(cells.number());
  batch.u32(cells.number());
}

function encodeQueueRow(batch: BatchWriter, cells: CellReader): void {
  const sequence = cells.number();
  const session = cells.number();
  const state = cells.number();
  const packet = cells.number();
  const flags = cells.number();
  const bytes = cells.number();
  const body = cells.optional(() => cells.number());
  const identifiers = cells.optional(() => cells.text().split(',').map(Number)) ?? [];
  const message = cells.optional(() => cells.bytes());
  if (message !== undefined) {
    batch.u8(operation.body);
    batch.u8(bodyMode.inline);
    batch.f64(inlineRow);
    batch.bytes(message);
  }
  batch.u8(operation.enqueue);
  batch.u8(state);
  batch.u16(packet);
  batch.f64(message === undefined ? (body ?? 0) : inlineRow);
  batch.u32(session);
  batch.f64(sequence);
  batch.u8(flags);
  batch.u32(bytes);
  batch.u16(identifiers.length);
  for (const identifier of identifiers) batch.u32(identifier);
}

function encodeWillRow(batch: BatchWriter, cells: CellReader): void {
  const client = cells.text();
  const identity = cells.text();
  const delay = cells.number();
  const due = cells.time();
  const message = cells.bytes();
  const created = cells.time();
  const fingerprint = cells.optional(() => cells.text());
  batch.u8(operation.putWill);
  batch.text(client);
  batch.text(identity);
  batch.u32(delay);
  batch.f64(due);
  batch.f64(created);
  batch.text(fingerprint ?? '');
  batch.bytes(message);
}

/** Reads the columns of a row, one after the other. */
class CellReader {
  readonly #cells: Cells;
  #at = 0;

  constructor(cells: Cells) {
    this.#cells = cells;
  }

  number(): number {
    return Number(this.#cells[this.#at++]);
  }

  text(): string {
    return String(this.#cells[this.#at++]);
  }

  bytes(): Uint8Array {
    const cell = this.#cells[this.#at++];
    return cell instanceof Uint8Array ? cell : new Uint8Array();
  }

  /** NaN for none, as in a batch. */
  time(): number {
    return this.optional(() => this.number()) ?? Number.NaN;
  }

  optional<T>(read: () => T): T | undefined {
    if (this.#cells[this.#at] !== null) return read();
    this.#at++;
    return undefined;
  }
}

function numberKey(value: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeUInt32BE(value);
  return key;
}

function longKey(value: number): Buffer {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(BigInt(value));
  return key;
}

/** A long text is replaced by its hash, behind a byte that no UTF-8 contains. */
function textKey(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= keyTextMaxBytes) return bytes;
  return Buffer.concat([Buffer.from([0xff]), createHash('sha256').update(bytes).digest()]);
}
