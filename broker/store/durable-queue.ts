/**
 * What memory holds of a durable queue: where each entry stands in the database, not its content.
 *
 * @module
 */
import type { IndexEntry, Queue } from './queue-index.ts';

/** A message's content in the database: in its one entry, or a row that several entries share. */
export interface Body {
  readonly row: number;
  /** Entries that need it. */
  references: number;
  shared: boolean;
  /** The batch that it was written into, and where its operation stands in it. */
  readonly batch: number;
  readonly at: number;
}

export interface Entry extends IndexEntry {
  body: Body | undefined;
  readonly batch: number;
  readonly at: number;
}

/** What memory keeps of a session. */
export interface Kept {
  /** Its number in the database. */
  readonly id: number;
  readonly queue: Queue<Entry>;
}
