/**
 * What a look at the database returns, and how long a part of it counts.
 *
 * @module
 */

/** A process that has claimed a partition must have its lock within this time, in ms. */
export const claimMaxMs = 10_000;

/** A node, alive or not. A process has the same `run` until it ends. */
export interface NodeRow {
  readonly node: string;
  readonly run: string;
  readonly address: string;
  readonly version: string;
  /** It is ending, and takes nothing any more. */
  readonly draining: boolean;
  /** Whether it could not take a partition that another node can serve: no partition is moved to it. */
  readonly failing: boolean;
  /** An operator wants other nodes to hold its partitions. */
  readonly isDrainAsked: boolean;
  /** The time of the last heartbeat, as text that is only compared. */
  readonly seenAt: string;
  /** How long ago that was by the clock of the database, in ms. */
  readonly silentMs: number;
  /** Whether it has a connection to the database now. */
  readonly isConnected: boolean;
}

export interface PartitionRow {
  /** The node that has served the partition last and has not given it. Null: none. */
  readonly node: string | null;
  readonly run: string | null;
  readonly address: string | null;
  /** The term in which it has served it. */
  readonly term: number | null;
  /** The newest term of the store. */
  readonly storeTerm: number | null;
  /** The process that is taking it. */
  readonly claimRun: string | null;
  /** How long ago that has begun, in ms. */
  readonly claimMs: number | null;
  /** The session of the server that has the lock of the store. Null: it is free. */
  readonly pid: number | null;
  /** A sign of life of that session; null: it certainly lives. */
  readonly sign: string | null;
}

export interface ClusterLook {
  readonly nodes: readonly NodeRow[];
  /** By their index. */
  readonly partitions: readonly PartitionRow[];
  /** How long the server has been running, in ms. */
  readonly upMs: number;
}
