/**
 * The send times of a device, as an open loop: times are fixed in advance and never wait for a reply,
 * so that a slow broker cannot reduce the load and hide its own latency (coordinated omission). Pure:
 * the same seed gives the same times.
 *
 * @module
 */
import type { Random } from '../plan/seed.ts';

/** The distribution of the send times of one stream. */
export interface SendRate {
  readonly intervalMs: number;
  /**
   * `fixed`: one per interval, from a random start. `jitter`: each moved independently by up to
   * `jitter` intervals in either direction, without drift. `poisson`: independent waiting times.
   */
  readonly spread: 'fixed' | 'jitter' | 'poisson';
  /** Share of the interval, 0 to 0.5; only for `jitter`. */
  readonly jitter: number;
}

/** The times of one stream from `startMs` (inclusive) to `endMs` (exclusive), in ascending order. */
export class Schedule {
  readonly #rate: SendRate;
  readonly #random: Random;
  readonly #startMs: number;
  readonly #endMs: number;
  readonly #offsetMs: number;
  #step = 0;
  #lastMs: number;

  constructor(rate: SendRate, random: Random, startMs: number, endMs: number) {
    this.#rate = rate;
    this.#random = random;
    this.#startMs = startMs;
    this.#endMs = endMs;
    this.#offsetMs = rate.spread === 'poisson' ? 0 : random.next() * rate.intervalMs;
    this.#lastMs = startMs;
  }

  /** The next time, or undefined at the end. */
  next(): number | undefined {
    const { intervalMs, spread, jitter } = this.#rate;
    let atMs: number;
    if (spread === 'poisson') {
      atMs = this.#lastMs + this.#random.exponential() * intervalMs;
    } else {
      atMs = this.#startMs + this.#offsetMs + this.#step * intervalMs;
      this.#step++;
      if (atMs >= this.#endMs) return undefined;
      if (spread === 'jitter') {
        const moved = atMs + (this.#random.next() * 2 - 1) * jitter * intervalMs;
        atMs = Math.min(this.#endMs - 0.001, Math.max(this.#lastMs, moved));
      }
    }
    if (atMs >= this.#endMs) return undefined;
    this.#lastMs = atMs;
    return atMs;
  }
}

/** A priority queue of items by time: a binary heap. */
export class DueQueue<T> {
  readonly #times: number[] = [];
  readonly #items: T[] = [];

  get size(): number {
    return this.#times.length;
  }

  /** The earliest time, or undefined when empty. */
  get firstMs(): number | undefined {
    return this.#times[0];
  }

  push(atMs: number, item: T): void {
    let at = this.#times.length;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      const parentMs = this.#times[parent] as number;
      if (parentMs <= atMs) break;
      this.#times[at] = parentMs;
      this.#items[at] = this.#items[parent] as T;
      at = parent;
    }
    this.#times[at] = atMs;
    this.#items[at] = item;
  }

  /** Removes the earliest item when it is due, and returns it with its scheduled time. */
  takeDue(nowMs: number): { atMs: number; item: T } | undefined {
    const atMs = this.#times[0];
    if (atMs === undefined || atMs > nowMs) return undefined;
    const item = this.#items[0] as T;
    const lastMs = this.#times.pop() as number;
    const last = this.#items.pop() as T;
    if (this.#times.length > 0) this.#sink(lastMs, last);
    return { atMs, item };
  }

  clear(): void {
    this.#times.length = 0;
    this.#items.length = 0;
  }

  #sink(sinkMs: number, item: T): void {
    const size = this.#times.length;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= size) break;
      if (child + 1 < size && (this.#times[child + 1] as number) < (this.#times[child] as number)) {
        child++;
      }
      const childMs = this.#times[child] as number;
      if (childMs >= sinkMs) break;
      this.#times[at] = childMs;
      this.#items[at] = this.#items[child] as T;
      at = child;
    }
    this.#times[at] = sinkMs;
    this.#items[at] = item;
  }
}
