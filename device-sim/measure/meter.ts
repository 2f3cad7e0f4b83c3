/**
 * Counters, timers and failures of one process. A meter is emptied every second, and the parts of all
 * processes are merged.
 *
 * @module
 */
import { Histogram, type HistogramData } from './histogram.ts';

export const counterNames = [
  'enrolled',
  'enrollRetried',
  'enrollFailed',
  'connectStarted',
  'connected',
  'connectFailed',
  'resumed',
  'disconnected',
  'published',
  'acknowledged',
  'publishFailed',
  'missed',
  'delivered',
  'duplicated',
  'misdelivered',
  'foreign',
  'commandsSent',
  'commandsAcknowledged',
  'commandsDelivered',
  'commandsDuplicated',
  'commandsMisdelivered',
  'repliesReceived',
  'renewed',
  'renewFailed',
] as const;
export type CounterName = (typeof counterNames)[number];

export const timerNames = [
  'enroll',
  'handshake',
  'handshakeResumed',
  'connect',
  'publishAck',
  'endToEnd',
  'command',
  'roundtrip',
  'renew',
  'scheduleError',
  'connectScheduleError',
] as const;
export type TimerName = (typeof timerNames)[number];

/** The serialized content of a meter. */
export interface MeterData {
  readonly counters: Partial<Record<CounterName, number>>;
  readonly timers: Partial<Record<TimerName, HistogramData>>;
  /** The count of each failure by its reason. */
  readonly errors: Readonly<Record<string, number>>;
}

/** The most different reasons that are counted separately; the rest counts as `other`. */
export const reasonsMax = 100;

export class Meter {
  readonly #counters = new Map<CounterName, number>();
  readonly #timers = new Map<TimerName, Histogram>();
  readonly #errors = new Map<string, number>();

  count(name: CounterName, by = 1): void {
    this.#counters.set(name, (this.#counters.get(name) ?? 0) + by);
  }

  time(name: TimerName, microseconds: number): void {
    let histogram = this.#timers.get(name);
    if (histogram === undefined) this.#timers.set(name, (histogram = new Histogram()));
    histogram.add(microseconds);
  }

  fail(reason: string, by = 1): void {
    const known = this.#errors.has(reason) || this.#errors.size < reasonsMax;
    const name = known ? reason : 'other';
    this.#errors.set(name, (this.#errors.get(name) ?? 0) + by);
  }

  merge(data: MeterData): void {
    for (const name of counterNames) {
      const by = data.counters[name];
      if (by !== undefined) this.count(name, by);
    }
    for (const name of timerNames) {
      const piece = data.timers[name];
      if (piece === undefined) continue;
      let histogram = this.#timers.get(name);
      if (histogram === undefined) this.#timers.set(name, (histogram = new Histogram()));
      histogram.merge(piece);
    }
    for (const [reason, by] of Object.entries(data.errors)) this.fail(reason, by);
  }

  counter(name: CounterName): number {
    return this.#counters.get(name) ?? 0;
  }

  timer(name: TimerName): Histogram {
    return this.#timers.get(name) ?? new Histogram();
  }

  errors(): Record<string, number> {
    return Object.fromEntries([...this.#errors].toSorted(([, one], [, two]) => two - one));
  }

  /** Returns the content and empties the meter. */
  take(): MeterData {
    const counters: Partial<Record<CounterName, number>> = {};
    for (const [name, value] of this.#counters) if (value !== 0) counters[name] = value;
    const timers: Partial<Record<TimerName, HistogramData>> = {};
    for (const [name, histogram] of this.#timers) {
      if (histogram.count > 0) timers[name] = histogram.take();
    }
    const errors = Object.fromEntries(this.#errors);
    this.#counters.clear();
    this.#errors.clear();
    return { counters, timers, errors };
  }
}
