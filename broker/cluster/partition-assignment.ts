/**
 * Which node holds which partition: registers this node, watches the others, and takes and gives partitions so that each
 * has a holder and all nodes have about as many. The rows in the database only help nodes to agree. The lock and the term
 * of a store decide who writes it, so a wrong view costs time, never a message.
 *
 * @module
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import type {
  DatabaseAccess,
  DatabaseConnection,
} from '../../core/database/database-connection.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import { decideAssignment } from './assignment-decision.ts';
import { AssignmentWatch, type OwnWork, type WatchTimes } from './assignment-watch.ts';
import type { ClusterLook, PartitionRow } from './cluster-rows.ts';
import { ClusterSession } from './cluster-session.ts';
import {
  claimPartitions,
  clearPartitions,
  deleteNode,
  lookAtCluster,
  writeHeartbeat,
  writeHolder,
  type OwnNode,
} from './cluster-tables.ts';
import { HeldPartitions } from './held-partitions.ts';

/** A node of the cluster, alive or not. */
export interface NodeRecord {
  readonly name: string;
  /** `host:port` for other nodes. */
  readonly address: string;
  readonly version: string;
  /** It is ending, or an operator wants it to hold nothing. */
  readonly draining: boolean;
  readonly alive: boolean;
}

export interface PartitionHolder {
  readonly node: string;
  readonly address: string;
  readonly term: number;
}

export interface AssignmentTimes extends WatchTimes {
  /** Between two looks at the database, in ms. */
  readonly pollMs: number;
  readonly heartbeatMs: number;
  /** After a failed attempt to take a partition, and after one was given or lost, others may take it for this time, in ms. */
  readonly deferMs: number;
}

const usualTimes: AssignmentTimes = {
  pollMs: 250,
  heartbeatMs: 1000,
  deferMs: 5000,
  silentMaxMs: 5000,
  awayMaxMs: 1000,
  anyoneAfterMs: 1000,
  stuckAfterMs: 30_000,
  settledAfterMs: 10_000,
  hungAfterMs: 10_000,
  patienceMs: 3000,
  serverPatienceMs: 3000,
};

export interface AssignmentDeps {
  readonly access: DatabaseAccess;
  /** The name of this node, of at most 255 characters. */
  readonly node: string;
  readonly address: () => string;
  readonly version: string;
  /** How many partitions the fleet has. */
  readonly partitions: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly times?: Partial<AssignmentTimes>;
  /** Opens the store and starts to serve. Resolves when the partition serves here. Undefined or an error: it does not. */
  readonly take: (partition: number) => Promise<{ readonly term: number } | undefined>;
  /** Ends serving and closes the store. */
  readonly give: (partition: number) => Promise<void>;
}

export class PartitionAssignment {
  /** Resolves when this process must not continue: another one has the name of this node. */
  readonly failed: Promise<FlotillaError>;
  readonly #deps: AssignmentDeps;
  readonly #times: AssignmentTimes;
  readonly #run = randomUUID();
  readonly #watch: AssignmentWatch;
  readonly #session: ClusterSession;
  readonly #work: HeldPartitions;
  readonly #listeners: (() => void)[] = [];
  #fail: (error: FlotillaError) => void = () => undefined;
  #heartbeatAtMs = -Infinity;
  #isNameTaken = false;
  #isAway = false;
  #isLookWanted = false;
  /** As the database knows it. */
  #wasFailing = false;
  #isDraining = false;
  #isClosed = false;
  #nodes: readonly NodeRecord[] = [];
  /** What listeners know. */
  #known = '';
  #loop: Promise<void> = Promise.resolve();
  #wake: () => void = () => undefined;

  constructor(deps: AssignmentDeps) {
    this.#deps = deps;
    this.#times = { ...usualTimes, ...deps.times };
    const { clock, log } = deps;
    this.failed = new Promise((resolve) => (this.#fail = resolve));
    this.#watch = new AssignmentWatch({ node: deps.node, run: this.#run }, this.#times);
    this.#session = new ClusterSession({ ...deps, run: this.#run });
    this.#work = new HeldPartitions({
      ...{ take: deps.take, give: deps.give, clock, log, deferMs: this.#times.deferMs },
      changed: () => this.#lookNow(),
    });
  }

  /**
   * Registers this node, and then takes its share of the partitions.
   *
   * @returns the secret from which all nodes derive the keys of TLS session tickets
   * @throws FlotillaError `database-…`, `cluster-partitions-differ`, `cluster-node-name`, `store-undivided`
   */
  async start(): Promise<Buffer> {
    const ticketSecret = await this.#session.begin(this.#ownNode(), this.#times);
    await this.#step();
    this.#loop = this.#repeat();
    return ticketSecret;
  }

  /**
   * Who holds a partition, by the last look at the database: a hint, because it may have changed since. Undefined: nobody,
   * or a node is taking it.
   */
  holderOf(partition: number): PartitionHolder | undefined {
    const { node, address } = this.#deps;
    const term = this.#work.terms.get(partition);
    if (term !== undefined) return { node, address: address(), term };
    const holder = this.#watch.holderOf(partition);
    // It was held here until now.
    return holder?.node === node ? undefined : holder;
  }

  /** All nodes that were there within a day, by their name. */
  get nodes(): readonly NodeRecord[] {
    return this.#nodes;
  }

  /** Whether this node is ending, or an operator wants it to hold nothing. */
  get isDraining(): boolean {
    return this.#nodes.find(({ name }) => name === this.#deps.node)?.draining ?? this.#isDraining;
  }

  get held(): ReadonlySet<number> {
    return this.#work.held;
  }

  /** Notes that a partition does not serve here any more: its store was fenced, or has failed. */
  lost(partition: number): void {
    this.#work.lose(partition);
  }

  /** Calls when a holder or a node may have changed. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Gives all partitions and takes none any more. Resolves when all are given. */
  async drain(): Promise<void> {
    this.#isDraining = true;
    this.#heartbeatAtMs = -Infinity;
    this.#lookNow();
    await this.#work.giveAll();
  }

  /** Gives all partitions and removes this node. */
  async close(): Promise<void> {
    this.#isDraining = true;
    await this.#work.giveAll();
    this.#isClosed = true;
    this.#wake();
    await this.#loop;
    await this.#session.close(async (connection) => {
      const all = Array.from({ length: this.#deps.partitions }, (_, index) => index);
      await clearPartitions(connection, this.#run, all, all);
      await deleteNode(connection, this.#run);
    });
  }

  async #repeat(): Promise<void> {
    for (;;) {
      await this.#rest();
      if (this.#isClosed) return;
      await this.#step();
    }
  }

  /** Until the next look, or until one is wanted at once. */
  async #rest(): Promise<void> {
    const rested = Promise.withResolvers<undefined>();
    this.#wake = () => rested.resolve(undefined);
    if (this.#isLookWanted) this.#wake();
    const cancel = this.#deps.clock.after(this.#times.pollMs, this.#wake);
    await rested.promise;
    cancel();
    this.#isLookWanted = false;
  }

  #lookNow(): void {
    this.#notify();
    this.#isLookWanted = true;
    this.#wake();
  }

  /** One look, and what follows from it. What the database refuses is tried again by the next one. */
  async #step(): Promise<void> {
    if (this.#isNameTaken) return;
    const { clock, log, partitions } = this.#deps;
    try {
      const connection = await this.#session.connection(() => {
        log.info('the node is connected to the database again');
        this.#watch.reconnected(clock.monotonicMs());
        this.#heartbeatAtMs = -Infinity;
      });
      this.#isAway = false;
      await this.#session.limited(async () => {
        if (!(await this.#beat(connection))) return;
        const look = await lookAtCluster(connection, partitions);
        const hanging = this.#watch.note(look, clock.monotonicMs(), this.#ownWork());
        for (const partition of this.#work.deferred) {
          if (this.holderOf(partition) !== undefined) this.#work.heldElsewhere(partition);
        }
        this.#notify();
        for (const pid of hanging) {
          log.warn({ pid }, 'a holder gives no sign of life: its session is ended');
          await connection.query('SELECT pg_terminate_backend($1)', [pid]);
        }
        await this.#correct(connection, look);
        await this.#act(connection);
      });
    } catch (err) {
      if (!this.#isAway) log.warn({ err }, 'the node has lost its connection to the database');
      this.#isAway = true;
      this.#session.lose();
    }
  }

  /** @returns false: this node must not continue */
  async #beat(connection: DatabaseConnection): Promise<boolean> {
    const { clock, log } = this.#deps;
    const nowMs = clock.monotonicMs();
    const own = this.#ownNode();
    const isDue = nowMs - this.#heartbeatAtMs >= this.#times.heartbeatMs;
    if (!isDue && own.failing === this.#wasFailing) return true;
    this.#wasFailing = own.failing;
    if (await writeHeartbeat(connection, own, this.#times.silentMaxMs)) {
      this.#heartbeatAtMs = nowMs;
      return true;
    }
    this.#isNameTaken = true;
    const error = new FlotillaError('cluster-node-name', { detail: own.node });
    log.fatal({ err: error }, 'another process has the name of this node');
    this.#fail(error);
    return false;
  }

  /** Writes what the database does not know about this node, also after rows were lost with a database. */
  async #correct(connection: DatabaseConnection, { partitions }: ClusterLook): Promise<void> {
    const own = this.#ownNode();
    const unknown = [...this.#work.terms].flatMap(([partition, term]) => {
      const row = partitions[partition];
      const isKnown = row?.run === own.run && row.term === term && row.address === own.address;
      return isKnown || (row?.term ?? 0) > term ? [] : [{ partition, term }];
    });
    if (unknown.length > 0) await writeHolder(connection, own, unknown);
    const { held, taking } = this.#work;
    const giving = this.#work.giving;
    const notHeld = indexesOf(partitions, ({ run, node }, index) => {
      return run === own.run && node !== null && !held.has(index) && !giving.has(index);
    });
    const notTaken = indexesOf(
      partitions,
      ({ claimRun }, index) => claimRun === own.run && !taking.has(index),
    );
    if (notHeld.length + notTaken.length > 0) {
      await clearPartitions(connection, own.run, notHeld, notTaken);
    }
  }

  async #act(connection: DatabaseConnection): Promise<void> {
    if (this.#isDraining) return;
    const { take, give } = decideAssignment(this.#watch.view(this.#ownWork()));
    if (give !== undefined) void this.#work.give(give);
    const wanted = take.slice(0, this.#work.room);
    if (wanted.length === 0) return;
    const { liveRuns } = this.#watch;
    const claimed = await claimPartitions(connection, this.#run, wanted, liveRuns);
    // It may drain since, and then clears its claims.
    for (const partition of this.#mayTake() ? claimed : []) this.#work.take(partition);
  }

  #mayTake(): boolean {
    return !this.#isDraining;
  }

  #ownNode(): OwnNode {
    const { node, address, version } = this.#deps;
    const failing = this.#work.failures.some((index) => {
      const holder = this.#watch.holderOf(index);
      return holder !== undefined && holder.node !== node;
    });
    const state = { draining: this.#isDraining, failing };
    return { node, run: this.#run, address: address(), version, ...state };
  }

  #ownWork(): OwnWork {
    const { held, taking, giving, deferred } = this.#work;
    return { held, taking, giving, deferred, isDraining: this.#isDraining };
  }

  #notify(): void {
    this.#nodes = this.#watch.nodes
      .map(({ row, isAlive }) => ({
        ...{ name: row.node, address: row.address, version: row.version },
        draining: (row.run === this.#run ? this.#isDraining : row.draining) || row.isDrainAsked,
        alive: isAlive,
      }))
      .sort((one, other) => (one.name < other.name ? -1 : 1));
    const holders = Array.from({ length: this.#deps.partitions }, (_, partition) => {
      const holder = this.holderOf(partition);
      return holder === undefined ? 0 : [holder.node, holder.address, holder.term];
    });
    const known = JSON.stringify([this.#nodes, holders]);
    if (known === this.#known) return;
    this.#known = known;
    for (const listener of this.#listeners) listener();
  }
}

function indexesOf(
  rows: readonly PartitionRow[],
  matches: (row: PartitionRow, index: number) => boolean,
): number[] {
  return rows.flatMap((row, index) => (matches(row, index) ? [index] : []));
}
