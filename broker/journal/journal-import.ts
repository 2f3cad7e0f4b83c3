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
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { openStoreFile } from '../store/store-file.ts';
import { checkpointRows } from './checkpoint-rows.ts';
import { addCheckpoint } from './checkpoint.ts';
import { beginWithLocks, fenceStores, type IdleStore } from './idle-stores.ts';
import { dividedRows } from './store-division.ts';
import type { StorePartition } from './store-layout.ts';
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
 * @throws FlotillaError `import-refused`, `store-exported`, `cluster-partitions-differ`, `database-…`, `store-…`
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
    const stores = await fenceStores(access, {
      ...{ state: deps.state, log: deps.log },
      partitions: deps.division?.partitions,
    });
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

interface ImportPlan {
  readonly stores: readonly IdleStore[];
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
    await beginWithLocks(connection, stores);
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
