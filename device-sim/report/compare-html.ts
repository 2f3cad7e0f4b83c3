/**
 * The comparison of two runs as one HTML file: figures side by side, and plots with both runs.
 *
 * @module
 */
import { ms } from '../view/progress.ts';
import type { ComparedFigure, ComparedRun, Comparison, StoredReport } from './compare.ts';
import { histogramPlot, percentilePlot, type PlotShape } from './distribution-plot.ts';
import { timeAxis } from './html-charts.ts';
import { figureText, plainNumber, rateText, tickMs } from './html-format.ts';
import { escapeMarkup, htmlPage, mark, htmlSection, htmlTable } from './html-page.ts';
import { plot, type PlotColor, type PlotOptions } from './plot.ts';
import { linearScale, logScale } from './plot-scale.ts';
import { latencyNames } from './report-text.ts';

type Second = NonNullable<StoredReport['series']>[number];

const colors: { readonly a: PlotColor; readonly b: PlotColor } = { a: 'blue', b: 'orange' };

/** The whole file. */
export function compareHtml(comparison: Comparison, a: StoredReport, b: StoredReport): string {
  const worse = comparison.figures.filter(({ verdict }) => verdict === 'worse').length;
  const better = comparison.figures.filter(({ verdict }) => verdict === 'better').length;
  return htmlPage(
    `${comparison.a.plan} compared with ${comparison.b.plan} – Flotilla simulation`,
    `<header><h1 class="plain">Comparison of two runs</h1>
${runLine('A', comparison.a)}
${runLine('B', comparison.b)}</header>
<main>
${warnings(comparison)}
${htmlSection(
  'Figures',
  `<p class="hint">From A to B, ${better} figures improved and ${worse} got worse. Changes of up to 5 % count as noise.</p>`,
  figures(comparison),
)}
${htmlSection('Over time', plots([overTime('Deliveries', a, b, deliveries), overTime('End-to-end latency, p99', a, b, endToEnd), overTime('Publish to acknowledgement, p99', a, b, publishAck)]))}
${htmlSection('Latency distribution', plots(distributions(a, b), ' two'))}
</main>`,
  );
}

function runLine(label: string, { plan, seed, startedAt, ok }: ComparedRun): string {
  const at = startedAt.replace('T', ' ').slice(0, 19);
  const badge = ok ? mark('passed', 'passed') : mark('failed', 'failed');
  return `<p><span class="no">${label}</span> <b>${escapeMarkup(plan)}</b> ${badge} ${escapeMarkup(at)} UTC · seed <code>${escapeMarkup(seed)}</code></p>`;
}

function warnings({ warnings: list }: Comparison): string {
  if (list.length === 0) return '';
  return `<div class="notice bad"><b>Be careful with this comparison:</b><ul>${list.map((warning) => `<li>${escapeMarkup(warning)}</li>`).join('')}</ul></div>`;
}

function figures({ figures: list }: Comparison): string {
  const rows = list.map((figure) => [
    escapeMarkup(figure.name).replaceAll('.', '.<wbr>'),
    cell(figure, figure.a),
    cell(figure, figure.b),
    changeText(figure),
    figure.verdict === 'better' || figure.verdict === 'worse'
      ? `<span class="${figure.verdict}">${figure.verdict}</span>`
      : figure.verdict === 'same'
        ? 'same'
        : 'not comparable',
  ]);
  return htmlTable('Figures of both runs', ['figure', 'A', 'B', 'change', 'verdict'], rows, 1);
}

function cell({ name }: ComparedFigure, value: number | null): string {
  return value === null ? '–' : escapeMarkup(figureText(name, value));
}

function changeText({ changePercent }: ComparedFigure): string {
  if (changePercent === null) return '–';
  return `${changePercent > 0 ? '+' : ''}${changePercent.toFixed(1)} %`;
}

function plots(list: readonly string[], kind = ''): string {
  const shown = list.filter((one) => one !== '');
  return shown.length === 0 ? '' : `<div class="plots${kind}">${shown.join('\n')}</div>`;
}

/** A quantity that is plotted over time. */
interface Quantity {
  readonly yTitle: string;
  readonly log: boolean;
  readonly yText: (value: number) => string;
  readonly yTick: (value: number) => string;
  readonly value: (second: Second) => number | undefined;
}

const deliveries: Quantity = {
  yTitle: 'per second',
  log: false,
  yText: (value) => `${rateText(value)}/s`,
  yTick: (value) => `${plainNumber(value)}/s`,
  value: ({ delivered, spanMs }) => (delivered * 1000) / Math.max(1, spanMs),
};
const latency = { yTitle: 'ms, logarithmic', log: true, yText: ms, yTick: tickMs };
const endToEnd: Quantity = { ...latency, value: (second) => second.endToEnd?.p99 };
const publishAck: Quantity = { ...latency, value: (second) => second.publishAck?.p99 };

function overTime(title: string, a: StoredReport, b: StoredReport, quantity: Quantity): string {
  const runs = [a.series ?? [], b.series ?? []];
  const xs = gridOf(runs.flat());
  const rows = runs.map((series) => onGrid(series, xs, quantity.value));
  const values = rows.flatMap((row) => row.flatMap((value) => value ?? []));
  if (!values.some((value) => value > 0)) return '';
  const options: PlotOptions = {
    ...quantity,
    ...timeAxis(xs.at(-1) ?? 0),
    title,
    kind: 'lines',
    xs,
    yScale: quantity.log ? logScale(values) : linearScale(values),
    series: [
      { name: 'A', color: colors.a, values: rows[0] ?? [] },
      { name: 'B', color: colors.b, values: rows[1] ?? [] },
    ],
  };
  return plot(options);
}

/** Common times for two runs: as far apart as most entries, at least a second. */
function gridOf(entries: readonly Second[]): number[] {
  const spansMs = entries.map(({ spanMs }) => spanMs).toSorted((one, two) => one - two);
  const stepMs = Math.max(1000, spansMs[spansMs.length >> 1] ?? 0);
  const endMs = entries.reduce((most, { atMs }) => Math.max(most, atMs), 0);
  return Array.from({ length: Math.floor(endMs / stepMs) }, (_item, index) => (index + 1) * stepMs);
}

/** The values of the entries of one run that cover these times. */
function onGrid(
  series: readonly Second[],
  xs: readonly number[],
  value: Quantity['value'],
): (number | undefined)[] {
  let next = 0;
  return xs.map((x) => {
    while (next < series.length && (series[next]?.atMs ?? 0) < x) next++;
    const second = series[next];
    return second === undefined || x < second.atMs - second.spanMs ? undefined : value(second);
  });
}

/** The percentile curve and the histogram of each latency that one of the runs has. */
function distributions(a: StoredReport, b: StoredReport): string[] {
  return Object.entries(latencyNames).flatMap(([key, name]) => {
    const shapes = (
      [
        ['A', colors.a, a.distributions?.[key]],
        ['B', colors.b, b.distributions?.[key]],
      ] as const
    ).flatMap(([run, color, distribution]): PlotShape[] =>
      distribution === undefined ? [] : [{ name: run, color, distribution }],
    );
    if (shapes.length === 0) return [];
    return [
      histogramPlot(`${name}: histogram`, shapes, []),
      percentilePlot(`${name}: percentiles`, shapes, []),
    ];
  });
}
