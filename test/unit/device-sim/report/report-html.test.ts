import test from 'ava';
import { comparisonOf } from '../../../../device-sim/report/compare.ts';
import { compareHtml } from '../../../../device-sim/report/compare-html.ts';
import { figureText, limitText } from '../../../../device-sim/report/html-format.ts';
import { reportHtml } from '../../../../device-sim/report/report-html.ts';
import { reportText } from '../../../../device-sim/report/report-text.ts';
import { inventedReport } from '../../../support/sim-report.ts';

const hostile = '<img src=x onerror="alert(1)">';

/** The page without style and script. */
function bodyOf(html: string): string {
  return /<body>([^]*)<div id="tip"/.exec(html)?.[1] ?? '';
}

test('a report loads nothing from elsewhere and links to its other formats', (t) => {
  const html = reportHtml(inventedReport({}));
  t.notRegex(html, /https?:\/\/|<link|<img|@import|url\(/);
  for (const file of ['report.json', 'report.txt', 'junit.xml'])
    t.true(html.includes(`href="${file}"`), file);
});

test('a report shows thresholds with units, and draws them in the plot, also for one phase', (t) => {
  const report = inventedReport({
    thresholds: [
      'latencyMs.endToEnd.p99 <= 250',
      'phases.steady.latencyMs.endToEnd.p99 <= 40ms',
      'broker.rssPeakBytes <= 100000000',
      'messages.lost <= 0',
    ],
  });
  const body = bodyOf(reportHtml(report));
  t.regex(body, /≤ 250 ms<\/td>/);
  t.regex(body, /≤ 95\.4 MiB<\/td><td class="number">47\.7 MiB/);
  t.is(body.match(/limit: p99 ≤ 250 ms/g)?.length, 2, 'over time, and in the histogram');
  t.regex(body, /left:0%">limit: p99 ≤ 250 ms/);
  t.regex(body, /left:16\.67%">limit: p99 ≤ 40 ms/, 'from the start of the phase');
  t.regex(body, /<line class="limit" x1="166\.7" x2="500"/);
  t.regex(body, /phases\.<wbr>steady/);
  t.regex(body, /The run failed for these reasons:.*is 80\.0 ms, but the threshold is ≤ 40 ms/s);
});

test('devices that a drill revoked have a color of their own', (t) => {
  const body = bodyOf(reportHtml(inventedReport({})));
  const states = /<b>Devices by state<[^]*?<\/figure>/.exec(body)?.[0] ?? '';
  t.regex(states, /revoked by drills/);
  t.regex(states, /&quot;n&quot;:&quot;offline&quot;.*?&quot;2&quot;.*?&quot;0&quot;\]/);
});

test('the histogram has all samples, and the percentile curve ascends', (t) => {
  const { distributions, latencyMs } = inventedReport({});
  const { buckets = [], percentiles = [] } = distributions.endToEnd ?? {};
  t.is(
    buckets.reduce((sum, [, , count]) => sum + count, 0),
    latencyMs.endToEnd.count,
  );
  t.true(buckets.every(([from, to], index) => from < to && from >= (buckets[index - 1]?.[1] ?? 0)));
  t.true(
    percentiles.every(
      ([share, at], index) =>
        share > (percentiles[index - 1]?.[0] ?? -1) && at >= (percentiles[index - 1]?.[1] ?? 0),
    ),
  );
  t.deepEqual(percentiles.at(-1), [1, latencyMs.endToEnd.max]);
  t.true(percentiles.length > 20);
});

test('hostile text stays text in the report and in the comparison', (t) => {
  const report = inventedReport(
    { error: `connect: ${hostile}` },
    { failure: hostile, notes: [hostile] },
  );
  const named = { ...report, plan: hostile, seed: hostile };
  for (const html of [reportHtml(named), compareHtml(comparisonOf(named, named), named, named)]) {
    t.notRegex(html, /<img/);
    t.true(html.includes('&lt;img src=x'));
  }
});

test('a comparison shows both runs in figures and plots, and warns when they are not comparable', (t) => {
  const a = { ...inventedReport({}) };
  const b = { ...inventedReport({ seconds: 12, lateMs: 40, busyCores: 3.9 }), seed: '2' };
  const html = compareHtml(comparisonOf(a, b), a, b);
  t.regex(html, /the seeds differ/);
  t.regex(html, /B is not valid as a measurement: the machine was busy with other processes/);
  t.regex(html, /<span class="better">better<\/span>/);
  t.regex(html, /end to end: histogram/);
  t.regex(html, /End-to-end latency, p99/);
  const { distributions, series, ...old } = a;
  t.truthy(distributions.endToEnd);
  t.true(series.length > 0);
  const oldHtml = compareHtml(comparisonOf(old, b), old, b);
  t.regex(oldHtml, /end to end: histogram/, 'a report of an older version has no distributions');
});

test('a run that sends late names the cause: other processes, or the simulator itself', (t) => {
  const titleOf = (html: string): string =>
    /<b>(Not valid[^<]*|This machine[^<]*)<\/b>/.exec(html)?.[1] ?? '';
  const cases = [
    [{ lateMs: 40, busyCores: 3.9 }, 'machine', /this machine was busy with other processes/],
    [{ lateMs: 40, busyCores: 1.2 }, 'simulator', /the simulator itself was the bottleneck/],
    // Four busy cores, but the rest of them is idle: 1 core is used by the run itself.
    [{ lateMs: 40, busyCores: 3.3 }, 'simulator', /the simulator itself was the bottleneck/],
    [{ lateMs: 40 }, 'simulator', /the simulator itself was the bottleneck/],
    [{ lateMs: 1, busyCores: 3.9 }, 'none', /This machine was busy with other processes/],
    [{ lateMs: 1, busyCores: 1.2 }, 'none', /^$/],
  ] as const;
  for (const [run, cause, title] of cases) {
    const report = inventedReport(run);
    t.is(report.simulator.invalidCause, cause, JSON.stringify(run));
    t.is(report.simulator.valid, cause === 'none');
    t.regex(titleOf(reportHtml(report)), title, JSON.stringify(run));
    t.is(
      /busy with other processes|was the bottleneck/.test(reportText(report)),
      title.source !== '^$',
    );
  }
});

test('a run without any measurement still has a complete report', (t) => {
  const report = inventedReport(
    { seconds: 0, thresholds: ['latencyMs.endToEnd.p99 <= 0', 'broker.rssBytes <= 5'] },
    { phases: [], aborted: true },
  );
  const html = reportHtml(report);
  t.regex(html, /The run was too short for a plot\./);
  t.regex(html, /The run was stopped early\./);
  t.notRegex(bodyOf(html), /NaN|Infinity|undefined/);
  t.notRegex(
    compareHtml(comparisonOf({ ...report }, { ...report }), { ...report }, { ...report }),
    /NaN/,
  );
});

test('figures have the unit that their name implies', (t) => {
  const texts = [
    figureText('latencyMs.endToEnd.p99', 12.345),
    figureText('latencyMs.endToEnd.count', 1234),
    figureText('simulator.scheduleErrorMs.p99', 3),
    figureText('phases.storm.figures.lastBackMs', 12_000),
    figureText('broker.cpuPerMessageUs', 12.34),
    figureText('simulator.rssPerDeviceBytes', 65_536),
    figureText('rates.publishPerSecond', 1234.5),
    figureText('machine.otherShare', 0.42),
    figureText('simulator.valid', 1),
    figureText('devices.failed', 12_000),
    limitText('latencyMs.endToEnd.p99', '<= 5000'),
    limitText('messages.lost', '== 0'),
  ];
  t.deepEqual(texts, [
    '12.3 ms',
    '1,234',
    '3.00 ms',
    '12.0 s',
    '12.3 µs',
    '64.0 KiB',
    '1,235/s',
    '42 %',
    'yes',
    '12,000',
    '≤ 5 s',
    '= 0',
  ]);
});
