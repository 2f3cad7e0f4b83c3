/**
 * Moves the sessions of a file into an empty database, as one checkpoint of its store, or of the stores of all partitions.
 *
 * The file is renamed afterward. If the process ends before that, the database knows which file it has imported, and the
 * next run only renames it.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rename } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import type { Config } from '../../core/config/config.ts';
import {
  databaseAccess,
  DatabaseConnection,
  type DatabaseAccess,
} from '../../core/database/database-connection.ts';
import { DatabaseTerm } from '../../core/database/database-term.ts';
import { lockSpace } from '../../core/database/lock-space.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { openStoreFile } from '../store/store-file.ts';
import { checkpointRows } from './checkpoint-rows.ts';
import { addCheckpoint } from './checkpoint.ts';
import { brokerInstance, claimFleet, fleetRoots } from './fleet-claim.ts';
import { journalTerm } from './journal-tables.ts';
import { dividedRows } from './store-division.ts';
import { storeLock, storeNameOf, type StorePartition } from './store-layout.ts';
import { TouchedRows } from './touched-rows.ts';

/** How the sessions are divided. */
export interface StoreDivision {
  /** All partitions of the cluster, by their index. */
  readonly partitions: readonly StorePartition[];
  /** The partition of an identity. */
  readonly indexOf: (identityId: string) => number;
}

export interface ImportDeps {
  readonly state: StateFolder;
  readonly log: Logger;
  /** Undefined: they are moved into one store. */
  readonly division?: StoreDivision | undefined;
}

/**
 * Imports the file of the state folder. No broker may use the file or the database.
 *
 * @returns where the file is now
 * @throws FlotillaError `import-refused`, `cluster-partitions-differ`, `database-…`, `store-…`
 */
export async function importStore(config: Config, deps: ImportDeps): Promise<string> {
  const access = await databaseAccess(config.broker);
  if (access === undefined) {
    throw new FlotillaError('config-invalid', { detail: 'broker.database is not set' });
  }
  const path = deps.state.broker.store;
  // Upgrades the file, and makes it complete without its log.
  openStoreFile(path).close();
  const imported = await hashOf(path);
  try {
    const stores = await beginStores(access, deps);
    if (!stores.every((store) => store.imported === imported)) {
      if (stores.some(({ isUsed }) => isUsed)) {
        throw new FlotillaError('import-refused', { detail: path });
      }
      await writeStores(access, path, { stores, imported, division: deps.division });
    }
  } catch (error) {
    if (error instanceof FlotillaError) throw error;
    throw new FlotillaError('database-unreachable', { cause: error });
  }
  const moved = `${path}.imported`;
  await rename(path, moved);
  return moved;
}

/** A store into which something can be imported. */
interface Target {
  readonly partition: StorePartition | undefined;
  readonly store: string;
  /** The term of the import, which ends with it. */
  readonly term: number;
  readonly writes: number;
  readonly isUsed: boolean;
  /** The hash of the file that it was imported from. */
  readonly imported: string | null;
}

/** Begins a term of each store, so that a former broker cannot write it any more. */
async function beginStores(
  access: DatabaseAccess,
  { state, log, division }: ImportDeps,
): Promise<readonly Target[]> {
  const roots = await fleetRoots(state);
  const targets: Target[] = [];
  for (const partition of division?.partitions ?? [undefined]) {
    const tables = journalTerm(partition);
    const store = storeNameOf(partition);
    const instance = brokerInstance(state);
    const begun = await DatabaseTerm.begin({ tables, access, log, instance });
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
      targets.push({ partition, store, term, writes, isUsed: used, imported });
    } finally {
      await begun.close();
    }
  }
  return targets;
}

interface ImportPlan {
  readonly stores: readonly Target[];
  readonly imported: string;
  readonly division: StoreDivision | undefined;
}

/** In one transaction, which holds the locks of all stores. */
async function writeStores(
  access: DatabaseAccess,
  path: string,
  { stores, imported, division }: ImportPlan,
): Promise<void> {
  const connection = await DatabaseConnection.open(access, 'flotilla-import');
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    await connection.query('BEGIN');
    for (const { partition, store } of stores) {
      const [lock] = await connection.query<{ taken: boolean }>(
        `SELECT pg_try_advisory_xact_lock(${lockSpace}, ${storeLock(partition)}) AS taken`,
      );
      if (lock?.taken !== true) throw new FlotillaError('database-in-use', { detail: store });
    }
    const parts = dividedRows(database, stores.length, division?.indexOf ?? (() => 0));
    for (const [index, { store, term, writes }] of stores.entries()) {
      const written = await addCheckpoint(connection, {
        ...{ store, term, position: writes, deletedSessions: [], imported },
        rows: checkpointRows(database, parts[index] ?? new TouchedRows()),
      });
      if (written === undefined) throw new FlotillaError('database-fenced', { detail: store });
    }
    await connection.query('COMMIT');
  } finally {
    database.close();
    await connection.close();
  }
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
