/**
 * The connection of the store to its writing thread: the open batch, the batches in flight, and the
 * callbacks that wait for them.
 *
 * At most two batches are in flight: one that is being written and one that waits. Later mutations are
 * added to the open batch, which therefore grows when the disk is slow.
 *
 * @module
 */
import { Worker } from 'node:worker_threads';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { workerModule } from '../../core/worker-module.ts';
import { BatchWriter } from './batch-format.ts';
import type {
  QueueRow,
  RetainedPage,
  StoreContents,
  StoreReply,
  StoreRequest,
} from './store-thread.ts';

const inFlightMax = 2;
/** Rows and batches are short-lived. A larger young generation only keeps their garbage longer. */
const youngMaxMb = 12;
const batchMinBytes = 4 * 1024;

/** The default module of the writing thread. */
export const storeWorkerUrl = workerModule('./store-worker', import.meta.url);

/** Another writing thread than the usual one. */
export interface StoreThread {
  readonly worker?: URL | undefined;
  /** What it is started with. Default: the path of the file. */
  readonly workerData?: unknown;
  /** Called with each `notice`. */
  readonly noticed?: ((notice: unknown) => void) | undefined;
  /** Called once when nothing can be written any more, at any time after the start. */
  readonly failed?: ((error: FlotillaError) => void) | undefined;
  /** Called after each commit, with its duration. */
  readonly committed?: ((tookMs: number) => void) | undefined;
  /** Ends the thread at once, as a crash does. */
  readonly abandon?: AbortSignal | undefined;
}

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
  readonly #thread: StoreThread;
  readonly #opened = Promise.withResolvers<StoreContents>();
  readonly #closed = Promise.withResolvers<undefined>();
  #retained: PromiseWithResolvers<RetainedPage> | undefined;
  readonly #reads = new Map<number, Reading>();
  readonly #copies = new Map<number, PromiseWithResolvers<undefined>>();
  readonly #inFlight: { readonly number: number; readonly bytes: number }[] = [];
  #waiting: Waiting[] = [];
  #open = new BatchWriter(batchMinBytes);
  #number = 1;
  #readId = 0;
  #sealing: NodeJS.Immediate | undefined;
  #failure: FlotillaError | undefined;
  #closing = false;
  #ended = false;
  /** Why nothing is committed at the moment; undefined while the store writes. It is tried again. */
  stalled: string | undefined;
  stallChanged: ((reason: string | undefined) => void) | undefined;
  transactions = 0;
  lastTransactionMs = 0;

  constructor(path: string, thread: StoreThread = {}) {
    const { worker = storeWorkerUrl, workerData = path, abandon } = thread;
    this.#thread = thread;
    this.#worker = new Worker(worker, {
      workerData,
      name: 'store',
      resourceLimits: { maxYoungGenerationSizeMb: youngMaxMb },
    });
    this.#worker.on('message', (reply: StoreReply) => this.#handle(reply));
    this.#worker.on('error', (error) => this.#fail('store-write-failed', messageOf(error)));
    this.#worker.on('exit', () => {
      this.#ended = true;
      this.#fail('store-write-failed', 'the writing thread ended');
      this.#closed.resolve(undefined);
    });
    abandon?.addEventListener('abort', () => void this.#worker.terminate(), { once: true });
    this.#closed.promise.catch(() => undefined);
    this.#opened.promise.catch(() => undefined);
  }

  /** Waits until the file is open. @throws FlotillaError `store-…`, after the thread has ended */
  async opened(): Promise<StoreContents> {
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

  /** Why nothing can be written; undefined while the store works. */
  get failure(): FlotillaError | undefined {
    return this.#failure;
  }

  /** The open batch, for changing operations that are already in it. */
  get written(): BatchWriter {
    return this.#open;
  }

  /** The open batch, for adding operations. It is sealed at the end of this turn of the event loop. */
  get open(): BatchWriter {
    if (this.#failure !== undefined && this.#open.length > batchMinBytes) this.#discard();
    this.#sealing ??= setImmediate(() => {
      this.#sealing = undefined;
      this.#seal();
    });
    return this.#open;
  }

  get pending(): boolean {
    return this.#open.length > 0 || this.#inFlight.length > 0;
  }

  get pendingBytes(): number {
    return this.#inFlight.reduce((sum, { bytes }) => sum + bytes, this.#open.length);
  }

  afterCommit(call: (error?: FlotillaError) => void): void {
    if (this.#failure !== undefined) return call(this.#failure);
    if (!this.pending) return call();
    const batch = this.#open.length > 0 ? this.#number : this.#number - 1;
    this.#waiting.push({ batch, call });
    this.#seal();
  }

  /** Reads entries, including those of the open batch. @throws FlotillaError `store-write-failed` */
  read(sequences: Float64Array<ArrayBuffer>): Promise<readonly QueueRow[]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#send();
    const id = ++this.#readId;
    return new Promise((resolve, reject) => {
      this.#reads.set(id, { resolve, reject });
      this.#post({ type: 'read', id, sequences }, [sequences.buffer]);
    });
  }

  /** Reads a page of retained messages. Called one after the other. @throws FlotillaError `store-…` */
  readRetained(afterRow: number): Promise<RetainedPage> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#retained = Promise.withResolvers<RetainedPage>();
    this.#post({ type: 'readRetained', afterRow }, []);
    return this.#retained.promise;
  }

  /** Copies everything that is written so far to a new file. @throws FlotillaError `store-…` */
  copy(path: string): Promise<undefined> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#send();
    const id = ++this.#readId;
    const copied = Promise.withResolvers<undefined>();
    this.#copies.set(id, copied);
    this.#post({ type: 'copy', id, path }, []);
    return copied.promise;
  }

  /** Writes the open batch and ends the thread. */
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
    if (this.#inFlight.length < inFlightMax) this.#send();
  }

  #send(): void {
    const bytes = this.#open.length;
    if (bytes === 0 || this.#failure !== undefined) return;
    const number = this.#number++;
    this.#inFlight.push({ number, bytes });
    const data = this.#open.take();
    // A little larger than the last batch, so that the buffer seldom has to grow.
    this.#open = new BatchWriter(Math.max(batchMinBytes, bytes + (bytes >> 1)));
    this.#post({ type: 'batch', number, data }, [data.buffer]);
  }

  /** Empties the open batch, because nothing is written any more. */
  #discard(): void {
    this.#number++;
    this.#open = new BatchWriter(batchMinBytes * 2);
  }

  #post(request: StoreRequest, transfer: ArrayBuffer[]): void {
    this.#worker.postMessage(request, transfer);
  }

  #handle(reply: StoreReply): void {
    switch (reply.type) {
      case 'opened':
        return this.#opened.resolve(reply.contents);
      case 'committed':
        return this.#commit(reply.number, reply.tookMs);
      case 'rows':
        this.#reads.get(reply.id)?.resolve(reply.rows);
        this.#reads.delete(reply.id);
        return;
      case 'retained': {
        const waiting = this.#retained;
        // A settled promise would keep the page.
        this.#retained = undefined;
        return waiting?.resolve(reply);
      }
      case 'copied':
        return this.#copied(reply.id, reply.fault);
      case 'stalled':
        return this.#stall(reply.detail);
      case 'resumed':
        return this.#stall(undefined);
      case 'notice':
        return this.#thread.noticed?.(reply.notice);
      case 'failed':
        return this.#fail(reply.code, reply.detail);
      case 'closed':
        this.#ended = true;
        void this.#worker.terminate();
    }
  }

  #copied(id: number, fault: string | undefined): void {
    const copied = this.#copies.get(id);
    this.#copies.delete(id);
    if (fault === undefined) copied?.resolve(undefined);
    else copied?.reject(new FlotillaError('store-open-failed', { detail: fault }));
  }

  #stall(reason: string | undefined): void {
    if (this.stalled === reason) return;
    this.stalled = reason;
    this.stallChanged?.(reason);
  }

  #commit(number: number, tookMs: number): void {
    this.#stall(undefined);
    this.transactions++;
    this.lastTransactionMs = tookMs;
    this.#thread.committed?.(tookMs);
    while ((this.#inFlight[0]?.number ?? Infinity) <= number) this.#inFlight.shift();
    this.#seal();
    let calls = 0;
    while ((this.#waiting[calls]?.batch ?? Infinity) <= number) calls++;
    for (const { call } of this.#waiting.splice(0, calls)) call();
  }

  #fail(code: FlotillaError['code'], detail: string | undefined): void {
    if (this.#failure !== undefined) return;
    const failure = new FlotillaError(code, detail === undefined ? {} : { detail });
    if (this.#closing && this.#ended && !this.pending) {
      // The store was closed: no error.
      this.#failure = failure;
      return;
    }
    this.#failure = failure;
    this.#thread.failed?.(failure);
    this.#opened.reject(failure);
    this.#retained?.reject(failure);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { call } of waiting) call(failure);
    for (const { reject } of this.#reads.values()) reject(failure);
    this.#reads.clear();
    for (const { reject } of this.#copies.values()) reject(failure);
    this.#copies.clear();
    if (this.#closing) void this.#worker.terminate();
  }
}
