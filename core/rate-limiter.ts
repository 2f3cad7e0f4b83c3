/**
 * A rate limit for each key: so many in a period, and as many at once.
 *
 * @module
 */
import { AgeMap } from './age-map.ts';
import type { Clock } from './clock.ts';
import { TokenBucket } from './token-bucket.ts';

/** How many keys are kept. Beyond that, the key that was used least recently is dropped. */
const keysMax = 20_000;

export class RateLimiter {
  readonly #clock: Clock;
  readonly #capacity: number;
  readonly #perMs: number;
  readonly #buckets = new AgeMap<string, TokenBucket>();

  /** Allows `capacity` in `periodMs`. */
  constructor(clock: Clock, capacity: number, periodMs: number) {
    this.#clock = clock;
    this.#capacity = capacity;
    this.#perMs = capacity / periodMs;
  }

  /** Takes one token. @returns 0, or after how many seconds there will be one */
  take(key: string): number {
    const waitSeconds = this.wait(key);
    if (waitSeconds > 0) return waitSeconds;
    const nowMs = this.#clock.monotonicMs();
    const bucket = this.#buckets.get(key) ?? new TokenBucket(this.#capacity, this.#perMs, nowMs);
    bucket.take(1, nowMs);
    // Moves the key to the end, so that the map is in the order of use.
    this.#buckets.renew(key, bucket);
    if (this.#buckets.size > keysMax) {
      const oldest = this.#buckets.oldestKey();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return 0;
  }

  /** As {@link take}, but takes nothing. */
  wait(key: string): number {
    const waitMs = this.#buckets.get(key)?.waitMs(this.#clock.monotonicMs()) ?? 0;
    return waitMs === 0 ? 0 : Math.max(1, Math.ceil(waitMs / 1000));
  }
}
