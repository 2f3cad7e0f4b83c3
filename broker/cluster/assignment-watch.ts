/**
 * Compares what one look at the database after the other shows: which nodes are alive, since when partitions are free, and
 * which holders hang. Only the clock of this process measures, and only while the database works.
 *
 * @module
 */
import { LookClock, SignOfLife } from '../../core/database/sign-of-life.ts';
import type { AssignmentView, PartitionView } from './assignment-decision.ts';
import { claimMaxMs, type ClusterLook, type NodeRow, type PartitionRow } from './cluster-rows.ts';

export interface WatchTimes {
  /** A node without a heartbeat for this time is not alive, in ms. */
  readonly silentMaxMs: number;
  /** A node without a connection to the database for this time is not alive, in ms. */
  readonly awayMaxMs: number;
  /** Any node takes a partition that has been free for this time, in ms. */
  readonly anyoneAfterMs: number;
  /** A partition that nobody has served for this time does not prevent that others are moved, in ms. */
  readonly stuckAfterMs: number;
  /** Partitions are moved to a node that has been alive for this time, in ms. */
  readonly settledAfterMs: number;
  /** The session of a holder that gives no sign of life for this time is ended, in ms. Undefined: never. */
  readonly hungAfterMs: number | undefined;
  /** After this node has lost the database, everybody has this time to connect again, in ms. */
  readonly patienceMs: number;
  /** The same after the start of the server, for a node that was not there before. */
  readonly serverPatienceMs: number;
}

/** A node that holds a partition now. */
export interface WatchedHolder {
  readonly node: string;
  readonly address: string;
  readonly term: number;
}

export interface WatchedNode {
  readonly row: NodeRow;
  readonly isAlive: boolean;
  /** Whether it is alive, connected, and not ending. */
  readonly isAble: boolean;
  /** Whether it is able, and no operator wants it to hold nothing. */
  readonly canTake: boolean;
  readonly isSettled: boolean;
}

/** What this process does with partitions. */
export interface OwnWork {
  readonly held: ReadonlySet<number>;
  readonly taking: ReadonlySet<number>;
  readonly giving: ReadonlySet<number>;
  readonly deferred: ReadonlySet<number>;
  readonly isDraining: boolean;
}

/** A holder that has only lost its connection takes its lock again at once, so it is not free in one look only. */
const freeMinLooks = 2;

interface NodeMemory {
  seenAt: string;
  silentMs: number;
  awayMs: number;
  takerMs: number;
}

interface PartitionMemory {
  readonly holder: SignOfLife;
  freeMs: number;
  freeLooks: number;
  unservedMs: number;
}

export class AssignmentWatch {
  readonly #own: { readonly node: string; readonly run: string };
  readonly #times: WatchTimes;
  readonly #clock = new LookClock();
  /** By the run. */
  #memories = new Map<string, NodeMemory>();
  readonly #partitions: PartitionMemory[] = [];
  #connectedAtMs = -Infinity;
  #isSettling = false;
  #look: ClusterLook = { nodes: [], partitions: [], upMs: 0 };
  #nodes: readonly WatchedNode[] = [];

  constructor(own: { readonly node: string; readonly run: string }, times: WatchTimes) {
    this.#own = own;
    this.#times = times;
  }

  /** Called when the connection to the database was lost and is there again. */
  reconnected(nowMs: number): void {
    this.#connectedAtMs = nowMs;
  }

  /**
   * @param nowMs of a clock that never goes back
   * @returns the sessions of holders that hang
   */
  note(look: ClusterLook, nowMs: number, own: OwnWork): readonly number[] {
    const counted = this.#clock.look(nowMs);
    const { patienceMs, serverPatienceMs } = this.#times;
    // A server that has just started has no sessions of those who held partitions before.
    const isRestart =
      look.upMs < serverPatienceMs && look.partitions.some(({ node }) => node !== null);
    this.#isSettling = nowMs - this.#connectedAtMs < patienceMs || isRestart;
    const passedMs = this.#isSettling ? 0 : counted;
    this.#look = look;
    const memories = new Map<string, NodeMemory>();
    this.#nodes = look.nodes.map((row) => {
      const memory = this.#memories.get(row.run) ?? newNode(row);
      memories.set(row.run, memory);
      return this.#judge(row, memory, passedMs, own);
    });
    this.#memories = memories;
    return look.partitions.flatMap((row, index) => {
      const memory = (this.#partitions[index] ??= newPartition());
      const isFree = this.#isFree(row, index, own);
      memory.freeMs = isFree && memory.freeLooks > 0 ? memory.freeMs + passedMs : 0;
      memory.freeLooks = isFree && !this.#isSettling ? memory.freeLooks + 1 : 0;
      const isServed = own.held.has(index) || this.holderOf(index) !== undefined;
      memory.unservedMs = isServed ? 0 : memory.unservedMs + passedMs;
      const unchangedMs = memory.holder.note(row.sign ?? undefined, passedMs);
      const hangs = unchangedMs >= (this.#times.hungAfterMs ?? Infinity);
      return hangs && row.pid !== null && !own.held.has(index) ? [row.pid] : [];
    });
  }

  get nodes(): readonly WatchedNode[] {
    return this.#nodes;
  }

  /** Processes that may be taking partitions. */
  get liveRuns(): readonly string[] {
    return this.#nodes.filter(({ isAlive }) => isAlive).map(({ row }) => row.run);
  }

  /**
   * Who holds a partition by the last look. While the database comes back, that is who held it before.
   */
  holderOf(index: number): WatchedHolder | undefined {
    const row = this.#look.partitions[index];
    if (row === undefined) return undefined;
    const { node, address, term, storeTerm } = row;
    if (node === null || address === null || term === null || term !== storeTerm) return undefined;
    return row.pid === null && !this.#isSettling ? undefined : { node, address, term };
  }

  view(own: OwnWork): AssignmentView {
    const wanted = this.#nodes.filter(({ canTake }) => canTake);
    // A partition without a holder would be worse than what an operator wants to avoid.
    const takers = wanted.length > 0 ? wanted : this.#nodes.filter(({ isAble }) => isAble);
    return {
      own: this.#own.node,
      takers: takers.map(({ row: { node, failing }, isSettled }) => ({
        ...{ node, isSettled, isFailing: failing },
      })),
      partitions: this.#look.partitions.map((row, index) => this.#partitionView(row, index, own)),
    };
  }

  #judge(row: NodeRow, memory: NodeMemory, passedMs: number, own: OwnWork): WatchedNode {
    const { silentMaxMs, awayMaxMs, settledAfterMs } = this.#times;
    const isOwn = row.run === this.#own.run;
    memory.silentMs = row.seenAt === memory.seenAt ? memory.silentMs + passedMs : 0;
    memory.seenAt = row.seenAt;
    memory.awayMs = row.isConnected ? 0 : memory.awayMs + passedMs;
    const isAlive = isOwn || (memory.silentMs < silentMaxMs && memory.awayMs < awayMaxMs);
    const draining = isOwn ? own.isDraining : row.draining;
    const isAble = isAlive && !draining && (isOwn || row.isConnected);
    const canTake = isAble && !row.isDrainAsked;
    memory.takerMs = canTake ? memory.takerMs + passedMs : 0;
    const isSettled = isOwn || (memory.takerMs >= settledAfterMs && !row.failing);
    return { row, isAlive, isAble, canTake, isSettled };
  }

  #isFree({ pid, claimRun, claimMs }: PartitionRow, index: number, own: OwnWork): boolean {
    if (pid !== null || own.held.has(index) || own.taking.has(index) || own.giving.has(index)) {
      return false;
    }
    return (
      claimRun === null || (claimMs ?? 0) >= claimMaxMs || this.#nodeOf(claimRun) === undefined
    );
  }

  #partitionView(row: PartitionRow, index: number, own: OwnWork): PartitionView {
    const { anyoneAfterMs, stuckAfterMs } = this.#times;
    const { freeMs, freeLooks, unservedMs } = this.#partitions[index] ?? newPartition();
    const isDeferred = own.deferred.has(index);
    const isUnserved = unservedMs < stuckAfterMs;
    if (this.#isFree(row, index, own)) {
      const isReady = freeLooks >= (row.node === null ? 1 : freeMinLooks);
      const free = freeMs >= anyoneAfterMs ? 'anyone' : 'planned';
      return {
        node: undefined,
        isMoving: isUnserved,
        free: isReady ? free : undefined,
        isDeferred,
      };
    }
    if (own.held.has(index)) {
      return { node: this.#own.node, isMoving: false, free: undefined, isDeferred };
    }
    const found = this.holderOf(index);
    // What the database says about this node is older than what it knows itself.
    const holder = found?.node === this.#own.node ? undefined : found;
    const claimer = own.taking.has(index) ? this.#own.node : this.#nodeOf(row.claimRun);
    const isMoving = holder === undefined && isUnserved;
    return { node: holder?.node ?? claimer, isMoving, free: undefined, isDeferred };
  }

  /** The name of a live process. */
  #nodeOf(run: string | null): string | undefined {
    return this.#nodes.find(({ row, isAlive }) => isAlive && row.run === run)?.row.node;
  }
}

function newNode({ seenAt, silentMs }: NodeRow): NodeMemory {
  return { seenAt, silentMs, awayMs: 0, takerMs: 0 };
}

function newPartition(): PartitionMemory {
  return { holder: new SignOfLife(), freeMs: 0, freeLooks: 0, unservedMs: 0 };
}
