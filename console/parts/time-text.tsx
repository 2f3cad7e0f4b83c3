/** Times: relative to now on the page, absolute on hover. @module */
import { signal } from '@preact/signals';
import type { JSX } from 'preact';

const tickMs = 5000;
/** The time, in steps; relative times follow it. */
export const currentMs = signal(Date.now());
setInterval(() => {
  if (!document.hidden) currentMs.value = Date.now();
}, tickMs);

const units = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
] as const;
const format = new Intl.RelativeTimeFormat('en', { numeric: 'always', style: 'short' });
const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** "in 3 days", "5 min. ago", "just now". */
export function timeFromNow(ms: number, nowMs: number): string {
  const seconds = (ms - nowMs) / 1000;
  for (const [unit, size] of units) {
    if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit);
  }
  return seconds > 10 ? 'in less than a minute' : 'just now';
}

/** Both forms of a time; "never" without one. */
export function TimeText({
  at,
  isAbsolute = false,
}: {
  readonly at: string | null | undefined;
  readonly isAbsolute?: boolean;
}): JSX.Element {
  if (at === null || at === undefined) return <span class="faint">never</span>;
  const ms = Date.parse(at);
  const relative = timeFromNow(ms, currentMs.value);
  const exact = absolute.format(ms);
  return (
    <time dateTime={at} title={isAbsolute ? relative : exact} class="time">
      {isAbsolute ? exact : relative}
    </time>
  );
}
