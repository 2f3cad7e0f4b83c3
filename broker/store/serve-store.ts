/**
 * The writing thread: opens the file and then handles requests. All waiting batches are written in one
 * transaction, so that a slow disk causes larger transactions instead of a longer queue.
 *
 * @module
 */
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { createStoreFile, inspectStoreFile, openStoreFile } from './store-file.ts';
import type { QueueRow, StoreReply, StoreRequest } from './store-thread.ts';
import { readContents, readRetained } from './read-contents.ts';
import { StoreWriter } from './store-writer.ts';

/** Maximum size of the batches in one transaction. */
const transactionMaxBytes = 8 * 1024 * 1024;

export interface ServeOptions {
  /** Called before each commit. Tests use it to simulate a slow or full disk. */
  readonly beforeCommit?: () => void;
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
    const writer = new StoreWriter(database);
    const beforeCommit = options.beforeCommit ?? ((): void => undefined);
    port.on('message', (request: StoreRequest) => {
      try {
        if (request.type === 'readRetained') {
          const page = readRetained(database, request.afterRow);
          post({ type: 'retained', ...page }, [page.data.buffer]);
          return;
        }
        if (!handleRequests(port, request, writer, beforeCommit, post)) return;
        database.close();
        post({ type: 'closed' });
      } catch (error) {
        // Permanent: everything that was reported as committed is durable, and nothing after it is written.
        port.removeAllListeners('message');
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

/** Handles a request and all that wait behind it. @returns whether the last one was `close` */
function handleRequests(
  port: MessagePort,
  first: StoreRequest,
  writer: StoreWriter,
  beforeCommit: () => void,
  post: (reply: StoreReply, transfer?: ArrayBuffer[]) => void,
): boolean {
  const startMs = performance.now();
  let number = 0;
  let bytes = 0;
  let closing = false;
  for (let request: StoreRequest | undefined = first; request !== undefined; request = next(port)) {
    if (request.type === 'batch') {
      writer.apply(request.data);
      number = request.number;
      bytes += request.data.length;
      if (bytes >= transactionMaxBytes) break;
    } else if (request.type === 'read') {
      const rows = writer.read(request.sequences);
      post({ type: 'rows', id: request.id, rows }, buffersOf(rows));
    } else if (request.type === 'close') {
      closing = true;
      break;
    }
  }
  if (number > 0) {
    beforeCommit();
    writer.commit();
    post({ type: 'committed', number, tookMs: performance.now() - startMs });
  }
  return closing;
}

function next(port: MessagePort): StoreRequest | undefined {
  // Node.js does not type the message. Only the store has the other end of the port.
  return (receiveMessageOnPort(port) as { message: StoreRequest } | undefined)?.message;
}

function buffersOf(rows: readonly QueueRow[]): ArrayBuffer[] {
  return rows.flatMap(([, , , message]) =>
    message !== null && message.buffer instanceof ArrayBuffer ? [message.buffer] : [],
  );
}
