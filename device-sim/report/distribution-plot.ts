/**
 * Plots of latency distributions: a histogram, and the percentile curve, in which the rare slow cases
 * take as much room as the frequent fast ones.
 *
 * @module
 */
import type { Distribution } from '../measure/histogram.ts';
import { ms } from '../view/progress.ts';
import { plainNumber, tickMs } from './html-format.ts';
import { escapeMarkup } from './html-page.ts';
import { coordinate, figure, percentOf, plot, type Limit, type PlotColor } from './plot.ts';
import { extent, linearScale, logScale, percentileScale, type Scale } from './plot-scale.ts';

/** One distribution in a plot. */
export interface PlotShape {
  readonly name: string;
  readonly color: PlotColor;
  readonly distribution: Distribution;
}

/** A line at a latency, e.g. a percentile or a threshold. */
export interface Marker {
  readonly label: string;
  readonly valueMs: number;
  readonly kind: 'value' | 'limit';
}

/** The histogram of one latency, or of the same latency in two runs. */
export function histogramPlot(
  title: string,
  shapes: readonly PlotShape[],
  markers: readonly Marker[],
): string {
  const edges = shapes.flatMap(({ distribution }) =>
    distribution.buckets.flatMap(([fromMs, toMs]) => [Math.max(fromMs, toMs / 2), toMs]),
  );
  const xScale = logScale([...edges, ...markers.map(({ valueMs }) => valueMs)]);
  const rows = shapes.map(({ distribution }) => sharesOf(distribution));
  const yScale = linearScale(rows.flat());
  // The cursor stops at the buckets of the first distribution.
  const xs = (shapes[0]?.distribution.buckets ?? []).map(([fromMs, toMs]) =>
    Math.sqrt(Math.max(fromMs, toMs / 2) * toMs),
  );
  return figure({
    title,
    yTitle: '% of samples',
    xTitle: 'latency, logarithmic',
    xScale,
    yScale,
    yTick: (value) => `${plainNumber(value)} %`,
    xText: tickMs,
    cursorText: ms,
    shapes: [
      ...yScale.ticks.map((tick) => gridLine(yScale.at(tick))),
      ...shapes.map((shape, index) => bars(shape, rows[index] ?? [], xScale, yScale, index > 0)),
      ...markers.map(({ kind, valueMs }) => markerLine(kind, xScale.at(valueMs))),
    ],
    marks: markers.map(({ label, valueMs }, index) => {
      const at = xScale.at(valueMs);
      const side = at > extent * 0.7 ? ' left' : '';
      return `<span class="value-mark${side}" style="left:${percentOf(at)};top:${index * 16}px">${escapeMarkup(label)}</span>`;
    }),
    cursor: {
      xs,
      rows: shapes.map(({ name, color, distribution }) => ({
        name,
        color,
        texts: xs.map((x) => `${shareAt(distribution, x).toFixed(2)} %`),
      })),
    },
  });
}

/** Percentile curves of several latencies. */
export function percentilePlot(
  title: string,
  shapes: readonly PlotShape[],
  limits: readonly Limit[],
): string {
  const xs = [
    ...new Set(shapes.flatMap(({ distribution }) => distribution.percentiles.map(([at]) => at))),
  ]
    // The maximum has no place on the axis, on which 100 % is infinitely far away.
    .filter((share) => share < 1)
    .toSorted((one, two) => one - two);
  const values = shapes.flatMap(({ distribution }) => distribution.percentiles.map(([, at]) => at));
  return plot({
    title,
    yTitle: 'latency, logarithmic',
    xTitle: 'percentile',
    kind: 'lines',
    xs,
    xScale: percentileScale(xs.at(-1) ?? 0.9),
    yScale: logScale([...values, ...limits.map(({ value }) => value)]),
    yText: ms,
    yTick: tickMs,
    xText: percentileText,
    limits,
    series: shapes.map(({ name, color, distribution }) => {
      const byShare = new Map(distribution.percentiles);
      return { name, color, values: xs.map((x) => byShare.get(x)) };
    }),
  });
}

/** `p99.9` for 0.999. */
function percentileText(share: number): string {
  return `p${Number((share * 100).toPrecision(6))}`;
}

function samplesOf({ buckets }: Distribution): number {
  return buckets.reduce((sum, [, , count]) => sum + count, 0);
}

/** The share of each bucket in percent. */
function sharesOf(distribution: Distribution): number[] {
  const samples = samplesOf(distribution);
  return distribution.buckets.map(([, , count]) => (count / Math.max(1, samples)) * 100);
}

function shareAt(distribution: Distribution, valueMs: number): number {
  const index = distribution.buckets.findIndex(
    ([fromMs, toMs]) => valueMs >= fromMs && valueMs < toMs,
  );
  return index === -1 ? 0 : (sharesOf(distribution)[index] ?? 0);
}

function bars(
  { color, distribution }: PlotShape,
  shares: readonly number[],
  xScale: Scale,
  yScale: Scale,
  over: boolean,
): string {
  const path = distribution.buckets.map(([fromMs, toMs], index) => {
    const left = coordinate(xScale.at(Math.max(fromMs, toMs / 2)));
    const height = yScale.at(shares[index] ?? 0);
    return `M${left} ${extent}V${coordinate(extent - height)}H${coordinate(xScale.at(toMs))}V${extent}Z`;
  });
  return `<path class="bars${over ? ' over' : ''}" d="${path.join('')}" style="fill:var(--${color})"/>`;
}

function gridLine(at: number): string {
  const y = coordinate(extent - at);
  return `<line class="grid" x1="0" x2="${extent}" y1="${y}" y2="${y}"/>`;
}

function markerLine(kind: Marker['kind'], at: number): string {
  const x = coordinate(at);
  return `<line class="${kind}" x1="${x}" x2="${x}" y1="0" y2="${extent}" style="stroke:var(--ink)"/>`;
}
