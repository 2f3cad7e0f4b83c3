/**
 * Writes a checkpoint: what the journal changed since the last one, as rows, and the position, in one transaction. It
 * runs in a session of its own, so that commits go on meanwhile.
 *
 * The row of the store is changed last. Its term fences the transaction as it fences an append, and it is locked only
 * while the transaction commits.
 *
 * @module
 */
import type { DatabaseConnection } from '../../core/database/database-connection.ts';
import type { CheckpointRow } from './checkpoint-rows.ts';
import {
  deleteJournal,
  deleteRows,
  deleteRowsOfSessions,
  moveCheckpoint,
  putRows,
} from './journal-tables.ts';

const statementMaxRows = 4000;
const statementMaxBytes = 1024 * 1024;

export interface CheckpointPlan {
  /** The name of the store. */
  readonly store: string;
  readonly term: number;
  /** The last journal row that the checkpoint contains. It must be durable. */
  readonly position: number;
  readonly deletedSessions: Iterable<number>;
  readonly rows: Iterable<CheckpointRow>;
  /** The SHA-256 of the file that the rows were imported from. */
  readonly imported?: string;
}

/**
 * @returns the number of rows; undefined when this is not the active instance any more, and nothing was written
 * @throws the error of the library: nothing was written, or the outcome is not known
 */
export async function writeCheckpoint(
  connection: DatabaseConnection,
  plan: CheckpointPlan,
): Promise<number | undefined> {
  await connection.query('BEGIN');
  const count = await addCheckpoint(connection, plan);
  await connection.query(count === undefined ? 'ROLLBACK' : 'COMMIT');
  return count;
}

/**
 * Writes a checkpoint in the open transaction, which can be that of several stores.
 *
 * @returns the number of rows; undefined when this is not the active instance any more: the transaction must not commit
 * @throws the error of the library
 */
export async function addCheckpoint(
  connection: DatabaseConnection,
  { store, term, position, deletedSessions, rows, imported }: CheckpointPlan,
): Promise<number | undefined> {
  const run = (text: string, ...values: unknown[]): Promise<readonly object[]> =>
    connection.query(text, [store, ...values]);
  // The tables grow and shrink too fast for statistics: the key is always the right way.
  await connection.query('SET LOCAL enable_seqscan = off');
  for (const sessions of inParts(deletedSessions)) await run(deleteRowsOfSessions, sessions);
  let count = 0;
  for (const page of pagesOf(rows)) {
    count += page.puts.length + page.deletions.length;
    if (page.deletions.length > 0) await run(deleteRows, ...packedKeys(page.deletions));
    if (page.puts.length > 0) await run(putRows, ...packedRows(page.puts));
  }
  await run(deleteJournal, position);
  if (imported !== undefined) {
    await run('UPDATE flotilla.broker_store SET imported = $2 WHERE store = $1', imported);
  }
  const [moved] = await run(moveCheckpoint, term, position);
  return moved === undefined ? undefined : count;
}

interface Put {
  readonly kind: number;
  readonly key: Buffer;
  readonly operations: Uint8Array;
}

interface Page {
  readonly puts: Put[];
  readonly deletions: { readonly kind: number; readonly key: Buffer }[];
}

function* pagesOf(rows: Iterable<CheckpointRow>): Generator<Page> {
  let page: Page = { puts: [], deletions: [] };
  let bytes = 0;
  for (const { kind, key, operations } of rows) {
    if (operations === undefined) page.deletions.push({ kind, key });
    else page.puts.push({ kind, key, operations });
    bytes += key.length + (operations?.length ?? 0);
    if (page.puts.length + page.deletions.length < statementMaxRows && bytes < statementMaxBytes) {
      continue;
    }
    yield page;
    page = { puts: [], deletions: [] };
    bytes = 0;
  }
  if (page.puts.length + page.deletions.length > 0) yield page;
}

/** One value of bytes is sent as it is; an array of them would be sent as text. Positions begin with 1. */
function packedRows(puts: readonly Put[]): unknown[] {
  const packed = new Packed();
  const keys = puts.map(({ key }) => packed.add(key));
  const values = puts.map(({ operations }) => packed.add(operations));
  return [
    packed.bytes(),
    puts.map(({ kind }) => kind),
    ...[keys.map(({ at }) => at), keys.map(({ length }) => length)],
    ...[values.map(({ at }) => at), values.map(({ length }) => length)],
  ];
}

function packedKeys(deletions: Page['deletions']): unknown[] {
  const packed = new Packed();
  const keys = deletions.map(({ key }) => packed.add(key));
  return [
    packed.bytes(),
    deletions.map(({ kind }) => kind),
    keys.map(({ at }) => at),
    keys.map(({ length }) => length),
  ];
}

class Packed {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  add(part: Uint8Array): { at: number; length: number } {
    const at = this.#length + 1;
    this.#parts.push(part);
    this.#length += part.length;
    return { at, length: part.length };
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts, this.#length);
  }
}

function* inParts(numbers: Iterable<number>): Generator<number[]> {
  let part: number[] = [];
  for (const number of numbers) {
    part.push(number);
    if (part.length < statementMaxRows) continue;
    yield part;
    part = [];
  }
  if (part.length > 0) yield part;
}
