/**
 * A first in, first out queue of messages in memory that knows its size in bytes.
 *
 * @module
 */
import { messageOverheadBytes } from '../../store/session-store.ts';
import type { Message } from './message.ts';

/** After this many entries were removed, the array is cut, so that its memory is free again. */
const removedMax = 1024;

export class MessageQueue<E extends { readonly message: Message }> {
  #entries: E[] = [];
  #head = 0;
  #bytes = 0;

  get length(): number {
    return this.#entries.length - this.#head;
  }

  /** The sum of {@link queuedBytes}. */
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
    } else if (this.#head >= removedMax) {
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

/**
 * The bytes that a waiting message counts for in limits: as the store counts them, without its
 * properties.
 */
export function queuedBytes(message: Message): number {
  return message.payloadBytes + message.topic.length + messageOverheadBytes;
}
