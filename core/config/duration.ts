/**
 * Durations as people write them: `250ms`, `30s`, `15m`, `24h`, `90d`.
 *
 * @module
 */
import { printable } from '../escape.ts';
import { FlotillaError } from '../errors/flotilla-error.ts';

/** One day in ms. */
export const dayMs = 86_400_000;

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: dayMs } as const;

/** The longest duration that can be written: 100 years, in ms. */
export const durationMaxMs = 36_525 * unitMs.d;

/**
 * Reads a duration of at most {@link durationMaxMs} into milliseconds.
 *
 * @throws FlotillaError `duration-invalid`
 */
export function parseDuration(text: string): number {
  const found = /^(\d{1,13})(ms|s|m|h|d)$/.exec(text);
  const [, digits, unit] = found ?? [];
  const ms = Number(digits) * unitMs[(unit ?? 'ms') as keyof typeof unitMs];
  if (found === null || ms > durationMaxMs) {
    throw new FlotillaError('duration-invalid', { detail: printable(text) });
  }
  return ms;
}

/** Formats a duration in the largest unit that divides it. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (ms >= unitMs[unit] && ms % unitMs[unit] === 0) return `${ms / unitMs[unit]}${unit}`;
  }
  return `${ms}ms`;
}
