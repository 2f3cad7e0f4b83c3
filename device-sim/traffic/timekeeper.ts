/**
 * The one timer of a worker: calls what is due, in order, and lets the sockets breathe in between.
 *
 * @module
 */
import { DueQueue } from './schedule.ts';

/** How many calls are made before the event loop gets its turn. */
const callsPerTurnMax = 200;
/** Timers of the platform hold 24 days; one that fires early only looks and sleeps on. */
const sleepMaxMs = 2 ** 30;

export class Timekeeper {
  readonly #queue = new DueQueue<(intendedMs: number) => void>();
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #armedMs = Infinity;
  #closed = false;

  /** Calls once at a time of `performance.now()`; the call is told the time it was meant for. */
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
    // Timers fire up to a millisecond late, never early; the rest is the load of the process.
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
