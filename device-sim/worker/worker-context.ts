/**
 * What all work of one worker shares: what it measures, when it acts, and whether it may go on.
 *
 * @module
 */
import { Meter } from '../measure/meter.ts';
import { Timekeeper } from '../traffic/timekeeper.ts';

export class WorkerContext {
  readonly meter = new Meter();
  readonly time = new Timekeeper();
  /** No new work. */
  halted = false;
  /** No way back. */
  stopping = false;

  /** Waits until a time of `performance.now()`; at once when the worker stops. */
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
