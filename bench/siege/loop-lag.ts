/**
 * How late the timers of a broker were, from its metrics.
 *
 * @module
 */

/** The number of observations at most so late, by the upper bound in ms, and in all. */
export type LoopLag = ReadonlyMap<number, number>;

const bucket = /^flotilla_event_loop_lag_seconds_bucket\{le="([^"]+)"[^}]*\} (\d+)/gm;

export function readLoopLag(metrics: string): LoopLag {
  return new Map(
    [...metrics.matchAll(bucket)].map(([, bound, count]) => [
      bound === '+Inf' ? Infinity : Number(bound) * 1000,
      Number(count),
    ]),
  );
}

/** The upper bounds, in ms, below which the half, 99 % and all observations between two readings are; null: no bound. */
export function lagBetween(
  before: LoopLag,
  after: LoopLag,
): Record<'p50' | 'p99' | 'max', number | null> {
  const bounds = [...after].sort(([one], [other]) => one - other);
  const since = (bound: number): number => (after.get(bound) ?? 0) - (before.get(bound) ?? 0);
  const total = since(Infinity);
  const boundOf = (part: number): number | null => {
    const found = bounds.find(([bound]) => since(bound) >= total * part)?.[0];
    return found === undefined || found === Infinity ? null : found;
  };
  return { p50: boundOf(0.5), p99: boundOf(0.99), max: boundOf(1) };
}
