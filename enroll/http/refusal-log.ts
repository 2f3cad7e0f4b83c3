/**
 * Log lines about refused requests, bounded per source and in all, so that an unknown client cannot fill the disk.
 * The number of suppressed lines is reported every minute.
 *
 * @module
 */
import type { Cancel, Clock } from '../../core/clock.ts';
import { FairShare } from '../../core/fair-share.ts';
import { addressPrefix } from '../../core/ip-address.ts';
import type { Logger } from '../../core/log.ts';

const minuteMs = 60_000;
const linesPerMinute = 1000;

export class RefusalLog {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #share = new FairShare(linesPerMinute);
  #suppressed = 0;
  #over: Cancel | undefined;

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  refused(fields: Readonly<Record<string, unknown>> & { readonly remoteAddress: string }): void {
    this.#over ??= this.#clock.after(minuteMs, () => this.close());
    if (this.#share.take(addressPrefix(fields.remoteAddress))) {
      this.#log.info(fields, 'request refused');
    } else {
      this.#suppressed++;
    }
  }

  /** Ends the minute. */
  close(): void {
    this.#over?.();
    this.#over = undefined;
    this.#share.reset();
    if (this.#suppressed > 0) {
      this.#log.warn({ count: this.#suppressed }, 'log lines about refused requests suppressed');
    }
    this.#suppressed = 0;
  }
}
