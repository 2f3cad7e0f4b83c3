/**
 * The plots of a report as data: what each one shows, and in which color.
 *
 * @module
 */
import { parseComparison } from '../plan/threshold.ts';
import type { Sample, Second } from '../stats/run-stats.ts';
import { ms } from '../view/progress.ts';
import {
  countText,
  durationText,
  limitText,
  plainNumber,
  rateText,
  tickMs,
} from './html-format.ts';
import { histogramPlot, percentilePlot, type Marker, type PlotShape } from './distribution-plot.ts';
import { plot, type Band, type Limit, type PlotColor, type PlotOptions } from './plot.ts';
import { linearScale, logScale, timeScale, timeText } from './plot-scale.ts';
import type { Report } from './report-model.ts';
import { latencyNames } from './report-text.ts';

type LatencyName = keyof typeof latencyNames;

/** One line or area of a time plot. */
interface Line {
  readonly name: string;
  readonly color: PlotColor;
  readonly value: (second: Second) => number | undefined;
}

interface TimePlot {
  readonly title: string;
  readonly yTitle: string;
  readonly kind: 'lines' | 'stacked';
  readonly log: boolean;
  readonly yText: (value: number) => string;
  readonly yTick: (value: number) => string;
  /** The unit of the values in units of the figures (default: 1). */
  readonly unit?: number;
  readonly lines: readonly Line[];
  /** Figures whose thresholds are drawn; a name of a latency stands for all its percentiles. */
  readonly figures: readonly string[];
}

const perSecond =
  (pick: (second: Second) => number) =>
  (second: Second): number =>
    (pick(second) * 1000) / Math.max(1, second.spanMs);

const sampleLines = (pick: (second: Second) => Sample | undefined): Line[] => [
  { name: 'p50', color: 'green', value: (second) => pick(second)?.p50 },
  { name: 'p95', color: 'orange', value: (second) => pick(second)?.p95 },
  { name: 'p99', color: 'red', value: (second) => pick(second)?.p99 },
  { name: 'max', color: 'grey', value: (second) => pick(second)?.max },
];

const latencyPlot = (
  title: string,
  name: LatencyName,
  pick: (second: Second) => Sample | undefined,
): TimePlot => ({
  title,
  yTitle: 'ms, logarithmic',
  kind: 'lines',
  log: true,
  yText: ms,
  yTick: tickMs,
  lines: sampleLines(pick),
  figures: [`latencyMs.${name}`],
});

const ratePlot = (title: string, lines: readonly Line[], figures: readonly string[]): TimePlot => ({
  title,
  yTitle: 'per second',
  kind: 'lines',
  log: false,
  yText: (value) => `${rateText(value)}/s`,
  yTick: (value) => `${plainNumber(value)}/s`,
  lines,
  figures,
});

const mebibyte = 1_048_576;
const cpuText = (value: number): string => `${value.toFixed(0)} %`;
const inPercent = (cores: number | undefined): number | undefined =>
  cores === undefined ? undefined : cores * 100;

const timePlots: readonly TimePlot[] = [
  latencyPlot('End-to-end latency', 'endToEnd', ({ endToEnd }) => endToEnd),
  latencyPlot('Publish to acknowledgement', 'publishAck', ({ publishAck }) => publishAck),
  ratePlot(
    'Messages',
    [
      { name: 'sent by devices', color: 'blue', value: perSecond(({ published }) => published) },
      { name: 'received', color: 'green', value: perSecond(({ delivered }) => delivered) },
    ],
    ['rates.publishPerSecond'],
  ),
  ratePlot(
    'Enrollments and connects',
    [
      { name: 'enrolled', color: 'violet', value: perSecond(({ enrolled }) => enrolled) },
      { name: 'connected', color: 'teal', value: perSecond(({ connected }) => connected) },
    ],
    ['rates.enrollPerSecond', 'rates.connectPerSecond'],
  ),
  latencyPlot('Scheduled start to CONNACK', 'connect', ({ connect }) => connect),
  {
    title: 'Devices by state',
    yTitle: 'devices',
    kind: 'stacked',
    log: false,
    yText: (value) => countText(Math.round(value)),
    yTick: plainNumber,
    figures: ['devices.connected'],
    lines: [
      { name: 'online', color: 'green', value: ({ devices }) => devices.online },
      { name: 'connecting', color: 'ochre', value: ({ devices }) => devices.connecting },
      {
        name: 'offline',
        color: 'orange',
        value: ({ devices, retired }) => Math.max(0, devices.offline - retired),
      },
      {
        name: 'revoked by drills',
        color: 'violet',
        value: ({ devices, retired }) => Math.min(devices.offline, retired),
      },
      { name: 'failed', color: 'red', value: ({ devices }) => devices.failed },
      { name: 'enrolled', color: 'blue', value: ({ devices }) => devices.enrolled },
      { name: 'new', color: 'grey', value: ({ devices }) => devices.new },
    ],
  },
  {
    title: 'CPU',
    yTitle: '100 % is one core',
    kind: 'lines',
    log: false,
    yText: cpuText,
    yTick: cpuText,
    figures: [],
    lines: [
      { name: 'simulator', color: 'blue', value: ({ simulatorCpu }) => inPercent(simulatorCpu) },
      { name: 'broker', color: 'orange', value: ({ brokerCpu }) => inPercent(brokerCpu) },
      { name: 'other processes', color: 'red', value: ({ otherCpu }) => inPercent(otherCpu) },
    ],
  },
  {
    title: 'Memory',
    yTitle: 'resident memory',
    kind: 'lines',
    log: false,
    yText: (value) => `${value.toFixed(1)} MiB`,
    yTick: (value) => `${plainNumber(value)} MiB`,
    unit: mebibyte,
    figures: ['broker.rssPeakBytes', 'broker.rssBytes', 'simulator.rssBytes'],
    lines: [
      {
        name: 'simulator',
        color: 'blue',
        value: ({ simulatorRssBytes }) => simulatorRssBytes / mebibyte,
      },
      {
        name: 'broker',
        color: 'orange',
        value: ({ brokerRssBytes }) => brokerRssBytes && brokerRssBytes / mebibyte,
      },
    ],
  },
];

const errorColors: readonly PlotColor[] = ['red', 'orange', 'violet', 'teal', 'ochre', 'blue'];

/** A stacked plot of the most frequent errors; undefined when there was none. */
function errorPlot({ errors }: Report): TimePlot | undefined {
  const reasons = Object.keys(errors).slice(0, errorColors.length);
  if (reasons.length === 0) return undefined;
  return {
    title: 'Errors by reason',
    yTitle: 'per second',
    kind: 'stacked',
    log: false,
    yText: (value) => `${rateText(value)}/s`,
    yTick: (value) => `${plainNumber(value)}/s`,
    figures: [],
    lines: reasons.map((reason, index) => ({
      name: reason,
      color: errorColors[index] ?? 'grey',
      value: perSecond((second) => second.errors[reason] ?? 0),
    })),
  };
}

/** All plots over the time of the run, without those that have no value. */
export function timeCharts(report: Report): string[] {
  const { series, phases, durationMs } = report;
  const endMs = Math.max(durationMs, series.at(-1)?.atMs ?? 0);
  const bands: Band[] = phases.map(({ atMs, durationMs: tookMs }, index) => ({
    from: atMs,
    to: atMs + tookMs,
    label: (index + 1).toString(),
  }));
  const errors = errorPlot(report);
  return [...timePlots, ...(errors === undefined ? [] : [errors])].flatMap((chart) => {
    const lines = chart.lines
      .map(({ name, color, value }) => ({ name, color, values: series.map(value) }))
      .filter(({ values }) => values.some((value) => value !== undefined && value > 0));
    if (lines.length === 0) return [];
    const limits = limitsOf(report, chart);
    return [
      plot({
        ...chart,
        ...timeAxis(endMs),
        ...scaled(chart, lines, limits),
        xs: series.map(({ atMs }) => atMs),
        bands,
      }),
    ];
  });
}

/** The axis that all plots over time share, with one cursor. */
export function timeAxis(
  endMs: number,
): Pick<PlotOptions, 'xTitle' | 'xScale' | 'xText' | 'cursorText' | 'group'> {
  return {
    xTitle: 'time since the start of the run',
    xScale: timeScale(endMs),
    xText: (atMs) => timeText(atMs, endMs),
    cursorText: (atMs) => durationText(atMs),
    group: 'time',
  };
}

/** The y scale that fits the lines, and the limits that fit the scale. */
function scaled(
  chart: TimePlot,
  lines: PlotOptions['series'],
  limits: readonly Limit[],
): Pick<PlotOptions, 'series' | 'yScale' | 'limits'> {
  const sums = (lines[0]?.values ?? []).map((_value, index) =>
    lines.reduce((sum, { values }) => sum + (values[index] ?? 0), 0),
  );
  const values =
    chart.kind === 'stacked'
      ? sums
      : lines.flatMap(({ values: all }) => all.flatMap((v) => v ?? []));
  const most = values.reduce((max, value) => Math.max(max, value), 0);
  // A limit far above all values would flatten the plot; the table of thresholds shows it.
  const shown = limits.filter(({ value }) => value <= most * (chart.log ? 1000 : 4));
  // Leave room for the label above the line.
  const all = [...values, ...shown.map(({ value }) => value * (chart.log ? 1.5 : 1.15))];
  return { series: lines, limits: shown, yScale: chart.log ? logScale(all) : linearScale(all) };
}

/** The thresholds on figures of a chart, also those of single phases. */
function limitsOf(report: Report, { figures, unit = 1 }: TimePlot): Limit[] {
  return report.thresholds.flatMap(({ name, limit }) => {
    const comparison = parseComparison(`${name} ${limit}`);
    if (comparison === undefined) return [];
    const phase = report.phases.find((one) => name.startsWith(`phases.${one.name}.`));
    const figure = phase === undefined ? name : name.slice(`phases.${phase.name}.`.length);
    const parent = figure.slice(0, figure.lastIndexOf('.'));
    const percentile = figures.includes(parent) ? `${figure.slice(parent.length + 1)} ` : undefined;
    if (percentile === undefined && !figures.includes(figure)) return [];
    if (percentile === 'count ') return [];
    return [
      {
        label: `limit: ${percentile ?? ''}${limitText(figure, limit)}`,
        value: comparison.limit / unit,
        ...(phase === undefined ? {} : { from: phase.atMs, to: phase.atMs + phase.durationMs }),
      },
    ];
  });
}

const curveColors: Readonly<Record<LatencyName, PlotColor>> = {
  endToEnd: 'red',
  publishAck: 'orange',
  connect: 'teal',
  handshake: 'blue',
  handshakeResumed: 'grey',
  enroll: 'violet',
  command: 'green',
  roundtrip: 'ochre',
  renew: 'pink',
};

/** The percentile curve of all latencies, and a histogram of each. */
export function distributionCharts(report: Report): { curve: string; histograms: string[] } {
  const shapes = (Object.keys(curveColors) as LatencyName[]).flatMap(
    (key): (PlotShape & { key: LatencyName })[] => {
      const distribution = report.distributions[key];
      return distribution === undefined
        ? []
        : [{ key, name: latencyNames[key], color: curveColors[key], distribution }];
    },
  );
  if (shapes.length === 0) return { curve: '', histograms: [] };
  return {
    curve: percentilePlot('Latency by percentile', shapes, []),
    histograms: shapes.map((shape) =>
      histogramPlot(capitalized(shape.name), [shape], markersOf(report, shape.key)),
    ),
  };
}

/** The percentiles of a latency, and its thresholds. */
function markersOf(report: Report, key: LatencyName): Marker[] {
  const { p50, p99, max } = report.latencyMs[key];
  const percentiles = [
    { label: `p50 ${ms(p50)}`, valueMs: p50 },
    { label: `p99 ${ms(p99)}`, valueMs: p99 },
  ].map((marker) => ({ ...marker, kind: 'value' as const }));
  const limits = report.thresholds.flatMap(({ name, limit }): Marker[] => {
    const comparison = parseComparison(`${name} ${limit}`);
    const percentile = name.startsWith(`latencyMs.${key}.`) ? name.split('.').at(-1) : undefined;
    if (comparison === undefined || percentile === undefined || percentile === 'count') return [];
    if (comparison.limit > max * 1000) return [];
    const label = `limit: ${percentile} ${limitText(name, limit)}`;
    return [{ label, valueMs: comparison.limit, kind: 'limit' }];
  });
  return [...percentiles, ...limits];
}

function capitalized(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
