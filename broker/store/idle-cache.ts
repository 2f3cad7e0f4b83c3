/**
 * Frees the page cache of a database that nobody uses: it grows to its limit once much was written, and SQLite keeps it.
 *
 * @module
 */
import type { DatabaseSync } from 'node:sqlite';

/** How often the use is looked at, in ms. So the cache is freed after one to two of these times without use. */
const checkDefaultMs = 30_000;

/** What it needs of a database. */
export type CachingDatabase = Pick<DatabaseSync, 'exec' | 'isTransaction'>;

export class IdleCache {
  readonly #database: CachingDatabase;
  readonly #timer: NodeJS.Timeout;
  #isUsed = false;
  #isFreed = true;

  /** @param checkMs how often the use is looked at; the thread may end in between */
  constructor(database: CachingDatabase, checkMs: number = checkDefaultMs) {
    this.#database = database;
    this.#timer = setInterval(() => this.#check(), checkMs);
    this.#timer.unref();
  }

  /** The database was used. */
  use(): void {
    this.#isUsed = true;
    this.#isFreed = false;
  }

  /** Before the database is closed. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    const wasUsed = this.#isUsed;
    this.#isUsed = false;
    // A transaction that waits for space on the disk needs its pages.
    if (wasUsed || this.#isFreed || this.#database.isTransaction) return;
    this.#database.exec('PRAGMA shrink_memory');
    this.#isFreed = true;
  }
}
