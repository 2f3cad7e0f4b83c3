/**
 * State that all calls of one worker share: its meter, its timers, its clock, and whether it may
 * start new work.
 *
 * @module
 */
import { Meter } from '../measure/meter.ts';
import { SharedClock } from '../traffic/shared-clock.ts';
import { Timekeeper } from '../traffic/timekeeper.ts';

export class WorkerContext {
  readonly meter = new Meter();
  readonly time = new Timekeeper();
  /** Replaced when the controller reports by how much this host's clock is off. */
  clock = new SharedClock();
  /** No new work is started. */
  halted = false;
  /** The worker is closing: waits end at once. */
  stopping = false;

  /** Calls back once at a shared time, with that time by `performance.now()`. */
  at(epochMs: number, call: (intendedMs: number) => void): void {
    this.time.at(this.clock.toLocalMs(epochMs), call);
  }

  /** Waits until a time of `performance.now()`; resolves at once when the worker is closing. */
  until(localMs: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.stopping) resolve();
      else this.time.at(localMs, () => resolve());
    });
  }

  pause(ms: number): Promise<void> {
    return this.until(performance.now() + ms);
  }
}
