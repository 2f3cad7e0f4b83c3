/**
 * Measures how long another process has given no sign of life, with the clock of this process only.
 *
 * @module
 */

/** What the time between two looks counts at most: while nobody could look, nobody is judged. */
const lookCountsMaxMs = 1000;

/** The time since the last look, in ms, as far as it counts. */
export class LookClock {
  #lookedAtMs: number | undefined;

  /** @param nowMs of a clock that never goes back */
  look(nowMs: number): number {
    const passedMs = nowMs - (this.#lookedAtMs ?? nowMs);
    this.#lookedAtMs = nowMs;
    return Math.min(passedMs, lookCountsMaxMs);
  }
}

export class SignOfLife {
  #sign: string | undefined;
  #unchangedMs = 0;

  /**
   * @param sign anything that changes while the process lives; undefined: it certainly lives
   * @param passedMs the time since the last look
   * @returns how long the sign has not changed, in ms
   */
  note(sign: string | undefined, passedMs: number): number {
    const isUnchanged = sign !== undefined && sign === this.#sign;
    this.#sign = sign;
    this.#unchangedMs = isUnchanged ? this.#unchangedMs + passedMs : 0;
    return this.#unchangedMs;
  }
}
