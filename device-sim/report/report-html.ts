/**
 * The report as one HTML file that can be read without other documents, printed and mailed.
 *
 * @module
 */
import { ms } from '../view/progress.ts';
import { distributionCharts, timeCharts } from './html-charts.ts';
import { bytes, count, duration, figureText, limitText, percent, rate } from './html-format.ts';
import { escapeHtml, htmlPage, mark, section, table } from './html-page.ts';
import { percentOf } from './plot.ts';
import { timeScale } from './plot-scale.ts';
import type { PhaseReport, Report } from './report-model.ts';
import { latencyNames } from './report-text.ts';
import { validityText } from './validity-text.ts';

const errorsShownMax = 20;

/** The whole file. It links to the other files of `writeReport` in the same folder. */
export function reportHtml(report: Report): string {
  const { curve, histograms } = distributionCharts(report);
  const plots = (charts: readonly string[], kind = ''): string =>
    charts.length === 0 ? '' : `<div class="plots${kind}">${charts.join('\n')}</div>`;
  return htmlPage(
    `${report.plan}: ${report.ok ? 'passed' : 'failed'} – Flotilla simulation`,
    `${head(report)}
<main>
${notices(report)}
${tiles(report)}
${thresholds(report)}
${section(
  'Over time',
  '<p class="hint">The shaded bands are the phases of the plan, with their numbers above. Move the pointer over a plot, or use the arrow keys, to read its values.</p>',
  gantt(report),
  plots(timeCharts(report)) || '<p>The run was too short for a plot.</p>',
)}
${section('Latency distribution', curve === '' ? '' : '<p class="hint">All latencies of the run. They are measured from the scheduled time, so that a slow broker cannot hide its own delay.</p>', plots([curve].filter((chart) => chart !== '')), histograms.length === 0 ? '' : '<p></p>', plots(histograms, ' two'))}
${phases(report)}
${latencies(report)}
${errors(report)}
${details(report)}
</main>`,
  );
}

function head(report: Report): string {
  const verdict = report.ok ? 'passed' : 'failed';
  const startedAt = report.startedAt.replace('T', ' ').slice(0, 19);
  return `<header><span class="badge ${verdict}">${verdict}</span>
<h1>${escapeHtml(report.plan)}</h1>
<p>${escapeHtml(startedAt)} UTC · ${duration(report.durationMs)} · broker ${escapeHtml(report.broker.address)} · seed <code>${escapeHtml(report.seed)}</code> · run <code>${escapeHtml(report.run)}</code></p>
<ul class="downloads"><li>All data: <a href="report.json">report.json</a></li><li>Text: <a href="report.txt">report.txt</a></li><li>For CI: <a href="junit.xml">junit.xml</a></li></ul></header>`;
}

/** What a reader must know first: why the run failed, and whether it is valid. */
function notices(report: Report): string {
  const list: string[] = [];
  if (report.failure !== null) list.push(notice('The run ended with an error.', [report.failure]));
  if (report.aborted)
    list.push(
      notice('The run was stopped early.', ['The figures cover what was done until then.'], false),
    );
  const missed = report.thresholds.filter(({ ok, name }) => !ok && !name.startsWith('drill '));
  const failed = report.phases.filter(({ ok }) => !ok);
  if (missed.length + failed.length > 0) {
    list.push(
      notice('The run failed for these reasons:', [
        ...missed.map(
          ({ name, limit, value }) =>
            `${name} is ${value === null ? 'not measured' : figureText(name, value)}, but the threshold is ${limitText(name, limit)}`,
        ),
        ...failed.map(({ name, evidence }) => `phase ${name}: ${evidence.join('; ') || 'failed'}`),
      ]),
    );
  }
  const validity = validityText(report);
  if (validity !== undefined)
    list.push(notice(validity.title, [...validity.reasons, validity.advice], !validity.valid));
  return list.join('\n');
}

function notice(title: string, lines: readonly string[], bad = true): string {
  return `<div class="notice${bad ? ' bad' : ''}"><b>${escapeHtml(title)}</b><ul>${lines.map((line) => `<li>${escapeHtml(line)}</li>`).join('')}</ul></div>`;
}

function tiles(report: Report): string {
  const { devices, messages, latencyMs, rates, simulator } = report;
  const tile = (value: string, name: string, detail: string, bad = false): string =>
    `<div class="tile${bad ? ' bad' : ''}"><b>${escapeHtml(value)}</b><span>${escapeHtml(name)}</span><small>${escapeHtml(detail)}</small></div>`;
  const latency = (name: string, { p50, p99, count: samples }: typeof latencyMs.connect): string =>
    samples === 0 ? '' : tile(ms(p99), `${name}, p99`, `half of them within ${ms(p50)}`);
  const connected = devices.failed > 0 || devices.connected < devices.planned;
  return `<section class="tiles">
${tile(count(devices.connected), 'devices connected', `of ${count(devices.planned)} planned; ${count(devices.enrolled)} with a certificate, ${count(devices.distinctKeys)} different keys`, connected)}
${tile(count(messages.delivered), 'messages delivered', `of ${count(messages.expected)} expected`)}
${tile(count(messages.lost), 'lost', 'acknowledged by the broker but not delivered', messages.lost > 0)}
${tile(count(messages.misdelivered), 'misdelivered', 'received by the wrong client', messages.misdelivered > 0)}
${latency('end to end', latencyMs.endToEnd)}
${latency('TLS handshake', latencyMs.handshake)}
${tile(rate(rates.publishPerSecond), 'messages per second', `${rate(rates.connectPerSecond)} connects/s, ${rate(rates.enrollPerSecond)} enrollments/s`)}
${simulator.rssPerDeviceBytes === null ? '' : tile(bytes(simulator.rssPerDeviceBytes), 'memory per device', 'in the simulator: key, certificate and connection')}
</section>`;
}

function thresholds({ thresholds: list }: Report): string {
  if (list.length === 0) return '';
  const rows = list.map(({ name, limit, value, ok }) => {
    const drill = name.startsWith('drill ');
    return [
      ok ? mark('passed', 'ok') : mark('failed', 'missed'),
      escapeHtml(name).replaceAll('.', '.<wbr>'),
      escapeHtml(drill ? limit : limitText(name, limit)),
      value === null
        ? 'never measured'
        : escapeHtml(drill ? (ok ? 'pass' : 'fail') : figureText(name, value)),
    ];
  });
  return section(
    'Thresholds',
    table('Thresholds', ['result', 'figure', 'threshold', 'value'], rows, 2),
  );
}

/** The phases on the time axis of the plots, one row for each. */
function gantt({ phases: list, durationMs, series }: Report): string {
  if (list.length === 0) return '';
  const endMs = Math.max(durationMs, series.at(-1)?.atMs ?? 0);
  const { at } = timeScale(endMs);
  const rows = list.map(({ name, ok, atMs, durationMs: tookMs }, index) => {
    const from = at(atMs);
    const to = Math.min(1000, at(atMs + tookMs));
    const sides = { inside: to - from, right: 1000 - to, left: from };
    const inside = sides.inside >= Math.max(sides.right, sides.left);
    const place = inside
      ? `class="inside" style="left:calc(${percentOf(from)} + 6px)"`
      : sides.right >= sides.left
        ? `style="left:calc(${percentOf(to)} + 6px)"`
        : `style="right:calc(${percentOf(1000 - from)} + 6px)"`;
    return `<span class="no">${index + 1}</span><div class="lane"><i${ok ? '' : ' class="failed"'} style="left:${percentOf(from)};width:${percentOf(to - from)}"></i><span ${place}>${escapeHtml(name)}<span class="took"> ${duration(tookMs)}</span></span></div>`;
  });
  return `<div class="gantt" role="img" aria-label="The phases on a time axis">${rows.join('')}</div>`;
}

function phases({ phases: list }: Report): string {
  if (list.length === 0) return '';
  return section(
    'Phases and their evidence',
    `<ol class="phases">${list.map(phaseItem).join('')}</ol>`,
  );
}

function phaseItem(phase: PhaseReport, index: number): string {
  const { name, phase: kind, ok, verdict, atMs, durationMs, evidence, latencyMs } = phase;
  const badge =
    verdict === null
      ? ok
        ? mark('neutral', 'done')
        : mark('failed', 'failed')
      : verdict === 'pass'
        ? mark('passed', 'passed')
        : mark('failed', 'failed');
  const figures = Object.entries(latencyMs)
    .filter(([key]) => key in latencyNames)
    .map(
      ([key, value]) =>
        `${latencyNames[key as keyof typeof latencyNames]}: p50 ${ms(value.p50)}, p99 ${ms(value.p99)}`,
    );
  return `<li><div class="row"><span class="no">${index + 1}</span>${badge}<h3>${escapeHtml(name)}</h3>${name === kind ? '' : `<span>${escapeHtml(kind)}</span>`}<small>started at ${duration(atMs)}, took ${duration(durationMs)}</small></div>${evidence.length > 0 ? `<ul>${evidence.map((sentence) => `<li>${escapeHtml(sentence)}</li>`).join('')}</ul>` : ''}${figures.length > 0 ? `<small>${escapeHtml(figures.join(' · '))}</small>` : ''}</li>`;
}

function latencies(report: Report): string {
  const rows = Object.entries(latencyNames).flatMap(([key, name]) => {
    const value = report.latencyMs[key as keyof typeof latencyNames];
    if (value.count === 0) return [];
    return [
      [
        escapeHtml(name),
        ...[value.p50, value.p95, value.p99, value.max].map(ms),
        count(value.count),
      ],
    ];
  });
  if (rows.length === 0) return '';
  return section(
    'Latencies',
    table('Latencies', ['latency', 'p50', 'p95', 'p99', 'max', 'samples'], rows, 1),
  );
}

function errors({ errors: list, notes }: Report): string {
  const entries = Object.entries(list);
  const most = Math.max(1, ...entries.map(([, by]) => by));
  const rows = entries
    .slice(0, errorsShownMax)
    .map(([reason, by]) => [
      escapeHtml(reason),
      `<i class="bar" style="width:${((by / most) * 100).toFixed(1)}%"></i>`,
      count(by),
    ]);
  return section(
    'Errors and notes',
    rows.length === 0 ? '' : table('Errors by reason', ['reason', 'share', 'count'], rows, 2),
    notes.length === 0
      ? ''
      : `<ul>${notes.map((note) => `<li>${escapeHtml(note)}</li>`).join('')}</ul>`,
  );
}

function details({ simulator, broker, machine, telemetry, commands }: Report): string {
  const perMessage = (us: number | null): string =>
    us === null ? '' : `, ${us.toFixed(0)} µs per message`;
  const rows = [
    [
      'messages of devices',
      `${count(telemetry.published)} sent, ${count(telemetry.acknowledged)} acknowledged, ${count(telemetry.duplicated)} duplicated`,
    ],
    [
      'commands to devices',
      `${count(commands.published)} sent, ${count(commands.delivered)} of ${count(commands.expected)} expected ones delivered, ${count(commands.undeliverable)} to devices that were offline`,
    ],
    [
      'simulator',
      `${simulator.workers} workers, ${(simulator.cpuMs / 1000).toFixed(1)} s of CPU${perMessage(simulator.cpuPerMessageUs)}, busiest worker ${percent(simulator.loopBusyMean)} on average`,
    ],
    [
      'simulator memory',
      `${bytes(simulator.rssBytes)}${simulator.rssPerDeviceBytes === null ? '' : `, ${bytes(simulator.rssPerDeviceBytes)} per device`}`,
    ],
    [
      'schedule error',
      `p50 ${ms(simulator.scheduleErrorMs.p50)}, p99 ${ms(simulator.scheduleErrorMs.p99)}, max ${ms(simulator.scheduleErrorMs.max)}; ${count(simulator.missed)} messages were due while their device was offline`,
    ],
    [
      'broker',
      broker.local
        ? `${((broker.cpuMs ?? 0) / 1000).toFixed(1)} s of CPU${perMessage(broker.cpuPerMessageUs)}, at most ${bytes(broker.rssPeakBytes ?? 0)}`
        : 'on another machine: its CPU and memory are not known',
    ],
    [
      'this machine',
      machine.busyShare === null
        ? 'its CPU usage is not known'
        : `${machine.cores ?? 0} cores, ${percent(machine.busyShare)} busy, ${percent(machine.otherShare ?? 0)} with processes outside of this run`,
    ],
  ].map((cells) => cells.map(escapeHtml));
  return section('Details', table('Details', ['subject', 'figures'], rows, 2));
}
