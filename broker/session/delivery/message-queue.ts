/**
 * Messages that wait in memory, first in, first out, with what they weigh in limits.
 *
 * @module
 */
import { messageOverheadBytes } from '../../store/session-store.ts';
import type { Message } from './message.ts';

/** How many entries may have left before what they took is given back. */
const headMax = 1024;

export class MessageQueue<E extends { readonly message: Message }> {
  #entries: E[] = [];
  #head = 0;
  #bytes = 0;

  get length(): number {
    return this.#entries.length - this.#head;
  }

  /** By {@link queuedBytes}. */
  get bytes(): number {
    return this.#bytes;
  }

  get first(): E | undefined {
    return this.#entries[this.#head];
  }

  push(entry: E): void {
    this.#entries.push(entry);
    this.#bytes += queuedBytes(entry.message);
  }

  shift(): E | undefined {
    const entry = this.#entries[this.#head];
    if (entry === undefined) return undefined;
    this.#head++;
    this.#bytes -= queuedBytes(entry.message);
    if (this.#head === this.#entries.length) {
      this.clear();
    } else if (this.#head >= headMax) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    return entry;
  }

  clear(): void {
    this.#entries = [];
    this.#head = 0;
    this.#bytes = 0;
  }
}

/** What a waiting message counts for, in bytes: as the store counts it, but for its properties. */
export function queuedBytes(message: Message): number {
  return message.payloadBytes + message.topic.length + messageOverheadBytes;
}
