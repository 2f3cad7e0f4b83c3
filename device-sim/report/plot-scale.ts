/**
 * Scales of plots: positions from 0 to 1000, and ticks at round values.
 *
 * @module
 */

/** The size of a plot's coordinate system in both directions; it is stretched to the real size. */
export const extent = 1000;

export interface Scale {
  readonly ticks: readonly number[];
  /** The position of a value, 0 at the low end. */
  readonly at: (value: number) => number;
}

/** From 0 to a round value above all values. */
export function linearScale(values: readonly number[]): Scale {
  const max = values.reduce((most, value) => Math.max(most, value), 0);
  const step = roundStep(max === 0 ? 1 : max / 4);
  const high = Math.max(step, Math.ceil(max / step) * step);
  const ticks = Array.from({ length: Math.round(high / step) + 1 }, (_item, index) => index * step);
  return { ticks, at: (value) => (Math.max(0, value) / high) * extent };
}

/** Logarithmic, between round values below and above all positive values. */
export function logScale(values: readonly number[]): Scale {
  const positive = values.filter((value) => value > 0);
  const low = roundDown(positive.reduce((least, value) => Math.min(least, value), Infinity));
  const high = roundUp(positive.reduce((most, value) => Math.max(most, value), 0));
  const top = high > low ? high : low * 10;
  const decades = Math.log10(top / low);
  const factors = decades > 3 ? [1] : [1, 2, 5];
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(top)); power++) {
    for (const factor of factors) {
      const tick = Number((factor * 10 ** power).toPrecision(6));
      if (tick >= low && tick <= top) ticks.push(tick);
    }
  }
  return {
    ticks,
    at: (value) => (Math.log10(Math.min(top, Math.max(low, value)) / low) / decades) * extent,
  };
}

/** Percentiles up to the highest share, so that 0.9, 0.99 and 0.999 have equal distances. */
export function percentileScale(highest: number): Scale {
  const nines = Math.max(1, -Math.log10(Math.max(1e-9, 1 - highest)));
  const whole = Math.floor(nines + 1e-6);
  const ticks = [
    0,
    0.5,
    ...Array.from({ length: whole }, (_item, index) => 1 - 10 ** -(index + 1)),
  ];
  return {
    ticks,
    at: (share) => Math.min(1, -Math.log10(Math.max(10 ** -nines, 1 - share)) / nines) * extent,
  };
}

/** Times of a run, from 0 to its end. */
export function timeScale(endMs: number): Scale {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200];
  const stepMs = (steps.find((seconds) => endMs / 1000 / seconds <= 10) ?? 86_400) * 1000;
  const ticks = Array.from(
    { length: Math.floor(endMs / stepMs) + 1 },
    (_item, index) => index * stepMs,
  );
  return { ticks, at: (atMs) => (atMs / Math.max(1, endMs)) * extent };
}

/** A tick of the time axis; all ticks of an axis have the same form. */
export function timeText(atMs: number, endMs: number): string {
  const seconds = Math.round(atMs / 1000);
  if (endMs < 120_000) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  const two = (value: number): string => value.toString().padStart(2, '0');
  return minutes < 60
    ? `${minutes}:${two(seconds % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

function roundStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = rough / power;
  return power * (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10);
}

function roundDown(value: number): number {
  if (!Number.isFinite(value)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const factor = value / power;
  return Number((power * (factor >= 5 ? 5 : factor >= 2 ? 2 : 1)).toPrecision(6));
}

function roundUp(value: number): number {
  return value <= 0 ? 10 : Number(roundStep(value).toPrecision(6));
}
