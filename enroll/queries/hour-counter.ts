/**
 * Counts of the last hour, by minute: constant memory, constant time.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';

const minuteMs = 60_000;
const minutes = 60;

export class HourCounter<Kind extends string> {
  readonly #clock: Clock;
  readonly #buckets = new Map<Kind, Map<number, { minute: number; count: number }>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts something that happened at a time; what is older than an hour is ignored. */
  add(kind: Kind, count: number, atMs: number): void {
    const minute = Math.floor(atMs / minuteMs);
    if (minute <= this.#currentMinute() - minutes || count === 0) return;
    const buckets = this.#buckets.get(kind) ?? new Map<number, { minute: number; count: number }>();
    this.#buckets.set(kind, buckets);
    const slot = ((minute % minutes) + minutes) % minutes;
    const bucket = buckets.get(slot);
    if (bucket?.minute === minute) bucket.count += count;
    else if (bucket === undefined || bucket.minute < minute) buckets.set(slot, { minute, count });
  }

  /** How many there were in the last hour. */
  count(kind: Kind): number {
    const oldest = this.#currentMinute() - minutes;
    let sum = 0;
    for (const { minute, count } of this.#buckets.get(kind)?.values() ?? []) {
      if (minute > oldest) sum += count;
    }
    return sum;
  }

  #currentMinute(): number {
    return Math.floor(this.#clock.now() / minuteMs);
  }
}
