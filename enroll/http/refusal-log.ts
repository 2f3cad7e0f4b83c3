/**
 * Log lines about refused and failed requests, bounded per source and in all, so that an unknown client cannot fill the disk.
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

export type RequestFields = Readonly<Record<string, unknown>> & {
  readonly remoteAddress: string;
};

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

  refused(fields: RequestFields): void {
    if (this.#takeLine(fields)) this.#log.info(fields, 'request refused');
  }

  /** The service could not answer, for example because its disk is full. */
  failed(fields: RequestFields): void {
    if (this.#takeLine(fields)) this.#log.error(fields, 'request failed');
  }

  #takeLine({ remoteAddress }: RequestFields): boolean {
    this.#over ??= this.#clock.after(minuteMs, () => this.close());
    if (this.#share.take(addressPrefix(remoteAddress))) return true;
    this.#suppressed++;
    return false;
  }

  /** Ends the minute. */
  close(): void {
    this.#over?.();
    this.#over = undefined;
    this.#share.reset();
    if (this.#suppressed > 0) {
      this.#log.warn(
        { count: this.#suppressed },
        'log lines about refused and failed requests suppressed',
      );
    }
    this.#suppressed = 0;
  }
}
