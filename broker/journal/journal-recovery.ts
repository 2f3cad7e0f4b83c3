/**
 * Rebuilds the local file from the database: the rows of the last checkpoint, then the journal behind it. Both are
 * operations of batches, which the writer of the store applies as it always does.
 *
 * @module
 */
import type { DatabaseTerm } from '../../core/database/database-term.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StoreWriter } from '../store/store-writer.ts';
import { journalPage, rowPage } from './journal-tables.ts';
import type { TouchedRows } from './touched-rows.ts';

/** The size of a page, without its last row. */
const pageBytes = 4 * 1024 * 1024;

export interface RecoveredJournal {
  /** The rows of the checkpoint. */
  readonly rows: number;
  /** The journal behind the checkpoint: its rows, and their bytes. */
  readonly replayed: number;
  readonly replayedBytes: number;
}

interface StoreFacts {
  readonly writes: string;
  readonly checkpoint: string;
  readonly newest: string | null;
}

/**
 * @param database the session that holds the lock of the store
 * @param store the name of the store
 * @param touched gets the rows that the next checkpoint must write
 * @throws FlotillaError `journal-damaged`, `database-unreachable`
 */
export async function recoverJournal(
  database: Pick<DatabaseTerm, 'read'>,
  store: string,
  writer: StoreWriter,
  touched: TouchedRows,
): Promise<RecoveredJournal> {
  // Without statistics the server would sort the whole table for each page.
  await database.read(
    "SELECT set_config('enable_seqscan', 'off', false), set_config('enable_bitmapscan', 'off', false)",
  );
  const [facts] = await database.read<StoreFacts>(
    `SELECT writes, checkpoint,
       (SELECT max(seq) FROM flotilla.broker_journal WHERE store = $1) AS newest
     FROM flotilla.broker_store WHERE store = $1`,
    [store],
  );
  const writes = Number(facts?.writes);
  const checkpoint = Number(facts?.checkpoint);
  if (Number(facts?.newest ?? writes) > writes) throw damaged(`row ${facts?.newest} is unknown`);
  const rows = await readCheckpoint(database, store, writer);
  const tail = await readTail(database, store, writer, touched, checkpoint);
  if (checkpoint + tail.replayed !== writes) {
    throw damaged(`row ${checkpoint + tail.replayed + 1} of ${writes} is missing`);
  }
  return { rows, ...tail };
}

interface RowPage {
  readonly rows: number;
  readonly operations: Buffer;
  readonly kind: number;
  readonly key: Buffer;
}

async function readCheckpoint(
  database: Pick<DatabaseTerm, 'read'>,
  store: string,
  writer: StoreWriter,
): Promise<number> {
  const read = (kind: number, key: Buffer): Promise<readonly RowPage[]> =>
    database.read<RowPage>(rowPage(pageBytes), [store, kind, key]);
  let count = 0;
  for (let next = read(0, Buffer.alloc(0)); ;) {
    const [page] = await next;
    if (page === undefined) return count;
    // The server reads the next page while this one is written.
    next = read(page.kind, page.key);
    next.catch(() => undefined);
    applyTo(writer, page.operations);
    count += page.rows;
  }
}

async function readTail(
  database: Pick<DatabaseTerm, 'read'>,
  store: string,
  writer: StoreWriter,
  touched: TouchedRows,
  checkpoint: number,
): Promise<Omit<RecoveredJournal, 'rows'>> {
  let replayed = 0;
  let replayedBytes = 0;
  for (;;) {
    const page = await database.read<{ seq: string; operations: Buffer }>(journalPage(pageBytes), [
      store,
      checkpoint + replayed,
    ]);
    if (page.length === 0) return { replayed, replayedBytes };
    for (const { seq, operations } of page) {
      replayed++;
      if (Number(seq) !== checkpoint + replayed) {
        throw damaged(`row ${checkpoint + replayed} is missing, row ${seq} is there`);
      }
      applyTo(writer, operations);
      touched.note(operations);
      replayedBytes += operations.length;
    }
  }
}

function applyTo(writer: StoreWriter, operations: Buffer): void {
  try {
    writer.apply(operations);
    writer.commit();
  } catch (error) {
    writer.rollback();
    if (error instanceof RangeError) throw damaged(error.message);
    throw error;
  }
}

function damaged(detail: string): FlotillaError {
  return new FlotillaError('journal-damaged', { detail });
}
