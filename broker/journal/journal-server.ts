/**
 * The writing thread with a journal in a database. A batch is applied to the local file at once, so that messages can be
 * read, and is reported as committed when its journal row is durable in the database. One row is on its way; the batches
 * that come meanwhile become the next row.
 *
 * While the database is away, batches wait, and the store is stalled. What was sent is resolved by
 * core/database/database-term.ts: a row takes effect once, or is sent again under the same number.
 *
 * @module
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { DatabaseSync } from 'node:sqlite';
import type { DatabaseTerm } from '../../core/database/database-term.ts';
import { messageOf } from '../../core/errors/flotilla-error.ts';
import { readRetained } from '../store/read-contents.ts';
import { isDiskFull, messageBuffers } from '../store/serve-store.ts';
import type { StoreReply, StoreRequest } from '../store/store-thread.ts';
import type { StoreWriter } from '../store/store-writer.ts';
import type { CheckpointSchedule } from './checkpoint-schedule.ts';
import { appendToJournal } from './journal-tables.ts';
import type { StallReasons } from './stall-reasons.ts';

/** The size of a journal row, without its last batch. */
const rowMaxBytes = 8 * 1024 * 1024;
/** How long the database may be silent before the store is stalled, in ms. */
export const silentMaxMs = 3000;
const retryMs = 1000;
/** How long the end waits for the database, in ms. */
const closeMaxMs = 10_000;

type BatchRequest = Extract<StoreRequest, { readonly type: 'batch' }>;
type ReadRequest = Extract<StoreRequest, { readonly type: 'read' }>;

/** The batches of one journal row. */
interface Row {
  readonly batches: BatchRequest[];
  bytes: number;
  /** Whether nothing may be added, because it is on its way or a checkpoint ends with it. */
  isSealed: boolean;
}

export interface JournalServerDeps {
  /** The name of the store. */
  readonly store: string;
  readonly term: DatabaseTerm;
  readonly database: DatabaseSync;
  readonly writer: StoreWriter;
  readonly stall: StallReasons;
  readonly post: (reply: StoreReply, transfer?: ArrayBuffer[]) => void;
}

export class JournalServer {
  readonly #deps: JournalServerDeps;
  /** Rows that are not durable, in order. The first one is on its way. */
  readonly #rows: Row[] = [];
  #appending: Promise<void> | undefined;
  /** Batches that the local disk has no room for, and reads that came since. */
  #unapplied: BatchRequest[] = [];
  #reads: ReadRequest[] = [];
  #retry: NodeJS.Timeout | undefined;
  #waiting: { readonly position: number; readonly resolve: () => void }[] = [];
  #checkpoints: CheckpointSchedule | undefined;
  #isStopped = false;

  constructor(deps: JournalServerDeps) {
    this.#deps = deps;
  }

  /** Set before the first request. */
  set checkpoints(schedule: CheckpointSchedule) {
    this.#checkpoints = schedule;
  }

  /** Whether nothing waits for the database. */
  get isIdle(): boolean {
    return this.#rows.length === 0;
  }

  /** Handles every request but `close`. @throws any error that trying again cannot cure */
  handle(request: StoreRequest): void {
    if (request.type === 'batch') {
      this.#unapplied.push(request);
      if (this.#unapplied.length === 1) this.#applyAll();
    } else if (request.type === 'read') {
      this.#reads.push(request);
      if (this.#unapplied.length === 0) this.#readAll();
    } else if (request.type === 'readRetained') {
      const page = readRetained(this.#deps.database, request.afterRow);
      this.#deps.post({ type: 'retained', ...page }, [page.data.buffer]);
    }
  }

  /** The position in the journal of the local file as it is now. Later batches get a later one. */
  position(): number {
    for (const row of this.#rows) row.isSealed = true;
    return this.#deps.term.writes + this.#rows.length;
  }

  /** Resolves when a position is durable. */
  durable(position: number): Promise<void> {
    if (this.#deps.term.writes >= position) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ position, resolve }));
  }

  /** Waits for what is on its way, for a limited time. @returns whether everything is durable */
  async finish(): Promise<boolean> {
    const late = new AbortController();
    await Promise.race([
      (async () => {
        while (this.#appending !== undefined) await this.#appending;
      })(),
      pause(closeMaxMs, undefined, { signal: late.signal }).catch(() => undefined),
    ]);
    late.abort();
    this.stop();
    return this.#rows.length === 0 && this.#unapplied.length === 0;
  }

  /** Sends nothing more. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#retry);
    this.#deps.stall.stop();
  }

  #applyAll(): void {
    const { writer, stall } = this.#deps;
    for (let batch = this.#unapplied[0]; batch !== undefined; batch = this.#unapplied[0]) {
      try {
        writer.apply(batch.data);
        writer.commit();
      } catch (error) {
        if (!isDiskFull(error)) throw error;
        writer.rollback();
        stall.set('disk', messageOf(error));
        this.#retry = setTimeout(() => this.#applyAll(), retryMs);
        return;
      }
      this.#unapplied.shift();
      this.#add(batch);
      // It may begin a checkpoint, whose position must include the batch.
      this.#checkpoints?.note(batch.data);
    }
    stall.clear('disk');
    this.#readAll();
  }

  #readAll(): void {
    for (const { id, sequences } of this.#reads.splice(0)) {
      const rows = this.#deps.writer.read(sequences);
      this.#deps.post({ type: 'rows', id, rows }, messageBuffers(rows));
    }
  }

  #add(batch: BatchRequest): void {
    const last = this.#rows.at(-1);
    if (last === undefined || last.isSealed || last.bytes >= rowMaxBytes) {
      this.#rows.push({ batches: [batch], bytes: batch.data.length, isSealed: false });
    } else {
      last.batches.push(batch);
      last.bytes += batch.data.length;
    }
    this.#appending ??= this.#appendAll().finally(() => (this.#appending = undefined));
  }

  async #appendAll(): Promise<void> {
    const { post, stall, term } = this.#deps;
    for (let row = this.#rows[0]; row !== undefined; row = this.#rows[0]) {
      const startMs = performance.now();
      row.isSealed = true;
      await this.#checkpoints?.overdue(term.writes + 1);
      const appended = await this.#append(
        Buffer.concat(
          row.batches.map(({ data }) => data),
          row.bytes,
        ),
      );
      if (!appended) return;
      this.#rows.shift();
      stall.clear('database');
      const tookMs = performance.now() - startMs;
      post({ type: 'committed', number: row.batches.at(-1)?.number ?? 0, tookMs });
      // `committed` ends a stall; this one goes on.
      if (stall.current !== undefined) post({ type: 'stalled', detail: stall.current });
      const { writes } = term;
      for (const { position, resolve } of this.#waiting) if (position <= writes) resolve();
      this.#waiting = this.#waiting.filter(({ position }) => position > writes);
    }
  }

  #mustStop(): boolean {
    return this.#isStopped;
  }

  /** @returns false: nothing may be written any more */
  async #append(operations: Buffer): Promise<boolean> {
    const { store, term, stall } = this.#deps;
    for (;;) {
      stall.plan('database', 'the database does not answer', silentMaxMs);
      try {
        await term.write(appendToJournal(store, operations));
        return true;
      } catch (error) {
        if (term.fenced !== undefined || this.#mustStop()) return false;
        const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
        stall.set('database', messageOf(cause));
      }
      await pause(retryMs);
      if (this.#mustStop()) return false;
    }
  }
}
