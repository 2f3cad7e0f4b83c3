/**
 * The outgoing queues of the sessions: ordered lists of entries with their sizes. Each store adds its
 * own fields to the entries.
 *
 * @module
 */
import { WideMap } from '../../core/wide-map.ts';
import type { DeliveryState, QueueSize, StoreLimits } from './session-store.ts';
import { shareIn } from './shared-room.ts';

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

export const emptyQueue: QueueSize = { messages: 0, bytes: 0 };

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

/** The size of all queues of a store, in all and for each identity, with its limits. */
export class QueueTotals {
  readonly #limits: StoreLimits;
  readonly #byOwner = new WideMap<string, { messages: number; bytes: number }>();
  #messages = 0;
  #bytes = 0;

  constructor(limits: StoreLimits) {
    this.#limits = limits;
  }

  get messages(): number {
    return this.#messages;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether one more entry fits, in all and into the share of the identity that owns the queue. */
  fits(owner: string, bytes: number): boolean {
    const { queuedMaxMessages, queuedMaxBytes } = this.#limits;
    const messages = this.#messages + 1;
    const allBytes = this.#bytes + bytes;
    if (messages > queuedMaxMessages || allBytes > queuedMaxBytes) return false;
    const own = this.#byOwner.get(owner);
    if (own === undefined) return true;
    const { queuedPerOwnerMaxMessages, queuedPerOwnerMaxBytes } = this.#limits;
    return (
      own.messages + 1 <= shareIn(queuedPerOwnerMaxMessages, queuedMaxMessages, messages, 1) &&
      own.bytes + bytes <= shareIn(queuedPerOwnerMaxBytes, queuedMaxBytes, allBytes, bytes)
    );
  }

  /** Counts entries that were added; negative numbers: removed. */
  add(owner: string, messages: number, bytes: number): void {
    this.#messages += messages;
    this.#bytes += bytes;
    const own = this.#byOwner.get(owner);
    if (own === undefined) {
      // No identity has such a name: the system itself has no share.
      if (messages > 0 && !owner.startsWith('$')) this.#byOwner.set(owner, { messages, bytes });
      return;
    }
    own.messages += messages;
    own.bytes += bytes;
    if (own.messages <= 0) this.#byOwner.delete(owner);
  }
}
