/**
 * Measures how late and how busy the event loop is.
 *
 * @module
 */
import type { Cancel, Clock } from '../clock.ts';

const intervalMs = 100;
/** The event loop is busy when it works for more than this share of the time. */
const busyShare = 0.85;

export class EventLoopLag {
  readonly #clock: Clock;
  readonly #observe: (lagMs: number) => void;
  #lagMs = 0;
  #cancel: Cancel | undefined;
  #expectedMs = 0;
  #utilization = performance.eventLoopUtilization();
  #busy = false;

  constructor(clock: Clock, observe: (lagMs: number) => void) {
    this.#clock = clock;
    this.#observe = observe;
  }

  /** Whether the event loop was busy in the last interval. */
  get busy(): boolean {
    return this.#busy;
  }

  /** How late the last timer was. */
  get lagMs(): number {
    return this.#lagMs;
  }

  start(): void {
    this.#expectedMs = this.#clock.monotonicMs() + intervalMs;
    this.#cancel = this.#clock.after(intervalMs, () => {
      const utilization = performance.eventLoopUtilization();
      this.#busy =
        performance.eventLoopUtilization(utilization, this.#utilization).utilization > busyShare;
      this.#utilization = utilization;
      this.#lagMs = Math.max(0, this.#clock.monotonicMs() - this.#expectedMs);
      this.#observe(this.#lagMs);
      this.start();
    });
  }

  stop(): void {
    this.#cancel?.();
  }
}
