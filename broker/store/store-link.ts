/**
 * The store's end of the line to its writing thread: the open batch, what is under way, who waits.
 *
 * At most two batches are under way: one that is written and one that waits behind it. What is
 * mutated meanwhile gathers in the open batch, which so grows with the slowness of the disk.
 *
 * @module
 */
import { Worker } from 'node:worker_threads';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { BatchWriter } from './batch-format.ts';
import type { Contents, Notice, Order, QueueRow } from './store-thread.ts';

const underWayMax = 2;
const batchMinBytes = 4 * 1024;

/** The usual thread. The extension is that of this file: `.js` once built. */
export const storeWorkerUrl = new URL(
  `./store-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`,
  import.meta.url,
);

interface Waiting {
  readonly batch: number;
  readonly call: (error?: FlotillaError) => void;
}

interface Reading {
  readonly resolve: (rows: readonly QueueRow[]) => void;
  readonly reject: (error: FlotillaError) => void;
}

export class StoreLink {
  readonly #worker: Worker;
  readonly #opened = Promise.withResolvers<Contents>();
  readonly #closed = Promise.withResolvers<undefined>();
  readonly #reads = new Map<number, Reading>();
  readonly #underWay: { readonly number: number; readonly bytes: number }[] = [];
  #waiting: Waiting[] = [];
  #open = new BatchWriter(batchMinBytes);
  #number = 1;
  #readId = 0;
  #sealing: NodeJS.Immediate | undefined;
  #failure: FlotillaError | undefined;
  #closing = false;
  #ended = false;
  transactions = 0;
  lastTransactionMs = 0;

  constructor(path: string, worker: URL = storeWorkerUrl) {
    this.#worker = new Worker(worker, { workerData: path, name: 'store' });
    this.#worker.on('message', (notice: Notice) => this.#take(notice));
    this.#worker.on('error', (error) => this.#fail('store-write-failed', messageOf(error)));
    this.#worker.on('exit', () => {
      this.#ended = true;
      this.#fail('store-write-failed', 'the writing thread ended');
      this.#closed.resolve(undefined);
    });
    this.#closed.promise.catch(() => undefined);
    this.#opened.promise.catch(() => undefined);
  }

  /** Waits until the file is open. @throws FlotillaError `store-…`; the thread has then ended */
  async opened(): Promise<Contents> {
    try {
      return await this.#opened.promise;
    } catch (error) {
      await this.#worker.terminate();
      throw error;
    }
  }

  /** The number of the open batch. */
  get batch(): number {
    return this.#number;
  }

  /** Why nothing is written any more. */
  get failure(): FlotillaError | undefined {
    return this.#failure;
  }

  /** The open batch without a promise to seal it: for changing what stands in it. */
  get written(): BatchWriter {
    return this.#open;
  }

  /** The open batch, to write into. It is sealed at the end of this turn, or when its turn comes. */
  get open(): BatchWriter {
    if (this.#failure !== undefined && this.#open.length > batchMinBytes) this.#discard();
    this.#sealing ??= setImmediate(() => {
      this.#sealing = undefined;
      this.#seal();
    });
    return this.#open;
  }

  get pending(): boolean {
    return this.#open.length > 0 || this.#underWay.length > 0;
  }

  get pendingBytes(): number {
    return this.#underWay.reduce((sum, { bytes }) => sum + bytes, this.#open.length);
  }

  afterCommit(call: (error?: FlotillaError) => void): void {
    if (this.#failure !== undefined) return call(this.#failure);
    if (!this.pending) return call();
    const batch = this.#open.length > 0 ? this.#number : this.#number - 1;
    this.#waiting.push({ batch, call });
    this.#seal();
  }

  /** Reads entries, those in the open batch included. @throws FlotillaError `store-write-failed` */
  read(sequences: Float64Array<ArrayBuffer>): Promise<readonly QueueRow[]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#send();
    const id = ++this.#readId;
    return new Promise((resolve, reject) => {
      this.#reads.set(id, { resolve, reject });
      this.#post({ type: 'read', id, sequences }, [sequences.buffer]);
    });
  }

  /** Writes what is open and ends the thread. */
  async close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      clearImmediate(this.#sealing);
      if (this.#failure === undefined) {
        this.#send();
        this.#post({ type: 'close' }, []);
      } else {
        await this.#worker.terminate();
      }
    }
    await this.#closed.promise;
  }

  #seal(): void {
    if (this.#underWay.length < underWayMax) this.#send();
  }

  #send(): void {
    const bytes = this.#open.length;
    if (bytes === 0 || this.#failure !== undefined) return;
    const number = this.#number++;
    this.#underWay.push({ number, bytes });
    const data = this.#open.take();
    // About as much room as the last one needed, so that it seldom grows.
    this.#open = new BatchWriter(Math.max(batchMinBytes, bytes + (bytes >> 1)));
    this.#post({ type: 'batch', number, data }, [data.buffer]);
  }

  /** Nobody will take it any more. */
  #discard(): void {
    this.#number++;
    this.#open = new BatchWriter(batchMinBytes * 2);
  }

  #post(order: Order, transfer: ArrayBuffer[]): void {
    this.#worker.postMessage(order, transfer);
  }

  #take(notice: Notice): void {
    switch (notice.type) {
      case 'opened':
        return this.#opened.resolve(notice.contents);
      case 'committed':
        return this.#commit(notice.number, notice.tookMs);
      case 'rows':
        this.#reads.get(notice.id)?.resolve(notice.rows);
        this.#reads.delete(notice.id);
        return;
      case 'failed':
        return this.#fail(notice.code, notice.detail);
      case 'closed':
        this.#ended = true;
        void this.#worker.terminate();
    }
  }

  #commit(number: number, tookMs: number): void {
    this.transactions++;
    this.lastTransactionMs = tookMs;
    while ((this.#underWay[0]?.number ?? Infinity) <= number) this.#underWay.shift();
    this.#seal();
    let calls = 0;
    while ((this.#waiting[calls]?.batch ?? Infinity) <= number) calls++;
    for (const { call } of this.#waiting.splice(0, calls)) call();
  }

  #fail(code: FlotillaError['code'], detail: string | undefined): void {
    if (this.#failure !== undefined) return;
    const failure = new FlotillaError(code, detail === undefined ? {} : { detail });
    if (this.#closing && this.#ended && !this.pending) {
      // The usual end.
      this.#failure = failure;
      return;
    }
    this.#failure = failure;
    this.#opened.reject(failure);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { call } of waiting) call(failure);
    for (const { reject } of this.#reads.values()) reject(failure);
    this.#reads.clear();
    if (this.#closing) void this.#worker.terminate();
  }
}
