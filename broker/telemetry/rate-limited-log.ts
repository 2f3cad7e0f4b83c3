/**
 * A log that hostile clients cannot flood: the number of lines per second is limited, per key and in
 * total. Suppressed lines are counted and reported in one line.
 *
 * @module
 */
import type { Logger } from '../../core/log.ts';
import type { Clock } from '../../core/clock.ts';
import { SecondWindow } from '../../core/second-window.ts';

/** Maximum lines per second in total. */
export const linesPerSecondMax = 200;

export class RateLimitedLog {
  readonly #log: Logger;
  readonly #linesPerKeyMax: number;
  readonly #window: SecondWindow;
  readonly #linesByKey = new Map<string, number>();
  #suppressed = 0;

  /** @param linesPerKeyMax maximum lines per second for one key */
  constructor(log: Logger, clock: Clock, linesPerKeyMax: number) {
    this.#log = log;
    this.#linesPerKeyMax = linesPerKeyMax;
    this.#window = new SecondWindow(clock);
  }

  /** Writes a line, unless `key` or the log as a whole reached its limit for this second. */
  write(
    level: 'info' | 'warn',
    key: string,
    fields: Readonly<Record<string, unknown>>,
    message: string,
  ): void {
    if (this.#window.advance()) this.#startSecond();
    const lines = (this.#linesByKey.get(key) ?? 0) + 1;
    if (lines > this.#linesPerKeyMax || !this.#window.take(linesPerSecondMax)) {
      this.#suppressed++;
      return;
    }
    this.#linesByKey.set(key, lines);
    this.#log[level](fields, message);
  }

  #startSecond(): void {
    if (this.#suppressed > 0) this.#log.warn({ lines: this.#suppressed }, 'log lines suppressed');
    this.#suppressed = 0;
    this.#linesByKey.clear();
  }
}
