/**
 * Plots as SVG text: lines or stacked areas over the time of a run, with its phases behind them.
 *
 * @module
 */

export interface Series {
  readonly name: string;
  /** A CSS colour. */
  readonly color: string;
  /** One value for each time; undefined where nothing was measured. */
  readonly values: readonly (number | undefined)[];
}

export interface Band {
  readonly name: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface ChartOptions {
  /** For people and screen readers. */
  readonly title: string;
  readonly timesMs: readonly number[];
  readonly series: readonly Series[];
  readonly bands: readonly Band[];
  /** `stacked`: areas on top of each other. `log`: decades upwards, for latencies. */
  readonly kind: 'lines' | 'stacked' | 'log';
  readonly format: (value: number) => string;
}

const width = 920;
const height = 260;
const left = 64;
const right = 12;
const top = 30;
const bottom = 28;

interface Scale {
  readonly ticks: readonly number[];
  readonly y: (value: number) => number;
}

/** One plot with its legend. */
export function chart(options: ChartOptions): string {
  const { timesMs, series, bands, title, kind, format } = options;
  const endMs = Math.max(1, timesMs.at(-1) ?? 1, ...bands.map(({ toMs }) => toMs));
  const x = (ms: number): number => left + (ms / endMs) * (width - left - right);
  const stacked = kind === 'stacked' ? stack(series) : undefined;
  const all = (stacked ?? series).flatMap(({ values }) => values.flatMap((value) => value ?? []));
  const scale = kind === 'log' ? logScale(all) : linearScale(all);
  const areas = (stacked ?? []).map((layer, index) => {
    const below = stacked?.[index - 1];
    return area(layer, below, timesMs, x, scale.y);
  });
  const lines = kind === 'stacked' ? [] : series.map((line) => path(line, timesMs, x, scale.y));
  const hover = JSON.stringify({
    t: timesMs.map((ms) => Math.round(ms)),
    x: timesMs.map((ms) => Math.round(x(ms) * 10) / 10),
    s: series.map(({ name, color, values }) => ({
      n: name,
      c: color,
      v: values.map((value) => (value === undefined ? '–' : format(value))),
    })),
  });
  return `<figure class="chart">
<figcaption>${escape(title)}<span class="legend">${series
    .map(({ name, color }) => `<span><i style="background:${color}"></i>${escape(name)}</span>`)
    .join('')}</span></figcaption>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}" data-hover="${escape(hover)}">
${bandMarks(bands, x)}
${scale.ticks
  .map(
    (tick) =>
      `<line class="grid" x1="${left}" x2="${width - right}" y1="${n(scale.y(tick))}" y2="${n(scale.y(tick))}"/>` +
      `<text class="tick" x="${left - 8}" y="${n(scale.y(tick) + 4)}" text-anchor="end">${escape(format(tick))}</text>`,
  )
  .join('\n')}
${timeTicks(endMs)
  .map(
    (tick) =>
      `<text class="tick" x="${n(x(tick))}" y="${height - 8}" text-anchor="middle">${timeText(tick, endMs)}</text>`,
  )
  .join('\n')}
${areas.join('\n')}
${lines.join('\n')}
<line class="cursor" y1="${top}" y2="${height - bottom}" x1="0" x2="0"/>
</svg></figure>`;
}

/** Makes text safe inside HTML, attributes included. */
export function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

function bandMarks(bands: readonly Band[], x: (ms: number) => number): string {
  let lastLabelEnd = -Infinity;
  return bands
    .toSorted((one, two) => one.fromMs - two.fromMs)
    .map(({ name, fromMs, toMs }, index) => {
      const from = x(fromMs);
      const wide = Math.max(1, x(toMs) - from);
      // Labels that would run into the one before are left to the tooltip.
      const roomy = from >= lastLabelEnd + 6 && wide > name.length * 3;
      if (roomy) lastLabelEnd = from + name.length * 6.2;
      return (
        `<rect class="band${index % 2}" x="${n(from)}" y="${top}" width="${n(wide)}" height="${height - top - bottom}"><title>${escape(name)}</title></rect>` +
        (roomy
          ? `<text class="phase" x="${n(from + 2)}" y="${top - 6}">${escape(name)}</text>`
          : '')
      );
    })
    .join('\n');
}

function path(
  { values, color }: Series,
  timesMs: readonly number[],
  x: (ms: number) => number,
  y: (value: number) => number,
): string {
  let d = '';
  let drawing = false;
  const dots: string[] = [];
  for (const [index, value] of values.entries()) {
    if (value === undefined) {
      drawing = false;
      continue;
    }
    const point = `${n(x(timesMs[index] ?? 0))} ${n(y(value))}`;
    d += `${drawing ? 'L' : 'M'}${point}`;
    // A value between two gaps would be a line of no length.
    if (!drawing && values[index + 1] === undefined) {
      const [cx = '', cy = ''] = point.split(' ');
      dots.push(`<circle cx="${cx}" cy="${cy}" r="2" fill="${color}"/>`);
    }
    drawing = true;
  }
  return `<path d="${d}" fill="none" stroke="${color}" stroke-width="1.8" stroke-linejoin="round"/>${dots.join('')}`;
}

function area(
  layer: Series,
  below: Series | undefined,
  timesMs: readonly number[],
  x: (ms: number) => number,
  y: (value: number) => number,
): string {
  const upper = layer.values.map(
    (value, index) => `${n(x(timesMs[index] ?? 0))} ${n(y(value ?? 0))}`,
  );
  const lower = layer.values
    .map((_value, index) => `${n(x(timesMs[index] ?? 0))} ${n(y(below?.values[index] ?? 0))}`)
    .toReversed();
  return `<path d="M${[...upper, ...lower].join('L')}Z" fill="${layer.color}" fill-opacity="0.85"/>`;
}

function stack(series: readonly Series[]): Series[] {
  const sums: number[] = [];
  return series.map(({ name, color, values }) => ({
    name,
    color,
    values: values.map((value, index) => (sums[index] = (sums[index] ?? 0) + (value ?? 0))),
  }));
}

function linearScale(values: readonly number[]): Scale {
  const max = Math.max(0, ...values);
  const step = niceStep(max === 0 ? 1 : max / 4);
  const highest = Math.max(step, Math.ceil(max / step) * step);
  const ticks = Array.from(
    { length: Math.round(highest / step) + 1 },
    (_item, index) => index * step,
  );
  return { ticks, y: (value) => height - bottom - (value / highest) * (height - top - bottom) };
}

function logScale(values: readonly number[]): Scale {
  const positive = values.filter((value) => value > 0);
  const low = Math.floor(Math.log10(Math.max(0.001, Math.min(1, ...positive))));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(10, ...positive))));
  const ticks = Array.from({ length: high - low + 1 }, (_item, index) => 10 ** (low + index));
  return {
    ticks,
    y: (value) => {
      const share = (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low);
      return height - bottom - share * (height - top - bottom);
    },
  };
}

function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = rough / power;
  return power * (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10);
}

function timeTicks(endMs: number): number[] {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200];
  const step = (steps.find((seconds) => endMs / 1000 / seconds <= 10) ?? 86_400) * 1000;
  return Array.from({ length: Math.floor(endMs / step) + 1 }, (_item, index) => index * step);
}

function timeText(ms: number, endMs: number): string {
  const seconds = Math.round(ms / 1000);
  // One way of writing for the whole axis.
  if (endMs < 120_000) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  const two = (value: number): string => value.toString().padStart(2, '0');
  return minutes < 60
    ? `${minutes}:${two(seconds % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

function n(value: number): string {
  return (Math.round(value * 10) / 10).toString();
}
