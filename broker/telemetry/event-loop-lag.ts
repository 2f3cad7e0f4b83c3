/**
 * Measures how late and how busy the event loop is: what every other promise about time rests on.
 *
 * @module
 */
import type { Cancel, Clock } from '../../core/clock.ts';

const everyMs = 100;
/** The part of its time that a busy event loop spends working. */
const busyPart = 0.85;

export class EventLoopLag {
  readonly #clock: Clock;
  readonly #observe: (lagMs: number) => void;
  #cancel: Cancel | undefined;
  #dueMs = 0;
  #used = performance.eventLoopUtilization();
  #busy = false;

  constructor(clock: Clock, observe: (lagMs: number) => void) {
    this.#clock = clock;
    this.#observe = observe;
  }

  /** Whether it was busy at the last look, a tenth of a second ago at most when it is not late. */
  get busy(): boolean {
    return this.#busy;
  }

  start(): void {
    this.#dueMs = this.#clock.monotonicMs() + everyMs;
    this.#cancel = this.#clock.after(everyMs, () => {
      const used = performance.eventLoopUtilization();
      this.#busy = performance.eventLoopUtilization(used, this.#used).utilization > busyPart;
      this.#used = used;
      this.#observe(Math.max(0, this.#clock.monotonicMs() - this.#dueMs));
      this.start();
    });
  }

  stop(): void {
    this.#cancel?.();
  }
}
