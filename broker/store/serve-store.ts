/**
 * The writing thread: opens the file and then handles requests. All waiting batches are written in one
 * transaction, so that a slow disk causes larger transactions instead of a longer queue.
 *
 * @module
 */
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { IdleCache } from './idle-cache.ts';
import { createStoreFile, inspectStoreFile, openStoreFile } from './store-file.ts';
import type { QueueRow, StoreReply, StoreRequest } from './store-thread.ts';
import { readContents, readRetained } from './read-contents.ts';
import { copyStore } from './store-copy.ts';
import { StoreWriter } from './store-writer.ts';

/** How long after a failed commit it is tried again, in ms. */
const retryDefaultMs = 1000;
/** Maximum size of the batches in one transaction. */
const transactionMaxBytes = 8 * 1024 * 1024;

export interface ServeOptions {
  /** Called before each commit. Tests use it to simulate a slow or full disk. */
  readonly beforeCommit?: () => void;
  /** How long after a failed commit it is tried again, in ms (default: 1000). */
  readonly retryMs?: number;
}

/**
 * Handles the requests on a port.
 *
 * @param data the path of the database file
 */
export function serveStore(port: MessagePort, data: unknown, options: ServeOptions = {}): void {
  const path = String(data);
  const post = (reply: StoreReply, transfer: ArrayBuffer[] = []): void => {
    port.postMessage(reply, transfer);
  };
  try {
    createStoreFile(path);
    const contents = inspectStoreFile(path, readContents);
    const database = openStoreFile(path);
    const copy = (request: CopyRequest): void => {
      const done = (fault?: unknown): void =>
        post({
          type: 'copied',
          id: request.id,
          fault: fault === undefined ? undefined : `${request.path}: ${messageOf(fault)}`,
        });
      copyStore(database, request.path).then(() => done(), done);
    };
    const cache = new IdleCache(database);
    const server = new StoreServer(port, new StoreWriter(database), { ...options, copy }, post);
    port.on('message', (request: StoreRequest) => {
      cache.use();
      try {
        if (request.type === 'readRetained') {
          const page = readRetained(database, request.afterRow);
          post({ type: 'retained', ...page }, [page.data.buffer]);
          return;
        }
        if (!server.handle(request)) return;
        cache.stop();
        database.close();
        post({ type: 'closed' });
      } catch (error) {
        // Permanent: everything that was reported as committed is durable, and nothing after it is written.
        port.removeAllListeners('message');
        server.stop();
        cache.stop();
        post({ type: 'failed', code: 'store-write-failed', detail: messageOf(error) });
      }
    });
    post({ type: 'opened', contents }, [contents.queue.buffer]);
  } catch (error) {
    const code = error instanceof FlotillaError ? error.code : 'store-open-failed';
    const detail = error instanceof FlotillaError ? error.detail : messageOf(error);
    post({ type: 'failed', code, detail });
  }
}

type CopyRequest = Extract<StoreRequest, { readonly type: 'copy' }>;
type BatchRequest = Extract<StoreRequest, { readonly type: 'batch' }>;
type ReadRequest = Extract<StoreRequest, { readonly type: 'read' }>;

interface ServerOptions extends ServeOptions {
  readonly copy: (request: CopyRequest) => void;
}

class StoreServer {
  readonly #port: MessagePort;
  readonly #writer: StoreWriter;
  readonly #options: ServerOptions;
  readonly #post: (reply: StoreReply, transfer?: ArrayBuffer[]) => void;
  /** Batches that could not be committed, in order; undefined while the disk has space. */
  #stalled: BatchRequest[] | undefined;
  /** Reads that came since: they may ask for entries of these batches. */
  #reads: ReadRequest[] = [];
  #retry: NodeJS.Timeout | undefined;

  constructor(
    port: MessagePort,
    writer: StoreWriter,
    options: ServerOptions,
    post: (reply: StoreReply, transfer?: ArrayBuffer[]) => void,
  ) {
    this.#port = port;
    this.#writer = writer;
    this.#options = options;
    this.#post = post;
  }

  /**
   * Handles a request and all that wait behind it.
   *
   * @returns whether the last one was `close`
   * @throws any error that trying again cannot cure
   */
  handle(first: StoreRequest): boolean {
    const startMs = performance.now();
    const batches: BatchRequest[] = [];
    let bytes = 0;
    let closing = false;
    try {
      for (
        let request: StoreRequest | undefined = first;
        request !== undefined;
        request = next(this.#port)
      ) {
        if (request.type === 'batch') {
          batches.push(request);
          bytes += request.data.length;
          if (this.#stalled === undefined) this.#writer.apply(request.data);
          if (bytes >= transactionMaxBytes) break;
        } else if (request.type === 'read') {
          if (this.#stalled === undefined) this.#read(request);
          else this.#reads.push(request);
        } else if (request.type === 'copy') {
          this.#options.copy(request);
        } else if (request.type === 'close') {
          closing = true;
          break;
        }
      }
      if (this.#stalled !== undefined) this.#stalled.push(...batches);
      else this.#commit(batches, startMs);
    } catch (error) {
      this.#stall(batches, error);
    }
    // The last chance of what waits.
    if (closing && this.#stalled !== undefined) this.#tryAgain(true);
    return closing;
  }

  /** Stops trying again. */
  stop(): void {
    clearTimeout(this.#retry);
  }

  #commit(batches: readonly BatchRequest[], startMs: number): void {
    const last = batches.at(-1);
    if (last === undefined) return;
    this.#options.beforeCommit?.();
    this.#writer.commit();
    const tookMs = performance.now() - startMs;
    this.#post({ type: 'committed', number: last.number, tookMs });
  }

  #read({ id, sequences }: ReadRequest): void {
    const rows = this.#writer.read(sequences);
    this.#post({ type: 'rows', id, rows }, messageBuffers(rows));
  }

  /** Keeps what was not committed, when the error is one that free space cures. */
  #stall(batches: readonly BatchRequest[], error: unknown): void {
    if (!isDiskFull(error)) throw error;
    this.#writer.rollback();
    this.#stalled = [...(this.#stalled ?? []), ...batches];
    this.#post({ type: 'stalled', detail: messageOf(error) });
    this.#planRetry();
  }

  #planRetry(): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      try {
        this.#tryAgain(false);
      } catch (error) {
        this.#port.removeAllListeners('message');
        this.#post({ type: 'failed', code: 'store-write-failed', detail: messageOf(error) });
      }
    }, this.#options.retryMs ?? retryDefaultMs);
  }

  #tryAgain(isLast: boolean): void {
    const batches = this.#stalled ?? [];
    const startMs = performance.now();
    try {
      for (const { data } of batches) this.#writer.apply(data);
      this.#commit(batches, startMs);
    } catch (error) {
      if (isLast || !isDiskFull(error)) throw error;
      this.#writer.rollback();
      this.#planRetry();
      return;
    }
    clearTimeout(this.#retry);
    this.#stalled = undefined;
    for (const request of this.#reads.splice(0)) this.#read(request);
  }
}

/** SQLITE_FULL, SQLITE_IOERR, SQLITE_READONLY and SQLITE_CANTOPEN: the disk may work again later. */
export function isDiskFull(error: unknown): boolean {
  const number = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0;
  return number === 13 || number === 10 || number === 8 || number === 14;
}

function next(port: MessagePort): StoreRequest | undefined {
  // Node.js does not type the message. Only the store has the other end of the port.
  return (receiveMessageOnPort(port) as { message: StoreRequest } | undefined)?.message;
}

/** The memory of messages, to transfer it. */
export function messageBuffers(rows: readonly QueueRow[]): ArrayBuffer[] {
  return rows.flatMap(([, , , message]) =>
    message !== null && message.buffer instanceof ArrayBuffer ? [message.buffer] : [],
  );
}
