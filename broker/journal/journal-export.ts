/**
 * Moves the sessions of a database into the file of a state folder, with which a single broker continues: those of the
 * only store, or of all partitions.
 *
 * The file gets its name last, after the database has noted that it was exported. The broker of the state folder begins
 * with neither before that: its index says that the sessions are in a database. An export that was interrupted is
 * repeated from its beginning.
 *
 * @module
 */
import { existsSync, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { makeSecretFolder, syncFolder } from '../../core/atomic-file.ts';
import type { Config } from '../../core/config/config.ts';
import { databaseAccess, DatabaseConnection } from '../../core/database/database-connection.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import { partitionName, partitionOf } from '../../core/partition.ts';
import { stateFolder, type StateFolder } from '../../core/state-folder.ts';
import { countStore, type StoreCounts } from '../store/store-counts.ts';
import { createStoreFile, openStoreFile } from '../store/store-file.ts';
import { StoreWriter } from '../store/store-writer.ts';
import { beginWithLocks, fenceStores, type IdleStore } from './idle-stores.ts';
import { createIndex } from './index-file.ts';
import { recoverJournal } from './journal-recovery.ts';
import { hasJournalTables } from './journal-tables.ts';
import { settledPartitions, type StorePartition } from './store-layout.ts';
import { StoreMerge } from './store-merge.ts';
import { TouchedRows } from './touched-rows.ts';

/** So many pairs of partitions are named in an error. */
const namedMax = 5;

export interface StoreExportDeps {
  /** Has the settings and the identity of a broker. */
  readonly state: StateFolder;
  /** The root of the state folder that gets the file. */
  readonly to: string;
  readonly log: Logger;
}

/** What was exported. */
export interface ExportedStore {
  readonly counts: StoreCounts;
  /** Undefined: there was one store. */
  readonly partitions: number | undefined;
  /** The new file. */
  readonly path: string;
}

/**
 * Exports the database that `broker.database` names. No broker may use it, and none starts on it afterward.
 *
 * @throws FlotillaError `export-target-exists`, `export-nothing`, `export-undelivered`, `export-client-id-twice`,
 *   `database-…`, `journal-damaged`, `store-…`
 */
export async function exportStore(
  config: Config,
  { state, to, log }: StoreExportDeps,
): Promise<ExportedStore> {
  const access = await databaseAccess(config.broker);
  if (access === undefined) {
    throw new FlotillaError('config-invalid', { detail: 'broker.database is not set' });
  }
  const { store: path, folder, storeIndex, partitionIndexes } = stateFolder(to).broker;
  assertNoStore(path);
  await makeSecretFolder(folder);
  const connection = await DatabaseConnection.open(access, 'flotilla-export');
  const part = `${path}.part`;
  try {
    if (!(await hasJournalTables(connection))) throw new FlotillaError('export-nothing');
    const count = await settledPartitions(connection);
    const partitions = count === undefined ? undefined : allPartitions(count);
    const stores = await fenceStores(access, { state, log, partitions, isForExport: true });
    await beginWithLocks(connection, stores);
    await removeStore(part);
    await writeFile(connection, stores, part);
    await noteExport(connection, stores);
    await connection.query('COMMIT');
    // An empty one.
    await removeStore(path);
    await rename(part, path);
    await syncFolder(dirname(path));
    // Until now they have kept a broker without a database from starting without sessions.
    await removeStore(storeIndex);
    await rm(partitionIndexes, { recursive: true, force: true });
    return { counts: countStore(path), partitions: count, path };
  } catch (error) {
    throw exportFault(error);
  } finally {
    await connection.close();
    await removeStore(part);
    await removeStore(sourceOf(part));
  }
}

/** The sessions in a file are never replaced. @throws FlotillaError `export-target-exists`, `store-…` */
function assertNoStore(path: string): void {
  if (existsSync(path)) {
    const { sessions, retained, wills } = countStore(path);
    if (sessions + retained + wills === 0) return;
  } else if ((statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) === 0) return;
  throw new FlotillaError('export-target-exists', { detail: path });
}

function allPartitions(count: number): readonly StorePartition[] {
  return Array.from({ length: count }, (_, index) => ({
    ...{ name: partitionName(index), index, count },
  }));
}

/** Writes the content of all stores to a new file. */
async function writeFile(
  connection: DatabaseConnection,
  stores: readonly IdleStore[],
  path: string,
): Promise<void> {
  // A large store is copied for longer than the server waits between two statements.
  await connection.query('SET LOCAL idle_in_transaction_session_timeout = 0');
  createStoreFile(path);
  const database = openStoreFile(path);
  const undelivered: string[] = [];
  try {
    const merge = new StoreMerge(database);
    const source = sourceOf(path);
    for (const [index, { store }] of stores.entries()) {
      await recover(connection, store, source);
      // The owner of a topic decides its retained message: all other partitions follow it.
      const owns = (topic: string): boolean => partitionOf(topic, stores.length) === index;
      for (const { peer, messages } of merge.add(source, owns)) {
        undelivered.push(`${messages} from ${store} to ${peer}`);
      }
    }
  } finally {
    database.close();
  }
  if (undelivered.length === 0) return;
  const more = undelivered.length > namedMax ? ', …' : '';
  const detail = `${undelivered.slice(0, namedMax).join(', ')}${more}`;
  throw new FlotillaError('export-undelivered', { detail });
}

/** Writes the content of one store to a new file. */
async function recover(connection: DatabaseConnection, store: string, path: string): Promise<void> {
  const database: DatabaseSync = createIndex(path);
  const read = <Row extends object>(text: string, values: readonly unknown[] = []) =>
    connection.query<Row>(text, values);
  try {
    await recoverJournal({ read }, store, new StoreWriter(database), new TouchedRows());
  } finally {
    database.close();
  }
}

/** Part of the transaction. @throws FlotillaError `database-fenced` */
async function noteExport(
  connection: DatabaseConnection,
  stores: readonly IdleStore[],
): Promise<void> {
  for (const { store, term } of stores) {
    const [noted] = await connection.query(
      `UPDATE flotilla.broker_store SET exported_at = now()
       WHERE store = $1 AND term = $2 RETURNING store`,
      [store, term],
    );
    if (noted === undefined) throw new FlotillaError('database-fenced', { detail: store });
  }
}

function sourceOf(path: string): string {
  return `${path}.source`;
}

async function removeStore(path: string): Promise<void> {
  for (const end of ['', '-wal', '-shm']) await rm(path + end, { force: true });
}

/** The error of the catalogue for one of SQLite, of the file system or of the database. */
function exportFault(error: unknown): FlotillaError {
  if (error instanceof FlotillaError) return error;
  const isLocal = error instanceof Error && ('errcode' in error || 'path' in error);
  return isLocal
    ? new FlotillaError('store-open-failed', { detail: messageOf(error), cause: error })
    : new FlotillaError('database-unreachable', { cause: error });
}
