/**
 * Color and relative times, for people at a terminal. Output that goes to a file or another program
 * stays plain.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { withoutControls } from '../../core/escape.ts';

export type Color = 'red' | 'green' | 'yellow' | 'cyan' | 'dim' | 'bold';

const codes: Readonly<Record<Color, readonly [number, number]>> = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
  dim: [2, 22],
  bold: [1, 22],
};

/** States that are not listed have no color. */
const statusColors: Readonly<Record<string, Color>> = {
  active: 'green',
  pending: 'yellow',
  suspended: 'yellow',
  expired: 'yellow',
  retired: 'dim',
  quarantined: 'red',
  revoked: 'red',
  withdrawn: 'red',
};

/** How text for one stream looks. */
export interface Style {
  /** Whether a person reads it: times are relative then. */
  readonly isTerminal: boolean;
  /** The text in a color, or as it is where color is off. */
  color(color: Color, text: string): string;
}

/**
 * Color is on for terminals. `NO_COLOR` (https://no-color.org) turns it off, `FORCE_COLOR` turns it on
 * for other streams; an empty variable counts as not set.
 */
export function styleOf(
  stream: NodeJS.WritableStream,
  env: Readonly<Record<string, string | undefined>>,
): Style {
  const isTerminal = 'isTTY' in stream && stream.isTTY === true;
  const isForced = !['', '0', 'false', undefined].includes(env['FORCE_COLOR']);
  const isRefused = !['', undefined].includes(env['NO_COLOR']) || env['TERM'] === 'dumb';
  const isColored = !isRefused && (isForced || isTerminal);
  return {
    isTerminal,
    color(color, text) {
      if (!isColored || text === '') return text;
      const [on, off] = codes[color];
      return `${mark}${on}m${text}${mark}${off}m`;
    },
  };
}

/** The state of an identity or a certificate: red is for what somebody has stopped, not for what waits. */
export function statusText(status: string, style: Style): string {
  const color = statusColors[status];
  return color === undefined ? status : style.color(color, status);
}

/**
 * Stands for the escape character of a color until the text is printed: no text from elsewhere can contain it.
 */
const mark = `\u{10FFFF}${randomBytes(8).toString('hex')}[`;

/** A text as it is printed: colors are real, and every other control character is visible. */
export function printedText(text: string): string {
  return text
    .split(mark)
    .map((part, at) => (at === 0 ? '' : '\u001B[') + withoutControls(part))
    .join('');
}

/** The columns that a text takes, without its colors. */
export function widthOf(text: string): number {
  return text
    .split(mark)
    .map((part, at) => (at === 0 ? part : part.replace(/^\d+m/, '')))
    .reduce((sum, part) => sum + withoutControls(part).length, 0);
}

const yearSeconds = 365 * 86_400;
/** Name, length in seconds, and from how many seconds it is used. */
const units = [
  ['y', yearSeconds, 2 * yearSeconds],
  ['d', 86_400, 86_400],
  ['h', 3_600, 3_600],
  ['min', 60, 60],
  ['s', 1, 1],
] as const;

/** A moment as people say it: `in 364 d`, `3 min ago`, `now`. One unit, rounded down. */
export function relativeTime(atMs: number, nowMs: number): string {
  const seconds = Math.floor(Math.abs(atMs - nowMs) / 1000);
  const found = units.find(([, , from]) => seconds >= from);
  if (found === undefined) return 'now';
  const [unit, length] = found;
  const amount = `${Math.floor(seconds / length)} ${unit}`;
  return atMs > nowMs ? `in ${amount}` : `${amount} ago`;
}
