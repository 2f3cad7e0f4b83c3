/**
 * The timer of a worker: runs all scheduled calls in order with one platform timer, and yields to the
 * event loop between batches.
 *
 * @module
 */
import { DueQueue } from './schedule.ts';

/** Calls that run before the event loop can handle sockets. */
const callsPerTurnMax = 200;
/** Platform timers are limited to 24 days; a timer that fires early is set again. */
const sleepMaxMs = 2 ** 30;

export class Timekeeper {
  readonly #queue = new DueQueue<(intendedMs: number) => void>();
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #armedMs = Infinity;
  #closed = false;

  /** Calls back once at a time of `performance.now()`, with the scheduled time. */
  at(ms: number, call: (intendedMs: number) => void): void {
    if (this.#closed) return;
    this.#queue.push(ms, call);
    this.#arm();
  }

  close(): void {
    this.#closed = true;
    this.#queue.clear();
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
  }

  #arm(): void {
    const firstMs = this.#queue.firstMs;
    if (firstMs === undefined || this.#closed || this.#immediate !== undefined) return;
    if (firstMs >= this.#armedMs) return;
    clearTimeout(this.#timer);
    this.#armedMs = firstMs;
    // Timers fire up to a millisecond late, never early; more delay is the load of the process.
    this.#timer = setTimeout(
      () => this.#runDue(),
      Math.min(sleepMaxMs, Math.max(0, firstMs - performance.now())),
    );
  }

  #runDue(): void {
    this.#armedMs = Infinity;
    this.#immediate = undefined;
    for (let calls = 0; calls < callsPerTurnMax; calls++) {
      const due = this.#queue.takeDue(performance.now());
      if (due === undefined) {
        this.#arm();
        return;
      }
      due.item(due.atMs);
    }
    if (!this.#closed) this.#immediate = setImmediate(() => this.#runDue());
  }
}
