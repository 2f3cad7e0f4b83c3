/**
 * What the commands read and write about the nodes of a cluster in its database.
 *
 * @module
 */
import {
  askToDrain,
  hasClusterTables,
  lookAtCluster,
} from '../../broker/cluster/cluster-tables.ts';
import { settledPartitions } from '../../broker/journal/store-layout.ts';
import type { Config } from '../../core/config/config.ts';
import { databaseAccess, DatabaseConnection } from '../../core/database/database-connection.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { nodeListOf, type NodeList } from '../lib/node-list.ts';

/** An open session with the database. Its functions throw `database-unreachable` when it was lost. */
export interface NodeTables {
  read(): Promise<NodeList>;
  /**
   * Asks a node to give its partitions to others, also after it was started again, or not any more.
   *
   * @returns false: nothing has changed
   */
  setDraining(node: string, isDraining: boolean): Promise<boolean>;
  close(): Promise<void>;
}

/** @throws FlotillaError `cluster-not-configured`, `cluster-without-partitions`, `database-…` */
export async function openNodeTables(settings: Config['broker']): Promise<NodeTables> {
  const access = await databaseAccess(settings);
  if (access === undefined) throw new FlotillaError('cluster-not-configured');
  const connection = await DatabaseConnection.open(access, 'flotilla-node-command');
  try {
    const partitions = await settledPartitions(connection);
    if (partitions === undefined || !(await hasClusterTables(connection))) {
      throw new FlotillaError('cluster-without-partitions', { detail: access.address.database });
    }
    return {
      read: () =>
        checked(lookAtCluster(connection, partitions).then((look) => nodeListOf(look, Date.now()))),
      setDraining: (node, isDraining) => checked(askToDrain(connection, node, isDraining)),
      close: () => connection.close(),
    };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** @throws FlotillaError `database-unreachable` */
async function checked<T>(result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    throw new FlotillaError('database-unreachable', { cause: error });
  }
}
