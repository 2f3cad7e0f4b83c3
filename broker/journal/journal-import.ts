/**
 * Moves the sessions of a file into an empty database, as one checkpoint.
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
import { databaseAccess, DatabaseConnection } from '../../core/database/database-connection.ts';
import { DatabaseTerm } from '../../core/database/database-term.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { openStoreFile } from '../store/store-file.ts';
import { checkpointRows } from './checkpoint-rows.ts';
import { writeCheckpoint } from './checkpoint.ts';
import { brokerInstance, claimFleet, fleetRoots } from './fleet-claim.ts';
import { journalTerm } from './journal-tables.ts';
import { storeNameOf } from './store-layout.ts';
import { TouchedRows } from './touched-rows.ts';

export interface ImportDeps {
  readonly state: StateFolder;
  readonly log: Logger;
}

/**
 * Imports the file of the state folder. No broker may use the file or the database.
 *
 * @returns where the file is now
 * @throws FlotillaError `import-refused`, `database-…`, `store-…`
 */
export async function importStore(config: Config, { state, log }: ImportDeps): Promise<string> {
  const access = await databaseAccess(config.broker);
  if (access === undefined) {
    throw new FlotillaError('config-invalid', { detail: 'broker.database is not set' });
  }
  const path = state.broker.store;
  // Upgrades the file, and makes it complete without its log.
  openStoreFile(path).close();
  const imported = await hashOf(path);
  const instance = brokerInstance(state);
  const store = storeNameOf(undefined);
  const term = await DatabaseTerm.begin({ tables: journalTerm(undefined), access, log, instance });
  if (term === undefined) throw new FlotillaError('database-in-use');
  let connection: DatabaseConnection | undefined;
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    await claimFleet(term, store, await fleetRoots(state));
    const [found] = await term.read<{ imported: string | null; used: boolean }>(
      `SELECT imported, EXISTS (SELECT FROM flotilla.broker_row WHERE store = $1)
         OR EXISTS (SELECT FROM flotilla.broker_journal WHERE store = $1) AS used
       FROM flotilla.broker_store WHERE store = $1`,
      [store],
    );
    if (found?.imported !== imported) {
      if (found?.used !== false) throw new FlotillaError('import-refused', { detail: path });
      connection = await DatabaseConnection.open(access, 'flotilla-import');
      const written = await writeCheckpoint(connection, {
        ...{ store, term: term.term, position: term.writes, deletedSessions: [], imported },
        rows: checkpointRows(database, keysOf(database)),
      });
      if (written === undefined) throw new FlotillaError('database-fenced');
    }
  } catch (error) {
    if (error instanceof FlotillaError) throw error;
    throw new FlotillaError('database-unreachable', { cause: error });
  } finally {
    database.close();
    await connection?.close();
    await term.close();
  }
  const moved = `${path}.imported`;
  await rename(path, moved);
  return moved;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** All rows of a file. */
function keysOf(database: DatabaseSync): TouchedRows {
  const keys = new TouchedRows();
  const each = (sql: string): Iterable<readonly unknown[]> => {
    const statement = database.prepare(sql);
    statement.setReturnArrays(true);
    return statement.iterate() as unknown as Iterable<readonly unknown[]>;
  };
  for (const [id] of each('SELECT id FROM session')) keys.sessions.add(Number(id));
  for (const [id, filter] of each('SELECT session, filter FROM subscription')) {
    keys.addSubscription(Number(id), String(filter));
  }
  for (const [id, packet] of each('SELECT session, packet FROM incoming')) {
    keys.addIncoming(Number(id), Number(packet));
  }
  for (const [row] of each('SELECT id FROM body')) keys.bodies.set(Number(row), true);
  for (const [sequence] of each('SELECT sequence FROM queue')) {
    keys.queue.set(Number(sequence), true);
  }
  for (const [topic] of each('SELECT topic FROM retained')) keys.retained.add(String(topic));
  for (const [client] of each('SELECT client FROM will')) keys.wills.add(String(client));
  return keys;
}
