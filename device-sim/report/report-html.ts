/**
 * The report as one HTML file that can be read without other documents, printed and mailed.
 *
 * @module
 */
import { ms } from '../view/progress.ts';
import { distributionCharts, timeCharts } from './html-charts.ts';
import {
  bytesText,
  countText,
  durationText,
  figureText,
  limitText,
  percentText,
  rateText,
} from './html-format.ts';
import { escapeMarkup, htmlPage, mark, htmlSection, htmlTable } from './html-page.ts';
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
${htmlSection(
  'Over time',
  '<p class="hint">The shaded bands are the phases of the plan, with their numbers above. Move the pointer over a plot, or use the arrow keys, to read its values.</p>',
  gantt(report),
  plots(timeCharts(report)) || '<p>The run was too short for a plot.</p>',
)}
${htmlSection('Latency distribution', curve === '' ? '' : '<p class="hint">All latencies of the run. They are measured from the scheduled time, so that a slow broker cannot hide its own delay.</p>', plots([curve].filter((chart) => chart !== '')), histograms.length === 0 ? '' : '<p></p>', plots(histograms, ' two'))}
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
<h1>${escapeMarkup(report.plan)}</h1>
<p>${escapeMarkup(startedAt)} UTC · ${durationText(report.durationMs)} · broker ${escapeMarkup(report.broker.address)} · seed <code>${escapeMarkup(report.seed)}</code> · run <code>${escapeMarkup(report.run)}</code></p>
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
  return `<div class="notice${bad ? ' bad' : ''}"><b>${escapeMarkup(title)}</b><ul>${lines.map((line) => `<li>${escapeMarkup(line)}</li>`).join('')}</ul></div>`;
}

function tiles(report: Report): string {
  const { devices, messages, latencyMs, rates, simulator } = report;
  const tile = (value: string, name: string, detail: string, bad = false): string =>
    `<div class="tile${bad ? ' bad' : ''}"><b>${escapeMarkup(value)}</b><span>${escapeMarkup(name)}</span><small>${escapeMarkup(detail)}</small></div>`;
  const latency = (name: string, { p50, p99, count: samples }: typeof latencyMs.connect): string =>
    samples === 0 ? '' : tile(ms(p99), `${name}, p99`, `half of them within ${ms(p50)}`);
  const connected = devices.failed > 0 || devices.connected < devices.planned;
  return `<section class="tiles">
${tile(countText(devices.connected), 'devices connected', `of ${countText(devices.planned)} planned; ${countText(devices.enrolled)} with a certificate, ${countText(devices.distinctKeys)} different keys`, connected)}
${tile(countText(messages.delivered), 'messages delivered', `of ${countText(messages.expected)} expected`)}
${tile(countText(messages.lost), 'lost', 'acknowledged by the broker but not delivered', messages.lost > 0)}
${tile(countText(messages.misdelivered), 'misdelivered', 'received by the wrong client', messages.misdelivered > 0)}
${latency('end to end', latencyMs.endToEnd)}
${latency('TLS handshake', latencyMs.handshake)}
${tile(rateText(rates.publishPerSecond), 'messages per second', `${rateText(rates.connectPerSecond)} connects/s, ${rateText(rates.enrollPerSecond)} enrollments/s`)}
${simulator.rssPerDeviceBytes === null ? '' : tile(bytesText(simulator.rssPerDeviceBytes), 'memory per device', 'in the simulator: key, certificate and connection')}
</section>`;
}

function thresholds({ thresholds: list }: Report): string {
  if (list.length === 0) return '';
  const rows = list.map(({ name, limit, value, ok }) => {
    const drill = name.startsWith('drill ');
    return [
      ok ? mark('passed', 'ok') : mark('failed', 'missed'),
      escapeMarkup(name).replaceAll('.', '.<wbr>'),
      escapeMarkup(drill ? limit : limitText(name, limit)),
      value === null
        ? 'never measured'
        : escapeMarkup(drill ? (ok ? 'pass' : 'fail') : figureText(name, value)),
    ];
  });
  return htmlSection(
    'Thresholds',
    htmlTable('Thresholds', ['result', 'figure', 'threshold', 'value'], rows, 2),
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
    return `<span class="no">${index + 1}</span><div class="lane"><i${ok ? '' : ' class="failed"'} style="left:${percentOf(from)};width:${percentOf(to - from)}"></i><span ${place}>${escapeMarkup(name)}<span class="took"> ${durationText(tookMs)}</span></span></div>`;
  });
  return `<div class="gantt" role="img" aria-label="The phases on a time axis">${rows.join('')}</div>`;
}

function phases({ phases: list }: Report): string {
  if (list.length === 0) return '';
  return htmlSection(
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
  return `<li><div class="row"><span class="no">${index + 1}</span>${badge}<h3>${escapeMarkup(name)}</h3>${name === kind ? '' : `<span>${escapeMarkup(kind)}</span>`}<small>started at ${durationText(atMs)}, took ${durationText(durationMs)}</small></div>${evidence.length > 0 ? `<ul>${evidence.map((sentence) => `<li>${escapeMarkup(sentence)}</li>`).join('')}</ul>` : ''}${figures.length > 0 ? `<small>${escapeMarkup(figures.join(' · '))}</small>` : ''}</li>`;
}

function latencies(report: Report): string {
  const rows = Object.entries(latencyNames).flatMap(([key, name]) => {
    const value = report.latencyMs[key as keyof typeof latencyNames];
    if (value.count === 0) return [];
    return [
      [
        escapeMarkup(name),
        ...[value.p50, value.p95, value.p99, value.max].map(ms),
        countText(value.count),
      ],
    ];
  });
  if (rows.length === 0) return '';
  return htmlSection(
    'Latencies',
    htmlTable('Latencies', ['latency', 'p50', 'p95', 'p99', 'max', 'samples'], rows, 1),
  );
}

function errors({ errors: list, notes }: Report): string {
  const entries = Object.entries(list);
  const most = Math.max(1, ...entries.map(([, by]) => by));
  const rows = entries
    .slice(0, errorsShownMax)
    .map(([reason, by]) => [
      escapeMarkup(reason),
      `<i class="bar" style="width:${((by / most) * 100).toFixed(1)}%"></i>`,
      countText(by),
    ]);
  return htmlSection(
    'Errors and notes',
    rows.length === 0 ? '' : htmlTable('Errors by reason', ['reason', 'share', 'count'], rows, 2),
    notes.length === 0
      ? ''
      : `<ul>${notes.map((note) => `<li>${escapeMarkup(note)}</li>`).join('')}</ul>`,
  );
}

function details({ simulator, broker, machine, telemetry, commands }: Report): string {
  const perMessage = (us: number | null): string =>
    us === null ? '' : `, ${us.toFixed(0)} µs per message`;
  const rows = [
    [
      'messages of devices',
      `${countText(telemetry.published)} sent, ${countText(telemetry.acknowledged)} acknowledged, ${countText(telemetry.duplicated)} duplicated`,
    ],
    [
      'commands to devices',
      `${countText(commands.published)} sent, ${countText(commands.delivered)} of ${countText(commands.expected)} expected ones delivered, ${countText(commands.undeliverable)} to devices that were offline`,
    ],
    [
      'simulator',
      `${simulator.workers} workers, ${(simulator.cpuMs / 1000).toFixed(1)} s of CPU${perMessage(simulator.cpuPerMessageUs)}, busiest worker ${percentText(simulator.loopBusyMean)} on average`,
    ],
    [
      'simulator memory',
      `${bytesText(simulator.rssBytes)}${simulator.rssPerDeviceBytes === null ? '' : `, ${bytesText(simulator.rssPerDeviceBytes)} per device`}`,
    ],
    [
      'schedule error',
      `p50 ${ms(simulator.scheduleErrorMs.p50)}, p99 ${ms(simulator.scheduleErrorMs.p99)}, max ${ms(simulator.scheduleErrorMs.max)}; ${countText(simulator.missed)} messages were due while their device was offline`,
    ],
    [
      'broker',
      broker.local
        ? `${((broker.cpuMs ?? 0) / 1000).toFixed(1)} s of CPU${perMessage(broker.cpuPerMessageUs)}, at most ${bytesText(broker.rssPeakBytes ?? 0)}`
        : 'on another machine: its CPU and memory are not known',
    ],
    [
      'this machine',
      machine.busyShare === null
        ? 'its CPU usage is not known'
        : `${machine.cores ?? 0} cores, ${percentText(machine.busyShare)} busy, ${percentText(machine.otherShare ?? 0)} with processes outside of this run`,
    ],
  ].map((cells) => cells.map(escapeMarkup));
  return htmlSection('Details', htmlTable('Details', ['subject', 'figures'], rows, 2));
}
