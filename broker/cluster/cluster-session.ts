/**
 * The connection of a node to the database, which is opened again when it is lost, and the name of the node there. It is
 * never the connection of a store: a long statement of one does not delay the other.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import {
  DatabaseConnection,
  type DatabaseAccess,
} from '../../core/database/database-connection.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { assertNotExported } from '../journal/journal-tables.ts';
import {
  forgetNodes,
  lookAtCluster,
  prepareCluster,
  readTicketSecret,
  sessionName,
  writeHeartbeat,
  type OwnNode,
} from './cluster-tables.ts';

/** A database that answers more slowly counts as one that is away, in ms. */
const answerMaxMs = 5000;

export interface SessionDeps {
  readonly access: DatabaseAccess;
  readonly partitions: number;
  readonly run: string;
  readonly clock: Clock;
}

/** How a node finds out whether another process has its name. */
export interface NameTimes {
  readonly pollMs: number;
  readonly silentMaxMs: number;
  readonly awayMaxMs: number;
}

export class ClusterSession {
  readonly #deps: SessionDeps;
  #connection: DatabaseConnection | undefined;

  constructor(deps: SessionDeps) {
    this.#deps = deps;
  }

  /**
   * Opens the connection and registers the node.
   *
   * @returns the secret of the keys of TLS session tickets
   * @throws FlotillaError `database-…`, `cluster-partitions-differ`, `cluster-node-name`, `store-undivided`, `store-exported`
   */
  async begin(own: OwnNode, times: NameTimes): Promise<Buffer> {
    try {
      const connection = await this.#open();
      await assertNotExported(connection);
      await this.#takeName(connection, own, times);
      await forgetNodes(connection);
      return await readTicketSecret(connection);
    } catch (error) {
      this.lose();
      if (error instanceof FlotillaError) throw error;
      throw new FlotillaError('database-unreachable', { cause: error });
    }
  }

  /**
   * Tries once to connect if the connection was lost.
   *
   * @param reconnected called when there is a new one
   * @throws FlotillaError `database-…`
   */
  async connection(reconnected: () => void): Promise<DatabaseConnection> {
    if (this.#connection?.isOpen === true) return this.#connection;
    const connection = await this.#open();
    reconnected();
    return connection;
  }

  /** Ends the connection if something takes too long. */
  async limited<T>(work: () => Promise<T>): Promise<T> {
    const cancel = this.#deps.clock.after(answerMaxMs, () => this.lose());
    try {
      return await work();
    } finally {
      cancel();
    }
  }

  /** Ends a connection whose state is not known. */
  lose(): void {
    this.#connection?.destroy();
    this.#connection = undefined;
  }

  /** @param last the last statements, without which it is closed if the database is away */
  async close(last: (connection: DatabaseConnection) => Promise<void>): Promise<void> {
    const connection = this.#connection;
    if (connection?.isOpen === true)
      await this.limited(() => last(connection)).catch(() => undefined);
    await connection?.close();
  }

  async #open(): Promise<DatabaseConnection> {
    const { access, partitions, run } = this.#deps;
    const connection = await DatabaseConnection.open(access, sessionName(run));
    this.#connection = connection;
    await this.limited(() => prepareCluster(connection, partitions));
    return connection;
  }

  /** Waits until a process of the same name that was killed counts as ended. */
  async #takeName(connection: DatabaseConnection, own: OwnNode, times: NameTimes): Promise<void> {
    const { pollMs, silentMaxMs, awayMaxMs } = times;
    let first: string | undefined;
    let awayMs = 0;
    let ended: string | null = null;
    while (!(await writeHeartbeat(connection, own, silentMaxMs, ended))) {
      const { nodes } = await lookAtCluster(connection, this.#deps.partitions);
      const other = nodes.find(({ node }) => node === own.node);
      first ??= other?.seenAt;
      if (other !== undefined && other.seenAt !== first) {
        throw new FlotillaError('cluster-node-name', { detail: `${own.node} at ${other.address}` });
      }
      awayMs = other?.isConnected === false ? awayMs + pollMs : 0;
      ended = awayMs > awayMaxMs ? (other?.run ?? null) : null;
      await new Promise<void>((resolve) => this.#deps.clock.after(pollMs, resolve));
    }
  }
}
