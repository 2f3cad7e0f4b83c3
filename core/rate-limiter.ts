/**
 * A token bucket for each key: so many a period, as many at once.
 *
 * @module
 */
import type { Clock } from './clock.ts';

/** How many keys are remembered; the one that was quiet longest is forgotten first. */
const keysMax = 20_000;

export class RateLimiter {
  readonly #clock: Clock;
  readonly #capacity: number;
  readonly #perMs: number;
  readonly #buckets = new Map<string, { level: number; atMs: number }>();

  /** `capacity` tokens fill up again in `periodMs`. */
  constructor(clock: Clock, capacity: number, periodMs: number) {
    this.#clock = clock;
    this.#capacity = capacity;
    this.#perMs = capacity / periodMs;
  }

  /** Takes one token. @returns 0, or after how many seconds there will be one */
  take(key: string): number {
    const waitSeconds = this.wait(key);
    if (waitSeconds > 0) return waitSeconds;
    const now = this.#clock.monotonicMs();
    const level = this.#level(key, now) - 1;
    this.#buckets.delete(key);
    this.#buckets.set(key, { level, atMs: now });
    if (this.#buckets.size > keysMax) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return 0;
  }

  /** As {@link take}, but takes nothing. */
  wait(key: string): number {
    const level = this.#level(key, this.#clock.monotonicMs());
    return level >= 1 ? 0 : Math.max(1, Math.ceil((1 - level) / this.#perMs / 1000));
  }

  #level(key: string, nowMs: number): number {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return this.#capacity;
    return Math.min(this.#capacity, bucket.level + (nowMs - bucket.atMs) * this.#perMs);
  }
}
