/**
 * Measures how late the event loop is: what every other promise about time rests on.
 *
 * @module
 */
import type { Cancel, Clock } from '../../core/clock.ts';

const everyMs = 250;

export class LagWatch {
  readonly #clock: Clock;
  readonly #observe: (lagMs: number) => void;
  #cancel: Cancel | undefined;
  #dueMs = 0;

  constructor(clock: Clock, observe: (lagMs: number) => void) {
    this.#clock = clock;
    this.#observe = observe;
  }

  start(): void {
    this.#dueMs = this.#clock.monotonicMs() + everyMs;
    this.#cancel = this.#clock.after(everyMs, () => {
      this.#observe(Math.max(0, this.#clock.monotonicMs() - this.#dueMs));
      this.start();
    });
  }

  stop(): void {
    this.#cancel?.();
  }
}
