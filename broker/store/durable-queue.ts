/**
 * The queue index of the durable store: where each entry is in the database, without its content.
 *
 * @module
 */
import type { IndexEntry, Queue } from './queue-index.ts';

/** The content of a message in the database: in its only entry, or in a row that entries share. */
export interface Body {
  readonly row: number;
  /** How many entries refer to it. */
  references: number;
  shared: boolean;
  /** The batch that it was written to, and the position of its operation in that batch. */
  readonly batch: number;
  readonly at: number;
}

export interface Entry extends IndexEntry {
  body: Body | undefined;
  readonly batch: number;
  readonly at: number;
}

/** A session of the durable store, in memory. */
export interface DurableSession {
  /** Its row number in the database. */
  readonly id: number;
  /** The identity that owns it. */
  readonly owner: string;
  readonly queue: Queue<Entry>;
}
