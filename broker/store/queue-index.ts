/**
 * The outgoing queues of the sessions: ordered lists of entries with their sizes. Each store adds its
 * own fields to the entries.
 *
 * @module
 */
import type { DeliveryState, QueueSize, StoreLimits } from './session-store.ts';

/** One entry of a queue. */
export interface IndexEntry {
  readonly sequence: number;
  /** Its size in the limits, by `messageBytes`. */
  bytes: number;
  state: DeliveryState;
  packetId: number;
}

interface Link<E> {
  readonly entry: E;
  previous: Link<E> | undefined;
  next: Link<E> | undefined;
}

/** One queue: a linked list, with access to each entry by its sequence. */
export class Queue<E extends IndexEntry> implements QueueSize {
  readonly #links = new Map<number, Link<E>>();
  #head: Link<E> | undefined;
  #tail: Link<E> | undefined;
  #bytes = 0;

  get messages(): number {
    return this.#links.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  append(entry: E): void {
    const link: Link<E> = { entry, previous: this.#tail, next: undefined };
    if (this.#tail === undefined) this.#head = link;
    else this.#tail.next = link;
    this.#tail = link;
    this.#links.set(entry.sequence, link);
    this.#bytes += entry.bytes;
  }

  get(sequence: number): E | undefined {
    return this.#links.get(sequence)?.entry;
  }

  remove(sequence: number): E | undefined {
    const link = this.#links.get(sequence);
    if (link === undefined) return undefined;
    if (link.previous === undefined) this.#head = link.next;
    else link.previous.next = link.next;
    if (link.next === undefined) this.#tail = link.previous;
    else link.next.previous = link.previous;
    this.#links.delete(sequence);
    this.#bytes -= link.entry.bytes;
    return link.entry;
  }

  /** Changes the size of an entry. */
  resize(entry: E, bytes: number): void {
    this.#bytes += bytes - entry.bytes;
    entry.bytes = bytes;
  }

  /** The oldest entry that was not sent. */
  oldestQueued(): E | undefined {
    for (let link = this.#head; link !== undefined; link = link.next) {
      if (link.entry.state === 'queued') return link.entry;
    }
    return undefined;
  }

  /** Up to `limit` entries in order, starting with the first whose sequence is greater than `after`. */
  after(after: number, limit: number): E[] {
    let link = this.#links.get(after)?.next;
    if (link === undefined) {
      // The entry that was read last was removed, or this is the start of the queue.
      link = this.#head;
      while (link !== undefined && link.entry.sequence <= after) link = link.next;
    }
    const found: E[] = [];
    for (; link !== undefined && found.length < limit; link = link.next) found.push(link.entry);
    return found;
  }

  *entries(): Generator<E, void, undefined> {
    for (let link = this.#head; link !== undefined; link = link.next) yield link.entry;
  }
}

/** The total size of all queues of a store, with its limits. */
export class QueueTotals {
  messages = 0;
  bytes = 0;
  readonly #limits: StoreLimits;

  constructor(limits: StoreLimits) {
    this.#limits = limits;
  }

  /** Whether one more entry fits. */
  fits(bytes: number): boolean {
    return (
      this.messages < this.#limits.queuedMaxMessages &&
      this.bytes + bytes <= this.#limits.queuedMaxBytes
    );
  }
}
