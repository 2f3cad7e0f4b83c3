/**
 * Counts events per second.
 *
 * @module
 */
import type { Clock } from './clock.ts';

/** A counter that starts again at zero with every whole second of the monotonic clock. */
export class SecondWindow {
  readonly #clock: Clock;
  #second = -1;
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Starts a new second if the last one has ended.
   *
   * @returns whether a new second started
   */
  advance(): boolean {
    const second = Math.floor(this.#clock.monotonicMs() / 1000);
    if (second === this.#second) return false;
    this.#second = second;
    this.#count = 0;
    return true;
  }

  /**
   * Counts one event, unless `max` events were counted in this second.
   *
   * @returns whether the event was counted
   */
  take(max: number): boolean {
    this.advance();
    if (this.#count >= max) return false;
    this.#count++;
    return true;
  }

  /** Milliseconds until the next second starts. */
  get leftMs(): number {
    const nowMs = this.#clock.monotonicMs();
    return (Math.floor(nowMs / 1000) + 1) * 1000 - nowMs;
  }
}
