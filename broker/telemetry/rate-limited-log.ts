/**
 * A log that hostile clients cannot flood. A source (an identity, or the address of an unidentified client)
 * gets some lines a second and a tenth of the lines of a minute; all unidentified clients together get half of
 * them. Suppressed lines are counted by reason and reported in one line a minute.
 *
 * @module
 */
import type { Cancel, Clock } from '../../core/clock.ts';
import { FairShare } from '../../core/fair-share.ts';
import { addressPrefix } from '../../core/ip-address.ts';
import type { Logger } from '../../core/log.ts';
import { SecondWindow } from '../../core/second-window.ts';

/** Maximum lines per second for one identity or address. */
const linesPerSourcePerSecondMax = 10;
/** Maximum lines per second in total. */
export const linesPerSecondMax = 200;
/** Maximum lines per minute in total: about 500 MB a day. */
export const linesPerMinuteMax = 1200;
const minuteMs = 60_000;

/** Who caused a line. An IPv6 address counts as its /64; `broker`: lines for which nobody in particular is known. */
export type LineSource =
  | {
      readonly device: string;
      /**
       * The same cause can write such lines again and again: one line a second with this message, so that lines about
       * other causes are left, for example why the connection is closed.
       */
      readonly isRepeated?: true;
    }
  | { readonly address: string }
  | 'broker';

/** The fields of a line. The code or the reason is what suppressed lines are counted by. */
export interface LineFields extends Readonly<Record<string, unknown>> {
  readonly code?: string;
  readonly reason?: string;
}

export class RateLimitedLog {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #linesPerSourceMax: number;
  readonly #second: SecondWindow;
  readonly #linesBySource = new Map<string, number>();
  readonly #minute = new FairShare(linesPerMinuteMax);
  #minuteNumber = -1;
  #unidentified = 0;
  readonly #suppressed = new Map<string, number>();
  #cancelReport: Cancel | undefined;

  /** @param linesPerSourceMax maximum lines per second for one source */
  constructor(log: Logger, clock: Clock, linesPerSourceMax = linesPerSourcePerSecondMax) {
    this.#log = log;
    this.#clock = clock;
    this.#linesPerSourceMax = linesPerSourceMax;
    this.#second = new SecondWindow(clock);
  }

  /** Writes a line, unless its source or the log as a whole has reached a limit. */
  write(
    level: 'info' | 'warn' | 'error',
    source: LineSource,
    fields: LineFields,
    message: string,
  ): void {
    if (this.#takeLine(source, message)) this.#log[level](fields, message);
    else this.#count(fields.code ?? fields.reason ?? message);
  }

  /** Reports what is suppressed so far, and ends the timer. */
  stop(): void {
    this.#cancelReport?.();
    this.#report();
  }

  #takeLine(source: LineSource, message: string): boolean {
    if (this.#second.advance()) this.#linesBySource.clear();
    const minute = Math.floor(this.#clock.monotonicMs() / minuteMs);
    if (minute !== this.#minuteNumber) {
      this.#minuteNumber = minute;
      this.#minute.reset();
      this.#unidentified = 0;
    }
    const name = nameOf(source);
    const isUnidentified = source !== 'broker' && 'address' in source;
    const lines = (this.#linesBySource.get(name) ?? 0) + 1;
    if (lines > this.#linesPerSourceMax) return false;
    if (isUnidentified && this.#unidentified >= linesPerMinuteMax / 2) return false;
    const isRepeated = source !== 'broker' && 'isRepeated' in source;
    const repeated = `${name} ${message}`;
    if (isRepeated && this.#linesBySource.has(repeated)) return false;
    if (!this.#second.take(linesPerSecondMax) || !this.#minute.take(name)) return false;
    if (isUnidentified) this.#unidentified++;
    this.#linesBySource.set(name, lines);
    if (isRepeated) this.#linesBySource.set(repeated, 1);
    return true;
  }

  #count(reason: string): void {
    this.#suppressed.set(reason, (this.#suppressed.get(reason) ?? 0) + 1);
    this.#cancelReport ??= this.#clock.after(minuteMs, () => this.#report());
  }

  #report(): void {
    this.#cancelReport = undefined;
    if (this.#suppressed.size === 0) return;
    const reasons = Object.fromEntries(this.#suppressed);
    const lines = [...this.#suppressed.values()].reduce((sum, count) => sum + count, 0);
    this.#suppressed.clear();
    this.#log.warn({ lines, reasons }, 'log lines suppressed');
  }
}

/** No id of a device contains a space. */
function nameOf(source: LineSource): string {
  if (source === 'broker') return 'the broker';
  return 'address' in source ? `address ${addressPrefix(source.address)}` : source.device;
}
