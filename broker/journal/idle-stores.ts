/**
 * The stores of a database while no broker uses them: a command begins a term of each, so that a former broker cannot
 * write it any more, and then works in one transaction that holds their locks.
 *
 * @module
 */
import type {
  DatabaseAccess,
  DatabaseConnection,
} from '../../core/database/database-connection.ts';
import { DatabaseTerm } from '../../core/database/database-term.ts';
import { lockSpace } from '../../core/database/lock-space.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { brokerInstance, claimFleet, fleetRoots } from './fleet-claim.ts';
import { journalTerm } from './journal-tables.ts';
import { storeLock, storeNameOf, type StorePartition } from './store-layout.ts';

/** A store of which a term began and ended. */
export interface IdleStore {
  readonly partition: StorePartition | undefined;
  /** Its name. */
  readonly store: string;
  readonly term: number;
  readonly writes: number;
  readonly isUsed: boolean;
  /** The hash of the file that it was imported from. */
  readonly imported: string | null;
}

export interface IdleStoresDeps {
  readonly state: StateFolder;
  readonly log: Logger;
  /** Undefined: the only store of the database. */
  readonly partitions: readonly StorePartition[] | undefined;
  /** Whether the stores may have been exported before. */
  readonly isForExport?: boolean;
}

/**
 * Begins and ends a term of each store.
 *
 * @throws FlotillaError `database-in-use`, `database-ca-differs`, `store-exported`, `cluster-partitions-differ`, `database-…`
 */
export async function fenceStores(
  access: DatabaseAccess,
  { state, log, partitions, isForExport = false }: IdleStoresDeps,
): Promise<readonly IdleStore[]> {
  const roots = await fleetRoots(state);
  const stores: IdleStore[] = [];
  for (const partition of partitions ?? [undefined]) {
    const tables = journalTerm(partition, isForExport);
    const store = storeNameOf(partition);
    const begun = await DatabaseTerm.begin({
      tables,
      access,
      log,
      instance: brokerInstance(state),
    });
    if (begun === undefined) throw new FlotillaError('database-in-use');
    try {
      await claimFleet(begun, store, roots);
      const [found] = await begun.read<{ imported: string | null; used: boolean }>(
        `SELECT imported, EXISTS (SELECT FROM flotilla.broker_row WHERE store = $1)
           OR EXISTS (SELECT FROM flotilla.broker_journal WHERE store = $1) AS used
         FROM flotilla.broker_store WHERE store = $1`,
        [store],
      );
      const { term, writes } = begun;
      const { imported = null, used = true } = found ?? {};
      stores.push({ partition, store, term, writes, isUsed: used, imported });
    } finally {
      await begun.close();
    }
  }
  return stores;
}

/** Begins a transaction that holds the locks of all stores until its end. @throws FlotillaError `database-in-use` */
export async function beginWithLocks(
  connection: DatabaseConnection,
  stores: readonly IdleStore[],
): Promise<void> {
  await connection.query('BEGIN');
  for (const { partition, store } of stores) {
    const [lock] = await connection.query<{ taken: boolean }>(
      `SELECT pg_try_advisory_xact_lock(${lockSpace}, ${storeLock(partition)}) AS taken`,
    );
    if (lock?.taken !== true) throw new FlotillaError('database-in-use', { detail: store });
  }
}
