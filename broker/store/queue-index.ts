/**
 * The outgoing queues of all sessions, as lists of entries with their sizes: who is next, who is the
 * oldest that may be dropped, and how much there is. What an entry holds beside that is its store's.
 *
 * @module
 */
import type { DeliveryState, QueueSize, StoreLimits } from './session-store.ts';

/** One place in one queue. */
export interface IndexEntry {
  readonly sequence: number;
  /** What it counts for now. */
  bytes: number;
  state: DeliveryState;
  packetId: number;
}

interface Link<E> {
  readonly entry: E;
  previous: Link<E> | undefined;
  next: Link<E> | undefined;
}

/** One queue: a list in order, and a way to each entry by its sequence. */
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

  /** Changes what an entry counts for. */
  resize(entry: E, bytes: number): void {
    this.#bytes += bytes - entry.bytes;
    entry.bytes = bytes;
  }

  /** The oldest entry that is not in flight. */
  oldestQueued(): E | undefined {
    for (let link = this.#head; link !== undefined; link = link.next) {
      if (link.entry.state === 'queued') return link.entry;
    }
    return undefined;
  }

  /** Up to `limit` entries in order, from the first with a sequence above `after`. */
  after(after: number, limit: number): E[] {
    let link = this.#links.get(after)?.next;
    if (link === undefined) {
      // The entry that was read last is gone, or this is the beginning.
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

/** What all queues of a store hold together, against its limits. */
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
