/**
 * The messages between the store and its writing thread in addition to broker/store/store-thread.ts, when the journal is in
 * a database.
 *
 * @module
 */
import type { DatabaseAccess } from '../../core/database/database-connection.ts';
import type { StorePartition } from './store-layout.ts';

/** What the writing thread is started with. */
export interface JournalThreadData {
  /** The local file. */
  readonly path: string;
  readonly access: DatabaseAccess;
  /** Names this broker for people: its machine and state folder. */
  readonly instance: string;
  /** Fingerprints of the root CAs that this broker trusts: those of its fleet. */
  readonly roots: readonly string[];
  /** Whether it waits while another broker is active; otherwise `database-in-use` is the error. */
  readonly waits: boolean;
  readonly times?: Partial<JournalTimes> | undefined;
  /** Undefined: the only store of the database. */
  readonly partition?: StorePartition | undefined;
}

export interface JournalTimes {
  /** Between two checkpoints, in ms. */
  readonly checkpointMs: number;
  /** The journal since the last checkpoint after which the next one begins, in bytes. */
  readonly checkpointBytes: number;
  /** A standby takes over after this time without a sign of life of the active broker, in ms. */
  readonly frozenAfterMs: number;
}

/** The state of the journal, for metrics and people. */
export interface JournalFacts {
  /** The name of the store. */
  readonly store: string;
  readonly term: number;
  readonly isConnected: boolean;
  /** Since the last checkpoint. */
  readonly journalBytes: number;
  /** Wall-clock time of the last checkpoint, or of the start; in ms since 1970. */
  readonly checkpointAtMs: number;
  /** How long the last checkpoint took, in ms. 0: there was none. */
  readonly checkpointMs: number;
  readonly checkpointRows: number;
}

/** A message to the store, which passes it on unread. */
export type JournalNotice =
  | { readonly type: 'standby'; readonly active: string }
  /** A line of the log, as JSON. */
  | { readonly type: 'log'; readonly line: string }
  | { readonly type: 'facts'; readonly facts: JournalFacts };
