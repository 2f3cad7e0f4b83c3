/**
 * Plots as HTML and SVG. The SVG holds only lines and areas and is stretched to the real width; all text
 * is HTML, so that it has the same size on every screen.
 *
 * @module
 */
import { escapeMarkup } from './html-page.ts';
import { extent, type Scale } from './plot-scale.ts';

/** Names of the colors in html-style.ts. */
export type PlotColor =
  'blue' | 'orange' | 'red' | 'green' | 'grey' | 'violet' | 'teal' | 'ochre' | 'pink';

export interface Series {
  readonly name: string;
  readonly color: PlotColor;
  /** One value for each x; undefined where nothing was measured. */
  readonly values: readonly (number | undefined)[];
}

/** A threshold in the plot, over the whole width or a part of it. */
export interface Limit {
  readonly label: string;
  readonly value: number;
  readonly from?: number;
  readonly to?: number;
}

export interface Band {
  readonly from: number;
  readonly to: number;
  /** Shown above the band. */
  readonly label: string;
}

export interface PlotOptions {
  readonly title: string;
  /** The unit or meaning of the y axis. */
  readonly yTitle: string;
  readonly xTitle: string;
  readonly xs: readonly number[];
  readonly xScale: Scale;
  readonly yScale: Scale;
  readonly series: readonly Series[];
  readonly kind: 'lines' | 'stacked';
  /** Renders a value with its unit, and a tick of the y axis. */
  readonly yText: (value: number) => string;
  readonly yTick: (value: number) => string;
  readonly xText: (value: number) => string;
  /** Heading of the values under the cursor (default: `xText`). */
  readonly cursorText?: (value: number) => string;
  /** Plots of one group share their cursor. */
  readonly group?: string;
  readonly limits?: readonly Limit[];
  readonly bands?: readonly Band[];
}

/** One plot with its legend and axes. */
export function plot(options: PlotOptions): string {
  const { series, kind, xs, xScale, yScale, limits = [], bands = [] } = options;
  const shapes =
    kind === 'stacked'
      ? stackedAreas(series, xs, xScale, yScale)
      : series.map((one) => curve(one, xs, xScale, yScale));
  return figure({
    ...options,
    shapes: [
      ...bands.map((band, index) => bandShape(band, index, xScale)),
      ...yScale.ticks.map((tick) => horizontal('grid', yScale.at(tick))),
      ...shapes,
      ...limits.map(({ value, from, to }) =>
        horizontal(
          'limit',
          yScale.at(value),
          from === undefined ? 0 : xScale.at(from),
          to === undefined ? extent : xScale.at(to),
        ),
      ),
    ],
    marks: [
      ...bandMarks(bands, xScale),
      ...limits.map(
        ({ label, value, from }) =>
          `<span class="limit-mark" style="bottom:${percentOf(yScale.at(value))};left:${percentOf(from === undefined ? 0 : xScale.at(from))}">${escapeMarkup(label)}</span>`,
      ),
    ],
    cursor: {
      xs,
      rows: series.map(({ name, color, values }) => ({
        name,
        color,
        texts: xs.map((_x, index) => {
          const value = values[index];
          return value === undefined ? '–' : options.yText(value);
        }),
      })),
    },
  });
}

export interface FigureOptions {
  readonly title: string;
  readonly yTitle: string;
  readonly xTitle: string;
  readonly xScale: Scale;
  readonly yScale: Scale;
  readonly yTick: (value: number) => string;
  readonly xText: (value: number) => string;
  readonly cursorText?: (value: number) => string;
  readonly group?: string;
  /** SVG elements. */
  readonly shapes: readonly string[];
  /** HTML elements over the plot. */
  readonly marks: readonly string[];
  readonly cursor: {
    readonly xs: readonly number[];
    readonly rows: readonly {
      readonly name: string;
      readonly color: PlotColor;
      readonly texts: readonly string[];
    }[];
  };
}

/** The frame of a plot: caption, legend, axes, and the values for the cursor. */
export function figure(options: FigureOptions): string {
  const { title, yTitle, xTitle, xScale, yScale, yTick, xText, cursor } = options;
  const legend = (cursor.rows.length > 1 ? cursor.rows : []).map(
    ({ name, color }) =>
      `<span><i style="background:var(--${color})"></i>${escapeMarkup(name)}</span>`,
  );
  const yTicks = yScale.ticks.map(
    (tick) =>
      `<span style="bottom:${percentOf(yScale.at(tick))}">${escapeMarkup(yTick(tick))}</span>`,
  );
  const data = JSON.stringify({
    g: options.group,
    x: cursor.xs.map((x) => Math.round(xScale.at(x)) / (extent / 100)),
    h: cursor.xs.map(options.cursorText ?? xText),
    s: cursor.rows.map(({ name, color, texts }) => ({ n: name, c: color, v: texts })),
  });
  return `<figure><figcaption><b>${escapeMarkup(title)}</b><small>${escapeMarkup(yTitle)}</small><span class="legend">${legend.join('')}</span></figcaption>
<div class="frame" tabindex="0" role="img" aria-label="${escapeMarkup(`${title}, ${yTitle}. Use the arrow keys to read values.`)}" data-plot="${escapeMarkup(data)}"><div class="y">${yTicks.join('')}</div><div class="area"><svg viewBox="0 0 ${extent} ${extent}" preserveAspectRatio="none" aria-hidden="true">
${options.shapes.join('\n')}
</svg>${options.marks.join('')}<i class="cursor"></i></div><div class="x">${xTicks(xScale, xText)}</div><div class="axis">${escapeMarkup(xTitle)}</div></div></figure>`;
}

/** A position of a scale as a CSS percentage. */
export function percentOf(position: number): string {
  return `${Math.round((position / extent) * 10_000) / 100}%`;
}

/** A coordinate of SVG. */
export function coordinate(value: number): string {
  return (Math.round(value * 10) / 10).toString();
}

function xTicks(scale: Scale, text: (value: number) => string): string {
  return scale.ticks
    .map((tick, index) => {
      const at = scale.at(tick);
      const kinds = [
        ...(index % 2 === 1 && scale.ticks.length > 6 ? ['odd'] : []),
        ...(at < 10 ? ['first'] : at > 985 ? ['last'] : []),
      ];
      return `<span class="${kinds.join(' ')}" style="left:${percentOf(at)}">${escapeMarkup(text(tick))}</span>`;
    })
    .join('');
}

function horizontal(kind: string, at: number, from = 0, to = extent): string {
  const y = coordinate(extent - at);
  return `<line class="${kind}" x1="${coordinate(from)}" x2="${coordinate(to)}" y1="${y}" y2="${y}"/>`;
}

function bandShape({ from, to }: Band, index: number, xScale: Scale): string {
  const left = xScale.at(from);
  return `<rect class="band${index % 2}" x="${coordinate(left)}" y="0" width="${coordinate(xScale.at(to) - left)}" height="${extent}"/>`;
}

/** Labels above the bands; those that would overlap the one before are omitted. */
function bandMarks(bands: readonly Band[], xScale: Scale): string[] {
  let last = -Infinity;
  return bands.flatMap(({ from, to, label }) => {
    const at = xScale.at((from + to) / 2);
    if (at < last + 35) return [];
    last = at;
    return [`<span class="no-mark" style="left:${percentOf(at)}">${escapeMarkup(label)}</span>`];
  });
}

function curve({ values, color }: Series, xs: readonly number[], x: Scale, y: Scale): string {
  let path = '';
  let dots = '';
  let drawing = false;
  for (const [index, value] of values.entries()) {
    if (value === undefined) {
      drawing = false;
      continue;
    }
    const point = `${coordinate(x.at(xs[index] ?? 0))} ${coordinate(extent - y.at(value))}`;
    path += `${drawing ? 'L' : 'M'}${point}`;
    // A value between two gaps would be a line of no length.
    if (!drawing && values[index + 1] === undefined) dots += `M${point}h0`;
    drawing = true;
  }
  const style = `style="stroke:var(--${color})"`;
  return `<path class="curve" d="${path}" ${style}/>${dots === '' ? '' : `<path class="dot" d="${dots}" ${style}/>`}`;
}

function stackedAreas(
  series: readonly Series[],
  xs: readonly number[],
  x: Scale,
  y: Scale,
): string[] {
  const sums = xs.map(() => 0);
  return series.map(({ values, color }) => {
    const edge = (): string[] =>
      xs.map(
        (at, index) => `${coordinate(x.at(at))} ${coordinate(extent - y.at(sums[index] ?? 0))}`,
      );
    const lower = edge().toReversed();
    for (const index of xs.keys()) sums[index] = (sums[index] ?? 0) + (values[index] ?? 0);
    return `<path class="stacked" d="M${[...edge(), ...lower].join('L')}Z" style="fill:var(--${color})"/>`;
  });
}
