/**
 * Numbers with units for HTML reports.
 *
 * @module
 */
import { ms } from '../view/progress.ts';

/** A number without needless decimals. */
export function plainNumber(value: number): string {
  return value >= 1000 ? countText(Math.round(value)) : Number(value.toPrecision(3)).toString();
}

/** A latency at the tick of an axis. */
export function tickMs(value: number): string {
  return value >= 1000 ? `${plainNumber(value / 1000)} s` : `${plainNumber(value)} ms`;
}

/** A whole number with thousands separators. */
export function countText(value: number): string {
  return value.toLocaleString('en-US');
}

/** A number of events per second. */
export function rateText(value: number): string {
  return value >= 10 || value === 0
    ? countText(Math.round(value))
    : value.toFixed(value >= 1 ? 1 : 2);
}

export function durationText(valueMs: number): string {
  return valueMs < 120_000
    ? `${(valueMs / 1000).toFixed(1)} s`
    : `${(valueMs / 60_000).toFixed(1)} min`;
}

export function bytesText(value: number): string {
  const size = Math.abs(value);
  if (size >= 1_048_576) return `${(value / 1_048_576).toFixed(size >= 104_857_600 ? 0 : 1)} MiB`;
  return size >= 1024 ? `${(value / 1024).toFixed(1)} KiB` : `${value} B`;
}

export function percentText(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

/** The value of a figure of the report with the unit that its name implies. */
export function figureText(figure: string, value: number): string {
  const name = figure.split('.').at(-1) ?? '';
  if (/^(?:ok|valid|local|contended)$/.test(name)) return value === 1 ? 'yes' : 'no';
  if (isTime(figure)) return ms(value);
  if (name.endsWith('Us')) return `${value.toFixed(1)} µs`;
  if (name.endsWith('Bytes')) return bytesText(value);
  if (name.endsWith('PerSecond')) return `${rateText(value)}/s`;
  if (/^(?:loopBusy\w+|\w+Share)$/.test(name)) return percentText(value);
  return Number.isInteger(value) ? countText(value) : value.toString();
}

/** `≤ 500 ms` for the limit `<= 500` of a latency. */
export function limitText(figure: string, limit: string): string {
  const [operator = '', digits = ''] = limit.split(' ');
  const sign = { '<=': '≤', '>=': '≥', '==': '=' }[operator] ?? operator;
  const value = Number(digits);
  const text = isTime(figure) ? tickMs(value) : figureText(figure, value);
  return `${sign} ${text}`;
}

function isTime(figure: string): boolean {
  const name = figure.split('.').at(-1) ?? '';
  return name.endsWith('Ms') || (/(?:latency|Error)Ms\./.test(figure) && name !== 'count');
}
