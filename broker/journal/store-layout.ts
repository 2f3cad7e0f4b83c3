/**
 * How the sessions of a fleet are divided into stores: one store for everything, or one for each partition. A database
 * has one of both layouts, which never changes: two brokers with different ideas of it would each serve a part of the
 * sessions as if the rest did not exist.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import type { DatabaseConnection } from '../../core/database/database-connection.ts';
import { lockSpace, schemaCreation } from '../../core/database/lock-space.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

/** One of the partitions of a fleet. */
export interface StorePartition {
  /** Also the name of its store. */
  readonly name: string;
  readonly index: number;
  /** How many partitions the fleet has. */
  readonly count: number;
}

const ticketSecretBytes = 32;
const wholeStore = 'main';
const wholeLock = 2;
/** The locks of the partitions begin here; smaller numbers are for other kinds of content. */
const firstPartitionLock = 16;

/** The name of a store. @param partition undefined: the only store of the database */
export function storeNameOf(partition: StorePartition | undefined): string {
  return partition?.name ?? wholeStore;
}

/** The number of the advisory lock that the active broker of a store holds. */
export function storeLock(partition: Pick<StorePartition, 'index'> | undefined): number {
  return partition === undefined ? wholeLock : firstPartitionLock + partition.index;
}

const creation = `${schemaCreation}
CREATE TABLE IF NOT EXISTS flotilla.cluster (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  partitions int NOT NULL,
  ticket_secret bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now());`;

/**
 * Compares the layout of the database with that of this broker. The first partition decides it. The tables of the
 * journal must exist.
 *
 * @param partitions the number of partitions of the fleet; undefined: there is one store for everything, whose lock the
 *   session of `connection` holds
 * @throws FlotillaError `cluster-partitions-differ`, `store-divided`, `store-undivided`
 */
export async function settleLayout(
  connection: DatabaseConnection,
  partitions: number | undefined,
): Promise<void> {
  const settled = await settledPartitions(connection);
  if (partitions === undefined) {
    // No partition is created meanwhile: that needs the lock of the only store.
    if (settled === undefined) return;
    throw new FlotillaError('store-divided', { detail: `${settled} partitions` });
  }
  const found = settled ?? (await divide(connection, partitions));
  if (found === partitions) return;
  throw new FlotillaError('cluster-partitions-differ', {
    detail: `the sessions have ${found} partitions, cluster.partitions is ${partitions}`,
  });
}

/** How many partitions the sessions of the database have. Undefined: there is one store, or nothing yet. */
export async function settledPartitions(
  connection: DatabaseConnection,
): Promise<number | undefined> {
  const [table] = await connection.query<{ found: boolean }>(
    "SELECT to_regclass('flotilla.cluster') IS NOT NULL AS found",
  );
  if (table?.found !== true) return undefined;
  const [row] = await connection.query<{ partitions: number }>(
    'SELECT partitions FROM flotilla.cluster',
  );
  return row?.partitions;
}

/** Notes the number of partitions, or finds that another broker has done so. @throws FlotillaError `store-undivided` */
async function divide(connection: DatabaseConnection, partitions: number): Promise<number> {
  await connection.query('BEGIN');
  try {
    // Brokers that begin at the same time wait for each other.
    await connection.query(creation);
    const [whole] = await connection.query<{ free: boolean; used: boolean }>(
      `SELECT pg_try_advisory_xact_lock(${lockSpace}, ${wholeLock}) AS free,
         EXISTS (SELECT FROM flotilla.broker_row WHERE store = $1)
           OR EXISTS (SELECT FROM flotilla.broker_journal WHERE store = $1) AS used`,
      [wholeStore],
    );
    if (whole?.free !== true) {
      const detail = 'a broker without partitions is active';
      throw new FlotillaError('store-undivided', { detail });
    }
    if (whole.used) throw new FlotillaError('store-undivided');
    const [row] = await connection.query<{ partitions: number }>(
      `INSERT INTO flotilla.cluster AS c (partitions, ticket_secret) VALUES ($1, $2)
       ON CONFLICT (only_row) DO UPDATE SET partitions = c.partitions RETURNING partitions`,
      [partitions, randomBytes(ticketSecretBytes)],
    );
    await connection.query('COMMIT');
    return row?.partitions ?? partitions;
  } catch (error) {
    // The caller ends the session, which rolls back.
    if (error instanceof FlotillaError) throw error;
    throw new FlotillaError('database-refused', { detail: 'creating the tables', cause: error });
  }
}
