/**
 * A log that hostile clients cannot flood: a bounded number of lines a second for each key and in all,
 * the rest counted and told in one line.
 *
 * @module
 */
import type { Logger } from '../../core/log.ts';
import type { Clock } from '../../core/clock.ts';

/** Lines a second in all. */
export const linesPerSecondMax = 200;

export class RateLimitedLog {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #linesPerSecond: number;
  #second = -1;
  readonly #counts = new Map<string, number>();
  #written = 0;
  #suppressed = 0;

  constructor(log: Logger, clock: Clock, linesPerSecond: number) {
    this.#log = log;
    this.#clock = clock;
    this.#linesPerSecond = linesPerSecond;
  }

  /** Writes a line, unless `key` had its share this second. */
  write(
    level: 'info' | 'warn',
    key: string,
    facts: Readonly<Record<string, unknown>>,
    text: string,
  ): void {
    const second = Math.floor(this.#clock.monotonicMs() / 1000);
    if (second !== this.#second) {
      if (this.#suppressed > 0) this.#log.warn({ lines: this.#suppressed }, 'lines left out');
      this.#second = second;
      this.#suppressed = 0;
      this.#written = 0;
      this.#counts.clear();
    }
    const count = (this.#counts.get(key) ?? 0) + 1;
    if (count > this.#linesPerSecond || this.#written >= linesPerSecondMax) {
      this.#suppressed++;
      return;
    }
    this.#written++;
    this.#counts.set(key, count);
    this.#log[level](facts, text);
  }
}
