/**
 * When a checkpoint is written: after some time, or when the journal since the last one is long. A checkpoint that fails is
 * tried again; its rows stay noted.
 *
 * @module
 */
import {
  DatabaseConnection,
  type DatabaseAccess,
} from '../../core/database/database-connection.ts';
import type { DatabaseTerm } from '../../core/database/database-term.ts';
import type { Logger } from '../../core/log.ts';
import { writeCheckpoint } from './checkpoint.ts';
import { checkpointRows } from './checkpoint-rows.ts';
import { snapshotOf } from './index-file.ts';
import type { JournalFacts, JournalTimes } from './journal-thread.ts';
import { TouchedRows } from './touched-rows.ts';

const retryMs = 5000;
/** A shorter journal is replayed at once. */
const lastMinBytes = 1024 * 1024;
/** Appends wait for the checkpoint when the journal is this many times longer than the one that begins a checkpoint. */
const overdueFactor = 8;

export interface CheckpointDeps {
  /** The name of the store. */
  readonly store: string;
  readonly access: DatabaseAccess;
  readonly term: DatabaseTerm;
  /** The local file. */
  readonly path: string;
  readonly times: Pick<JournalTimes, 'checkpointMs' | 'checkpointBytes'>;
  readonly log: Logger;
  /** Returns the position in the journal that belongs to the local file as it is now. */
  readonly position: () => number;
  /** Resolves when that position is durable. */
  readonly durable: (position: number) => Promise<void>;
}

export class CheckpointSchedule {
  readonly #deps: CheckpointDeps;
  #touched: TouchedRows;
  #bytes: number;
  /** What the checkpoint that is being written contains. */
  #runningBytes = 0;
  /** The position of the last checkpoint that began. */
  #position = Infinity;
  #atMs = Date.now();
  #tookMs = 0;
  #rows = 0;
  #connection: DatabaseConnection | undefined;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout;
  #isClosed = false;

  /**
   * @param touched the rows behind the last checkpoint
   * @param bytes the journal behind it
   */
  constructor(deps: CheckpointDeps, touched: TouchedRows, bytes: number) {
    this.#deps = deps;
    this.#touched = touched;
    this.#bytes = bytes;
    this.#timer = this.#planned(deps.times.checkpointMs);
    this.#beginIfLong();
  }

  get facts(): Omit<JournalFacts, 'store' | 'term' | 'isConnected'> {
    return {
      journalBytes: this.#bytes + this.#runningBytes,
      checkpointAtMs: this.#atMs,
      checkpointMs: this.#tookMs,
      checkpointRows: this.#rows,
    };
  }

  /** Notes a batch that was written to the local file. */
  note(data: Uint8Array): void {
    this.#touched.note(data);
    this.#bytes += data.length;
    this.#beginIfLong();
  }

  /**
   * What the append at a position must wait for, because the journal is much too long; undefined: nothing. The checkpoint
   * itself waits for the positions that it contains.
   */
  overdue(position: number): Promise<void> | undefined {
    const isLong = this.#bytes > this.#deps.times.checkpointBytes * overdueFactor;
    return isLong && position > this.#position ? this.#running : undefined;
  }

  /** Folds a long journal a last time, so that the next start is fast. */
  async finish(): Promise<void> {
    await this.#running;
    if (this.#bytes < Math.min(lastMinBytes, this.#deps.times.checkpointBytes)) return;
    this.#begin();
    await this.#running;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    // What it has written so far is rolled back.
    this.#connection?.destroy();
    await this.#running;
  }

  #beginIfLong(): void {
    if (this.#bytes >= this.#deps.times.checkpointBytes) this.#begin();
  }

  #planned(ms: number): NodeJS.Timeout {
    return setTimeout(() => this.#begin(), ms);
  }

  #begin(): void {
    if (this.#running !== undefined || this.#isClosed) return;
    clearTimeout(this.#timer);
    const { checkpointMs } = this.#deps.times;
    this.#running = this.#write()
      .then(
        () => checkpointMs,
        (error: unknown) => {
          if (!this.#isClosed) this.#deps.log.warn({ err: error }, 'a checkpoint was not written');
          return Math.min(retryMs, checkpointMs);
        },
      )
      .then((nextMs) => {
        this.#running = undefined;
        if (!this.#isClosed) this.#timer = this.#planned(nextMs);
      });
  }

  async #write(): Promise<void> {
    if (this.#bytes === 0) return;
    const { store, access, term, path, position, durable, log } = this.#deps;
    const startMs = performance.now();
    // In one turn of the event loop: the position, the local file and the rows belong together.
    const at = position();
    this.#position = at;
    const snapshot = snapshotOf(path);
    const touched = this.#touched;
    const bytes = this.#bytes;
    this.#touched = new TouchedRows();
    this.#bytes = 0;
    this.#runningBytes = bytes;
    let rows: number | undefined;
    try {
      await durable(at);
      if (this.#connection?.isOpen !== true) {
        this.#connection = await DatabaseConnection.open(access, 'flotilla-checkpoint');
      }
      if (this.#isClosed) throw new Error('the store is being closed');
      rows = await writeCheckpoint(this.#connection, {
        ...{ store, term: term.term, position: at },
        deletedSessions: touched.deletedSessions,
        rows: checkpointRows(snapshot, touched),
      });
      if (rows === undefined) throw new Error('another broker is active');
    } finally {
      snapshot.close();
      this.#runningBytes = 0;
      if (rows === undefined) {
        this.#connection?.destroy();
        this.#touched.addEarlier(touched);
        this.#bytes += bytes;
      }
    }
    this.#rows = rows;
    this.#atMs = Date.now();
    this.#tookMs = performance.now() - startMs;
    log.debug({ rows, tookMs: Math.round(this.#tookMs), bytes }, 'checkpoint written');
  }
}
