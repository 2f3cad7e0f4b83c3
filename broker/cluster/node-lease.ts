/**
 * The lease of one node: it is renewed regularly, and nodes that do not renew theirs are fenced and recovered by the
 * others.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { DatabaseConnection } from '../../core/database/database-connection.ts';
import type { OwnershipHints } from './ownership-hints.ts';
import type { Incarnation } from './ownership-row.ts';
import {
  fenceStatement,
  heartbeatStatement,
  joinStatement,
  recoveredStatement,
  recoverStatement,
  unrecoveredStatement,
} from './ownership-tables.ts';

/** A node is fenced when it has not renewed its lease for this time, in ms. */
const nodeLeaseMs = 5000;
/** How many rows one statement recovers. */
const recoveredRowsMax = 1000;

export interface NodeLeaseDeps {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly database: Pick<DatabaseConnection, 'query'>;
  readonly node: string;
  readonly hints: Pick<OwnershipHints, 'send'>;
}

export class NodeLease {
  readonly #deps: NodeLeaseDeps;
  /** Since when the database has answered without a failure, in monotonic ms. */
  #steadySinceMs: number;

  constructor(deps: NodeLeaseDeps) {
    this.#deps = deps;
    this.#steadySinceMs = deps.clock.monotonicMs();
  }

  /** Begins a new incarnation of the node. The former one is fenced. @throws the errors of the database */
  async begin(): Promise<Incarnation> {
    const { database, node } = this.#deps;
    // A bigint is a string.
    const [row] = await database.query<{ number: string }>(joinStatement, [node]);
    if (row === undefined) throw new Error('the database has returned no number');
    return { node, number: Number(row.number) };
  }

  /** @returns false if the incarnation is fenced @throws the errors of the database */
  async renew({ node, number }: Incarnation): Promise<boolean> {
    const rows = await this.#deps.database.query(heartbeatStatement, [node, number]);
    return rows.length > 0;
  }

  /** A statement has failed: the others could not renew their leases either, and get the time again. */
  databaseFailed(): void {
    this.#steadySinceMs = this.#deps.clock.monotonicMs();
  }

  /** Fences the nodes whose lease is over. @throws the errors of the database */
  async fenceOthers(): Promise<void> {
    const { clock, database, node } = this.#deps;
    if (clock.monotonicMs() - this.#steadySinceMs <= nodeLeaseMs) return;
    await database.query(fenceStatement, [nodeLeaseMs, node]);
  }

  /**
   * Checks in what fenced incarnations own. If that fails, this node or another one continues later.
   *
   * @throws the errors of the database
   */
  async recover(): Promise<void> {
    const { database, hints } = this.#deps;
    const fenced = await database.query<{ name: string; number: string }>(unrecoveredStatement);
    if (fenced.length === 0) return;
    for (;;) {
      const rows = await database.query<{ client: string; waiting: string | null }>(
        recoverStatement,
        [recoveredRowsMax],
      );
      for (const { client, waiting } of rows) {
        if (waiting !== null) hints.send(waiting, { client });
      }
      if (rows.length < recoveredRowsMax) break;
    }
    const names = fenced.map(({ name }) => name);
    await database.query(recoveredStatement, [names, fenced.map(({ number }) => number)]);
  }
}
