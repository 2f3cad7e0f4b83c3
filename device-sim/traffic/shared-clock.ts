/**
 * The time that the controller and all workers of a run agree on: milliseconds since 1970 by the
 * controller's clock. A worker on the controller's host uses the machine's clock as it is; an agent on
 * another host adds the measured difference.
 *
 * @module
 */

export class SharedClock {
  readonly #shiftMs: number;

  /** @param shiftMs added to this process's clock to get the controller's time */
  constructor(shiftMs = 0) {
    this.#shiftMs = shiftMs;
  }

  /** The time now, in ms since 1970. It never goes backwards while the process lives. */
  now(): number {
    return this.toEpochMs(performance.now());
  }

  /** The time now in µs, for envelopes. */
  nowUs(): number {
    return this.now() * 1000;
  }

  /** Converts a shared time to `performance.now()` of this process. */
  toLocalMs(epochMs: number): number {
    return epochMs - performance.timeOrigin - this.#shiftMs;
  }

  /** Converts a time of `performance.now()` to the shared time. */
  toEpochMs(localMs: number): number {
    return localMs + performance.timeOrigin + this.#shiftMs;
  }
}
