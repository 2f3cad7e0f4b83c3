/**
 * The tables of the session store in PostgreSQL, and the statements that write them.
 *
 * `broker_journal` has the batches of the store (broker/store/batch-format.ts), one row for each write of a term. A
 * checkpoint folds them into `broker_row`: for each row of the local file, the operations that write it. So everything
 * that was acknowledged is `broker_row` and then the journal rows behind `checkpoint`, and both are replayed in the same
 * way.
 *
 * All tables have the name of a store in their key. A database has one store, or one for each partition of the fleet
 * (store-layout.ts).
 *
 * @module
 */
import type { DatabaseConnection } from '../../core/database/database-connection.ts';
import type { FencedStatement, TermTables } from '../../core/database/database-term.ts';
import { schemaCreation } from '../../core/database/lock-space.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { settleLayout, storeLock, storeNameOf, type StorePartition } from './store-layout.ts';

/** Grows when the tables or the format of the batches change. */
const formatNumber = 1;

/** EXTERNAL: to compress a journal row would cost CPU time in every commit. */
const creation = `${schemaCreation}
CREATE TABLE IF NOT EXISTS flotilla.broker_store (
  store text PRIMARY KEY,
  format int NOT NULL,
  term bigint NOT NULL DEFAULT 0,
  writes bigint NOT NULL DEFAULT 0,
  checkpoint bigint NOT NULL DEFAULT 0,
  roots text[] NOT NULL DEFAULT '{}',
  imported text,
  exported_at timestamptz,
  resumed_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS flotilla.broker_term (
  store text NOT NULL,
  term bigint NOT NULL,
  instance text NOT NULL,
  began_at timestamptz NOT NULL DEFAULT now(),
  writes bigint NOT NULL,
  PRIMARY KEY (store, term));
CREATE TABLE IF NOT EXISTS flotilla.broker_journal (
  store text NOT NULL,
  seq bigint NOT NULL,
  term bigint NOT NULL,
  operations bytea NOT NULL,
  PRIMARY KEY (store, seq));
ALTER TABLE flotilla.broker_journal ALTER COLUMN operations SET STORAGE EXTERNAL;
CREATE TABLE IF NOT EXISTS flotilla.broker_row (
  store text NOT NULL,
  kind smallint NOT NULL,
  key bytea NOT NULL,
  operations bytea NOT NULL,
  PRIMARY KEY (store, kind, key));`;

/**
 * A store, as that which one broker at a time writes. After an export, no broker begins a term of it.
 *
 * @param partition undefined: the only store of the database
 * @param isForExport whether the term may begin after an export: the same content can be exported again
 */
export function journalTerm(
  partition: StorePartition | undefined,
  isForExport = false,
): TermTables {
  const store = storeNameOf(partition);
  return {
    content: partition === undefined ? 'the session store' : `the session store ${store}`,
    lockNumber: storeLock(partition),
    unavailable: 'store-stalled',
    ensure: (connection) => ensureStore(connection, partition, isForExport),
    isThere: hasJournalTables,
    begin: `WITH began AS (
      UPDATE flotilla.broker_store SET term = term + 1, resumed_at = now()
      WHERE store = '${store}' RETURNING store, term, writes),
    noted AS (
      INSERT INTO flotilla.broker_term (store, term, instance, writes)
      SELECT store, term, $1, writes FROM began)
    SELECT term, writes FROM began`,
    resume: `UPDATE flotilla.broker_store SET resumed_at = now()
    WHERE store = '${store}' AND term = $1 AND writes >= $2 RETURNING writes`,
    next: `SELECT writes FROM flotilla.broker_term
    WHERE store = '${store}' AND term > $1 ORDER BY term LIMIT 1`,
    newest: `SELECT instance FROM flotilla.broker_term
    WHERE store = '${store}' ORDER BY term DESC LIMIT 1`,
  };
}

/** Creates the tables if there are none. @throws FlotillaError `database-refused` */
export async function ensureJournalTables(connection: DatabaseConnection): Promise<void> {
  if (await hasJournalTables(connection)) return;
  try {
    await connection.query(creation);
  } catch (error) {
    throw new FlotillaError('database-refused', { detail: 'creating the tables', cause: error });
  }
}

async function ensureStore(
  connection: DatabaseConnection,
  partition: StorePartition | undefined,
  isForExport: boolean,
): Promise<void> {
  await ensureJournalTables(connection);
  await settleLayout(connection, partition?.count);
  const store = storeNameOf(partition);
  await connection.query(
    'INSERT INTO flotilla.broker_store (store, format) VALUES ($1, $2) ON CONFLICT (store) DO NOTHING',
    [store, formatNumber],
  );
  const [found] = await connection.query<{ format: number; exported: boolean }>(
    'SELECT format, exported_at IS NOT NULL AS exported FROM flotilla.broker_store WHERE store = $1',
    [store],
  );
  if (found?.format === formatNumber) {
    if (found.exported && !isForExport) throw new FlotillaError('store-exported');
    return;
  }
  throw new FlotillaError('database-version', {
    detail: `the sessions have format ${found?.format ?? 'none'}, this version has ${formatNumber}`,
  });
}

/** No store of the database was exported. The tables must exist. @throws FlotillaError `store-exported` */
export async function assertNotExported(connection: DatabaseConnection): Promise<void> {
  const [found] = await connection.query<{ exported: boolean }>(
    `SELECT EXISTS (SELECT FROM flotilla.broker_store WHERE exported_at IS NOT NULL) AS exported`,
  );
  if (found?.exported === true) throw new FlotillaError('store-exported');
}

/** Whether a broker has begun to use the database. */
export async function hasJournalTables(connection: DatabaseConnection): Promise<boolean> {
  // All tables are created in one transaction.
  const [found] = await connection.query<{ found: boolean }>(
    "SELECT to_regclass('flotilla.broker_store') IS NOT NULL AS found",
  );
  return found?.found === true;
}

const append = `WITH fence AS (
    UPDATE flotilla.broker_store SET writes = $2
    WHERE store = $4 AND term = $1 AND writes = $2::bigint - 1 RETURNING store),
  appended AS (
    INSERT INTO flotilla.broker_journal AS j (store, seq, term, operations)
    SELECT store, $2, $1, $3::bytea FROM fence
    ON CONFLICT (store, seq) DO UPDATE SET term = excluded.term, operations = excluded.operations)
  SELECT count(*)::int AS passed FROM fence`;

/** Appends one row to the journal of a store; its sequence is the number of the write. */
export function appendToJournal(store: string, operations: Buffer): FencedStatement {
  return { name: 'flotilla-append', text: append, values: [operations, store] };
}

/** Kinds of rows in `broker_row`, in the order in which they are replayed. */
export const rowKind = {
  session: 1,
  subscription: 2,
  incoming: 3,
  body: 4,
  queue: 5,
  retained: 6,
  will: 7,
} as const;

/** $1: the store; $2: keys and operations; then arrays of kind, and of offset and length of both. */
export const putRows = `INSERT INTO flotilla.broker_row (store, kind, key, operations)
  SELECT $1, e.kind, substring($2::bytea FROM e.key_at FOR e.key_bytes),
    substring($2::bytea FROM e.at FOR e.bytes)
  FROM unnest($3::smallint[], $4::int[], $5::int[], $6::int[], $7::int[])
    AS e(kind, key_at, key_bytes, at, bytes)
  ON CONFLICT (store, kind, key) DO UPDATE SET operations = excluded.operations`;

/** $1: the store; $2: keys; then arrays of kind, offset and length. */
export const deleteRows = `DELETE FROM flotilla.broker_row AS r
  USING unnest($3::smallint[], $4::int[], $5::int[]) AS e(kind, key_at, key_bytes)
  WHERE r.store = $1 AND r.kind = e.kind
    AND r.key = substring($2::bytea FROM e.key_at FOR e.key_bytes)`;

/** Deletes subscriptions and packet ids of sessions. $1: the store; $2: numbers of sessions. */
export const deleteRowsOfSessions = `DELETE FROM flotilla.broker_row AS r
  USING unnest($2::bigint[]) AS e(session)
  WHERE r.store = $1 AND r.kind IN (${rowKind.subscription}, ${rowKind.incoming})
    AND r.key >= substring(int8send(e.session) FROM 5)
    AND r.key < substring(int8send(e.session + 1) FROM 5)`;

/** Deletes what the checkpoint contains. $1: the store; $2: the last sequence. */
export const deleteJournal = 'DELETE FROM flotilla.broker_journal WHERE store = $1 AND seq <= $2';

/** Succeeds only in the same term, and never before the rows are durable. $1 store, $2 term, $3 position. */
export const moveCheckpoint = `UPDATE flotilla.broker_store SET checkpoint = $3
  WHERE store = $1 AND term = $2 AND checkpoint <= $3 AND writes >= $3 RETURNING checkpoint`;

/**
 * The next rows of the checkpoint, joined; their order within a page does not matter. $1: the store; $2, $3: kind and key of the last row before.
 *
 * @param maxBytes the size of a page, without its last row
 */
export const rowPage = (maxBytes: number): string => `WITH few AS (
    SELECT kind, key, operations FROM flotilla.broker_row
    WHERE store = $1 AND (kind, key) > ($2::smallint, $3::bytea) ORDER BY kind, key LIMIT 20000),
  summed AS (
    SELECT *, sum(octet_length(operations)) OVER (ORDER BY kind, key ROWS UNBOUNDED PRECEDING) AS total
    FROM few),
  page AS (SELECT * FROM summed WHERE total - octet_length(operations) < ${maxBytes})
  SELECT (SELECT count(*)::int FROM page) AS rows,
    (SELECT string_agg(operations, ''::bytea) FROM page) AS operations,
    last.kind, last.key
  FROM (SELECT kind, key FROM page ORDER BY total DESC LIMIT 1) AS last`;

/** The next rows of the journal. $1: the store; $2: the sequence before. */
export const journalPage = (maxBytes: number): string => `WITH few AS (
    SELECT seq, operations FROM flotilla.broker_journal
    WHERE store = $1 AND seq > $2 ORDER BY seq LIMIT 1000),
  summed AS (
    SELECT *, sum(octet_length(operations)) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS total
    FROM few)
  SELECT seq, operations FROM summed WHERE total - octet_length(operations) < ${maxBytes} ORDER BY seq`;
