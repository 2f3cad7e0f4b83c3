/**
 * Messages that wait in memory only: those of sessions that are not kept, and QoS 0 messages of all
 * sessions, which are not worth a write to the disk. They count in the limits of all queues.
 *
 * @module
 */
import type { Message } from './message.ts';
import { MessageQueue, queuedBytes } from './message-queue.ts';

export interface WaitingQos0 {
  readonly message: Message;
  readonly retain: boolean;
  readonly identifiers: readonly number[];
}

/** The messages that wait in memory for all sessions together. */
export class MemoryTotals {
  messages = 0;
  bytes = 0;
}

/** The messages of one session that wait in memory, first in, first out. */
export class CountedQueue<E extends { readonly message: Message }> {
  readonly #totals: MemoryTotals;
  readonly #queue = new MessageQueue<E>();

  constructor(totals: MemoryTotals) {
    this.#totals = totals;
  }

  get length(): number {
    return this.#queue.length;
  }

  get bytes(): number {
    return this.#queue.bytes;
  }

  get first(): E | undefined {
    return this.#queue.first;
  }

  push(waiting: E): void {
    waiting.message.detach();
    this.#queue.push(waiting);
    this.#totals.messages++;
    this.#totals.bytes += queuedBytes(waiting.message);
  }

  shift(): E | undefined {
    const oldest = this.#queue.shift();
    if (oldest === undefined) return undefined;
    this.#totals.messages--;
    this.#totals.bytes -= queuedBytes(oldest.message);
    return oldest;
  }

  clear(): void {
    this.#totals.messages -= this.#queue.length;
    this.#totals.bytes -= this.#queue.bytes;
    this.#queue.clear();
  }
}
