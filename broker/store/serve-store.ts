/**
 * The work of the writing thread: opens the file, then takes orders. All batches that wait become
 * one transaction, so that a slow disk makes larger transactions, not a longer queue of them.
 *
 * @module
 */
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { createStoreFile, inspectStoreFile, openStoreFile } from './store-file.ts';
import type { Notice, Order, QueueRow } from './store-thread.ts';
import { readContents, StoreWriter } from './store-writer.ts';

/** What may go into one transaction before it is committed, in bytes of batches. */
const transactionMaxBytes = 8 * 1024 * 1024;

export interface ServeOptions {
  /** Called before each commit: tests make the disk slow, or full, with it. */
  readonly beforeCommit?: () => void;
}

/** @param data the path of the store's file */
export function serveStore(port: MessagePort, data: unknown, options: ServeOptions = {}): void {
  const path = String(data);
  const say = (notice: Notice, transfer: ArrayBuffer[] = []): void => {
    port.postMessage(notice, transfer);
  };
  try {
    createStoreFile(path);
    const contents = inspectStoreFile(path, readContents);
    const database = openStoreFile(path);
    const writer = new StoreWriter(database);
    const beforeCommit = options.beforeCommit ?? ((): void => undefined);
    port.on('message', (order: Order) => {
      try {
        if (!work(port, order, writer, beforeCommit, say)) return;
        database.close();
        say({ type: 'closed' });
      } catch (error) {
        // For good: what was said to be committed is, nothing that comes now will be.
        port.removeAllListeners('message');
        say({ type: 'failed', code: 'store-write-failed', detail: messageOf(error) });
      }
    });
    say({ type: 'opened', contents }, [contents.queue.buffer]);
  } catch (error) {
    const code = error instanceof FlotillaError ? error.code : 'store-open-failed';
    const detail = error instanceof FlotillaError ? error.detail : messageOf(error);
    say({ type: 'failed', code, detail });
  }
}

/** Takes an order and all that wait behind it. @returns whether the last one was to close */
function work(
  port: MessagePort,
  first: Order,
  writer: StoreWriter,
  beforeCommit: () => void,
  say: (notice: Notice, transfer?: ArrayBuffer[]) => void,
): boolean {
  const startMs = performance.now();
  let number = 0;
  let bytes = 0;
  let closing = false;
  for (let order: Order | undefined = first; order !== undefined; order = next(port)) {
    if (order.type === 'batch') {
      writer.apply(order.data);
      number = order.number;
      bytes += order.data.length;
      if (bytes >= transactionMaxBytes) break;
    } else if (order.type === 'read') {
      const rows = writer.read(order.sequences);
      say({ type: 'rows', id: order.id, rows }, buffersOf(rows));
    } else {
      closing = true;
      break;
    }
  }
  if (number > 0) {
    beforeCommit();
    writer.commit();
    say({ type: 'committed', number, tookMs: performance.now() - startMs });
  }
  return closing;
}

function next(port: MessagePort): Order | undefined {
  // Untyped by the platform; only the store has the other end.
  return (receiveMessageOnPort(port) as { message: Order } | undefined)?.message;
}

function buffersOf(rows: readonly QueueRow[]): ArrayBuffer[] {
  return rows.flatMap(([, , , message]) =>
    message !== null && message.buffer instanceof ArrayBuffer ? [message.buffer] : [],
  );
}
