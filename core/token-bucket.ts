/**
 * A token bucket: allows a rate over time, and a burst of as many tokens as the bucket holds.
 *
 * @module
 */
export class TokenBucket {
  readonly #capacity: number;
  readonly #perMs: number;
  #level: number;
  #atMs: number;

  /**
   * @param capacity how many tokens the full bucket holds; it starts full
   * @param perMs how many tokens are added in one millisecond
   * @param nowMs monotonic time
   */
  constructor(capacity: number, perMs: number, nowMs: number) {
    this.#capacity = capacity;
    this.#perMs = perMs;
    this.#level = capacity;
    this.#atMs = nowMs;
  }

  /**
   * Takes tokens, whether they are there or not: the level may become negative.
   *
   * @returns 0, or after how many ms the level is 0 again
   */
  take(count: number, nowMs: number): number {
    this.#level = this.#levelAt(nowMs) - count;
    this.#atMs = nowMs;
    return this.#level >= 0 ? 0 : Math.ceil(-this.#level / this.#perMs);
  }

  /** @returns 0 when there is a whole token, or after how many ms there is one */
  waitMs(nowMs: number): number {
    const level = this.#levelAt(nowMs);
    return level >= 1 ? 0 : (1 - level) / this.#perMs;
  }

  #levelAt(nowMs: number): number {
    return Math.min(this.#capacity, this.#level + (nowMs - this.#atMs) * this.#perMs);
  }
}
