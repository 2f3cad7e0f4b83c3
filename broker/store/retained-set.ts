/**
 * The retained messages of a store, within its limits and without expired ones.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { RetainedTrie } from './retained-trie.ts';
import { messageBytes, type StoredMessage, type StoreLimits } from './session-store.ts';

export class RetainedSet {
  readonly #trie = new RetainedTrie();
  readonly #limits: StoreLimits;
  readonly #clock: Clock;
  readonly #removed: (topic: string) => void;
  /** Expired messages that a lookup found. They are removed by the next mutation. */
  readonly #expired = new Set<string>();
  #sweptAtMs = 0;

  /** @param removed called for each topic whose message was removed because it expired */
  constructor(limits: StoreLimits, clock: Clock, removed: (topic: string) => void) {
    this.#limits = limits;
    this.#clock = clock;
    this.#removed = removed;
  }

  get count(): number {
    return this.#trie.count;
  }

  get bytes(): number {
    return this.#trie.bytes;
  }

  /** Retains a message. @returns false when it exceeds the limits */
  set(message: StoredMessage): boolean {
    this.#removeExpired();
    const before = this.#trie.get(message.topic);
    if (!this.#fits(message, before)) {
      this.#sweep();
      if (!this.#fits(message, this.#trie.get(message.topic))) return false;
    }
    this.#trie.set(message);
    this.#expired.delete(message.topic);
    return true;
  }

  /** @returns whether there was one */
  delete(topic: string): boolean {
    this.#removeExpired();
    return this.#trie.delete(topic);
  }

  *match(filter: string): Generator<StoredMessage, void, undefined> {
    const nowMs = this.#clock.now();
    for (const message of this.#trie.match(filter)) {
      if (message.expiresAtMs === undefined || message.expiresAtMs > nowMs) yield message;
      else this.#expired.add(message.topic);
    }
  }

  #fits(message: StoredMessage, before: StoredMessage | undefined): boolean {
    const freed = before === undefined ? 0 : messageBytes(before);
    return (
      this.#trie.count + (before === undefined ? 1 : 0) <= this.#limits.retainedMax &&
      this.#trie.bytes - freed + messageBytes(message) <= this.#limits.retainedMaxBytes
    );
  }

  #removeExpired(): void {
    if (this.#expired.size === 0) return;
    for (const topic of this.#expired) {
      if (this.#trie.delete(topic)) this.#removed(topic);
    }
    this.#expired.clear();
  }

  /** Finds all expired messages. Called only when the set is full, and at most once per second. */
  #sweep(): void {
    const nowMs = this.#clock.now();
    if (Math.abs(nowMs - this.#sweptAtMs) < 1000) return;
    this.#sweptAtMs = nowMs;
    for (const { topic, expiresAtMs } of this.#trie.all()) {
      if (expiresAtMs !== undefined && expiresAtMs <= nowMs) this.#expired.add(topic);
    }
    this.#removeExpired();
  }
}
