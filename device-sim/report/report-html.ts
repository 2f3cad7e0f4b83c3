/**
 * The report as one HTML file that needs nothing else: no network, no scripts of others. It can be
 * read without help, printed, and mailed.
 *
 * @module
 */
import type { Second } from '../stats/run-stats.ts';
import { ms } from '../view/progress.ts';
import type { Report } from './report-model.ts';
import { latencyNames } from './report-text.ts';
import { chart, escape, type Band, type ChartOptions } from './svg-chart.ts';

const colors = {
  blue: '#3b7dd8',
  orange: '#e08a1e',
  red: '#d2453c',
  green: '#3f9d5a',
  grey: '#9aa3ad',
  violet: '#8a63c9',
  teal: '#2a9d9d',
  yellow: '#d9b62e',
} as const;
const palette = [colors.red, colors.orange, colors.violet, colors.teal, colors.yellow, colors.blue];

/** The whole file. */
export function reportHtml(report: Report): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escape(report.plan)}: ${report.ok ? 'passed' : 'failed'} – Flotilla simulation</title>
<style>${style}</style>
</head>
<body>
${head(report)}
<main>
${notices(report)}
${tiles(report)}
${thresholds(report)}
<section><h2>Over time</h2>
<p class="hint">The bands are the phases of the plan. Point at a plot to read its values.</p>
${charts(report)}
</section>
${phases(report)}
${latencies(report)}
${errors(report)}
${machine(report)}
</main>
<div id="tip" role="status"></div>
<script>${script}</script>
</body>
</html>
`;
}

function head(report: Report): string {
  const verdict = report.ok ? 'passed' : 'failed';
  return `<header><span class="badge ${verdict}">${verdict}</span>
<h1>${escape(report.plan)}</h1>
<p>${escape(report.startedAt.replace('T', ' ').slice(0, 19))} UTC · ${duration(report.durationMs)} · broker ${escape(report.broker.address)} · seed <code>${escape(report.seed)}</code> · run <code>${escape(report.run)}</code></p></header>`;
}

function notices(report: Report): string {
  const list: string[] = [];
  if (report.failure !== null)
    list.push(`<p class="notice bad"><b>The run broke off.</b> ${escape(report.failure)}</p>`);
  if (report.aborted)
    list.push(
      '<p class="notice">The run was stopped early; the figures are of what was done until then.</p>',
    );
  if (!report.simulator.valid) {
    list.push(
      `<p class="notice bad"><b>Not valid as a measurement.</b> The simulator itself was the bottleneck: ${report.simulator.invalidBecause.map(escape).join('; ')}. Use fewer devices, <code>client: light</code>, more cores, or agents on other hosts.</p>`,
    );
  }
  return list.join('\n');
}

function tiles(report: Report): string {
  const { devices, messages, latencyMs, rates, simulator } = report;
  const tile = (value: string, name: string, detail: string, bad = false): string =>
    `<div class="tile${bad ? ' bad' : ''}"><b>${escape(value)}</b><span>${escape(name)}</span><small>${escape(detail)}</small></div>`;
  return `<section class="tiles">
${tile(count(devices.connected), 'devices connected', `of ${count(devices.planned)} planned, ${count(devices.enrolled)} with a certificate, ${count(devices.distinctKeys)} different keys`, devices.failed > 0)}
${tile(count(messages.delivered), 'messages delivered', `of ${count(messages.expected)} expected`)}
${tile(count(messages.lost), 'lost', 'taken over by the broker and never delivered', messages.lost > 0)}
${tile(count(messages.misdelivered), 'misdelivered', 'reached somebody they were not meant for', messages.misdelivered > 0)}
${tile(latencyMs.endToEnd.count === 0 ? '–' : ms(latencyMs.endToEnd.p99), 'end to end, p99', `half of all within ${ms(latencyMs.endToEnd.p50)}`)}
${tile(latencyMs.handshake.count === 0 ? '–' : ms(latencyMs.handshake.p99), 'TLS handshake, p99', `half of all within ${ms(latencyMs.handshake.p50)}`)}
${tile(rate(rates.publishPerSecond), 'messages a second', `${rate(rates.connectPerSecond)} connects/s, ${rate(rates.enrollPerSecond)} enrollments/s`)}
${simulator.rssPerDeviceBytes === null ? '' : tile(`${(simulator.rssPerDeviceBytes / 1024).toFixed(0)} KB`, 'memory of a device', 'in the simulator: key, certificate and connection')}
</section>`;
}

function thresholds({ thresholds: list }: Report): string {
  if (list.length === 0) return '';
  const rows = list.map(
    ({ name, limit, value, ok }) =>
      `<tr><td><span class="mark ${ok ? 'passed' : 'failed'}">${ok ? 'ok' : 'missed'}</span></td><td>${escape(name)}</td><td>${escape(limit)}</td><td class="number">${value === null ? 'never measured' : escape(value.toString())}</td></tr>`,
  );
  return `<section><h2>Thresholds</h2><table><thead><tr><th></th><th>figure</th><th>limit</th><th class="number">value</th></tr></thead><tbody>${rows.join('')}</tbody></table></section>`;
}

function charts(report: Report): string {
  const { series } = report;
  if (series.length === 0) return '<p>The run was too short for a plot.</p>';
  const timesMs = series.map(({ atMs }) => atMs);
  const bands: Band[] = report.phases.map(({ name, atMs, durationMs }) => ({
    name,
    fromMs: atMs,
    toMs: atMs + durationMs,
  }));
  const perSecond = (pick: (second: Second) => number) =>
    series.map((second) => (pick(second) * 1000) / Math.max(1, second.spanMs));
  const plot = (options: Omit<ChartOptions, 'timesMs' | 'bands'>): string =>
    chart({ ...options, timesMs, bands });
  const line = (name: string, color: string, values: (number | undefined)[]) => ({
    name,
    color,
    values,
  });
  const plots = [
    plot({
      title: 'End-to-end latency',
      kind: 'log',
      format: ms,
      series: [
        line(
          'p50',
          colors.green,
          series.map(({ endToEnd }) => endToEnd?.p50),
        ),
        line(
          'p95',
          colors.orange,
          series.map(({ endToEnd }) => endToEnd?.p95),
        ),
        line(
          'p99',
          colors.red,
          series.map(({ endToEnd }) => endToEnd?.p99),
        ),
      ],
    }),
    plot({
      title: 'Messages a second',
      kind: 'lines',
      format: rate,
      series: [
        line(
          'sent by devices',
          colors.blue,
          perSecond(({ published }) => published),
        ),
        line(
          'received',
          colors.green,
          perSecond(({ delivered }) => delivered),
        ),
      ],
    }),
    plot({
      title: 'Enrollments and connects a second',
      kind: 'lines',
      format: rate,
      series: [
        line(
          'enrolled',
          colors.violet,
          perSecond(({ enrolled }) => enrolled),
        ),
        line(
          'connected',
          colors.teal,
          perSecond(({ connected }) => connected),
        ),
      ],
    }),
    plot({
      title: 'Time from the intended begin to CONNACK',
      kind: 'log',
      format: ms,
      series: [
        line(
          'p50',
          colors.green,
          series.map(({ connect }) => connect?.p50),
        ),
        line(
          'p99',
          colors.red,
          series.map(({ connect }) => connect?.p99),
        ),
      ],
    }),
    plot({
      title: 'Devices by state',
      kind: 'stacked',
      format: (value) => count(Math.round(value)),
      series: [
        line(
          'online',
          colors.green,
          series.map(({ devices }) => devices.online),
        ),
        line(
          'connecting',
          colors.yellow,
          series.map(({ devices }) => devices.connecting),
        ),
        line(
          'offline',
          colors.orange,
          series.map(({ devices }) => devices.offline),
        ),
        line(
          'failed',
          colors.red,
          series.map(({ devices }) => devices.failed),
        ),
        line(
          'enrolled',
          colors.blue,
          series.map(({ devices }) => devices.enrolled),
        ),
        line(
          'new',
          colors.grey,
          series.map((second) => second.devices.new),
        ),
      ],
    }),
  ];
  const reasons = Object.keys(report.errors).slice(0, palette.length);
  if (reasons.length > 0) {
    plots.push(
      plot({
        title: 'Errors a second, by reason',
        kind: 'stacked',
        format: rate,
        series: reasons.map((reason, index) =>
          line(
            reason,
            palette[index] ?? colors.grey,
            perSecond((second) => second.errors[reason] ?? 0),
          ),
        ),
      }),
    );
  }
  const cpu = [
    line(
      'simulator',
      colors.blue,
      series.map(({ simulatorCpu }) => simulatorCpu * 100),
    ),
    ...(report.broker.local
      ? [
          line(
            'broker',
            colors.orange,
            series.map(({ brokerCpu }) => (brokerCpu === undefined ? undefined : brokerCpu * 100)),
          ),
        ]
      : []),
  ];
  const memory = [
    line(
      'simulator',
      colors.blue,
      series.map(({ simulatorRssBytes }) => simulatorRssBytes / 1_048_576),
    ),
    ...(report.broker.local
      ? [
          line(
            'broker',
            colors.orange,
            series.map(({ brokerRssBytes }) =>
              brokerRssBytes === undefined ? undefined : brokerRssBytes / 1_048_576,
            ),
          ),
        ]
      : []),
  ];
  plots.push(
    plot({
      title: 'CPU (100 % is one core)',
      kind: 'lines',
      format: (value) => `${value.toFixed(0)} %`,
      series: cpu,
    }),
    plot({
      title: 'Memory',
      kind: 'lines',
      format: (value) => `${value.toFixed(0)} MiB`,
      series: memory,
    }),
  );
  return plots.join('\n');
}

function phases({ phases: list }: Report): string {
  const rows = list.map(({ name, phase, ok, verdict, atMs, durationMs, evidence, latencyMs }) => {
    const word = verdict ?? (ok ? 'done' : 'failed');
    const mark =
      verdict === null ? (ok ? 'done' : 'failed') : verdict === 'pass' ? 'passed' : 'failed';
    const figures = Object.entries(latencyMs)
      .filter(([key]) => key in latencyNames)
      .map(
        ([key, value]) =>
          `${latencyNames[key as keyof typeof latencyNames]} p50 ${ms(value.p50)}, p99 ${ms(value.p99)}`,
      );
    return `<tr><td><span class="mark ${mark}">${word}</span></td><td><b>${escape(name)}</b>${name === phase ? '' : `<br><small>${escape(phase)}</small>`}</td><td class="number">${duration(atMs)}</td><td class="number">${duration(durationMs)}</td><td>${evidence.length > 0 ? `<ul>${evidence.map((sentence) => `<li>${escape(sentence)}</li>`).join('')}</ul>` : ''}${figures.length > 0 ? `<small>${escape(figures.join(' · '))}</small>` : ''}</td></tr>`;
  });
  return `<section><h2>Phases and their evidence</h2><table><thead><tr><th></th><th>phase</th><th class="number">began</th><th class="number">took</th><th>what was seen</th></tr></thead><tbody>${rows.join('')}</tbody></table></section>`;
}

function latencies(report: Report): string {
  const rows = Object.entries(latencyNames).flatMap(([key, name]) => {
    const value = report.latencyMs[key as keyof typeof latencyNames];
    if (value.count === 0) return [];
    const cells = [value.p50, value.p95, value.p99, value.max].map(
      (cell) => `<td class="number">${ms(cell)}</td>`,
    );
    return [
      `<tr><td>${escape(name)}</td>${cells.join('')}<td class="number">${count(value.count)}</td></tr>`,
    ];
  });
  return `<section><h2>Latencies</h2><p class="hint">Counted from the moment at which something was meant to begin, not from when it could: a slow broker cannot hide behind its own slowness.</p><table><thead><tr><th></th><th class="number">p50</th><th class="number">p95</th><th class="number">p99</th><th class="number">max</th><th class="number">count</th></tr></thead><tbody>${rows.join('')}</tbody></table></section>`;
}

function errors({ errors: list, notes }: Report): string {
  const entries = Object.entries(list);
  if (entries.length === 0 && notes.length === 0) return '';
  const most = Math.max(1, ...entries.map(([, by]) => by));
  const rows = entries
    .slice(0, 20)
    .map(
      ([reason, by]) =>
        `<tr><td>${escape(reason)}</td><td class="number">${count(by)}</td><td class="bar"><i style="width:${((by / most) * 100).toFixed(1)}%"></i></td></tr>`,
    );
  return `<section><h2>Errors by reason</h2>${rows.length > 0 ? `<table><tbody>${rows.join('')}</tbody></table>` : '<p>None.</p>'}${notes.length > 0 ? `<ul>${notes.map((note) => `<li>${escape(note)}</li>`).join('')}</ul>` : ''}</section>`;
}

function machine({ simulator, broker, telemetry, commands }: Report): string {
  const row = (name: string, value: string): string =>
    `<tr><td>${escape(name)}</td><td>${escape(value)}</td></tr>`;
  const micro = (value: number | null): string => (value === null ? '–' : `${value.toFixed(0)} µs`);
  return `<section><h2>Behind the figures</h2><table><tbody>
${row('messages of devices', `${count(telemetry.published)} sent, ${count(telemetry.acknowledged)} acknowledged, ${count(telemetry.duplicated)} duplicated`)}
${row('commands to devices', `${count(commands.published)} sent, ${count(commands.delivered)} of ${count(commands.expected)} expected arrived, ${count(commands.undeliverable)} met a device that was away`)}
${row('simulator', `${simulator.workers} workers, ${(simulator.cpuMs / 1000).toFixed(1)} s of CPU, ${micro(simulator.cpuPerMessageUs)} a message, busiest worker ${(simulator.loopBusyMean * 100).toFixed(0)} % on average`)}
${row('simulator memory', `${(simulator.rssBytes / 1_048_576).toFixed(0)} MiB${simulator.rssPerDeviceBytes === null ? '' : `, ${(simulator.rssPerDeviceBytes / 1024).toFixed(0)} KB a device`}`)}
${row('schedule error', `p50 ${ms(simulator.scheduleErrorMs.p50)}, p99 ${ms(simulator.scheduleErrorMs.p99)}, max ${ms(simulator.scheduleErrorMs.max)}; ${count(simulator.missed)} messages were due while their device was away`)}
${broker.local ? row('broker', `${((broker.cpuMs ?? 0) / 1000).toFixed(1)} s of CPU, ${micro(broker.cpuPerMessageUs)} a message, ${((broker.rssPeakBytes ?? 0) / 1_048_576).toFixed(0)} MiB at most`) : row('broker', 'on another machine: its CPU and memory are not known here')}
</tbody></table></section>`;
}

function count(value: number): string {
  return value.toString().replaceAll(/\B(?=(\d{3})+$)/g, ',');
}

function rate(value: number): string {
  return value >= 10 || value === 0 ? count(Math.round(value)) : value.toFixed(value >= 1 ? 1 : 2);
}

function duration(value: number): string {
  return value < 120_000 ? `${(value / 1000).toFixed(1)} s` : `${(value / 60_000).toFixed(1)} min`;
}

const style = `
:root{--ink:#1d2530;--soft:#5c6773;--line:#dfe4ea;--paper:#fff;--back:#f4f6f8;--band:#eef2f7;--good:#2d8a4a;--bad:#c8372d;color-scheme:light dark}
@media(prefers-color-scheme:dark){:root{--ink:#e4e9ef;--soft:#9aa7b4;--line:#333c47;--paper:#1b2129;--back:#12161b;--band:#222a34;--good:#5cc07c;--bad:#f07167}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header{max-width:1000px;margin:0 auto;padding:28px 20px 4px}
main{max-width:1000px;margin:0 auto;padding:0 20px 60px}
h1{display:inline-block;margin:0 0 0 12px;font-size:26px;vertical-align:middle}
h2{font-size:18px;margin:0 0 10px}
header p{color:var(--soft);margin:8px 0 0}
section{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:18px 20px;margin:16px 0;overflow-x:auto}
.badge,.mark{display:inline-block;border-radius:999px;color:#fff;font-weight:600;text-transform:uppercase;letter-spacing:.04em}
.badge{padding:5px 14px;font-size:14px;vertical-align:middle}
.mark{padding:1px 9px;font-size:11px}
.passed{background:var(--good)}.failed{background:var(--bad)}.done{background:var(--soft)}
@media(prefers-color-scheme:dark){.badge,.mark{color:#10151a}}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:14px;background:none;border:0;padding:0}
.tile{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.tile b{display:block;font-size:25px;line-height:1.2;font-variant-numeric:tabular-nums}
.tile span{display:block;font-weight:600}.tile small{color:var(--soft)}
.tile.bad b{color:var(--bad)}
.notice{border-left:4px solid var(--soft);background:var(--paper);padding:12px 16px;border-radius:6px}
.notice.bad{border-color:var(--bad)}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:6px 10px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
th{color:var(--soft);font-weight:600;font-size:13px}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td ul{margin:0;padding-left:18px}small,.hint{color:var(--soft);font-size:13px}.hint{margin:-4px 0 12px}
.bar{width:40%}.bar i{display:block;height:12px;margin-top:5px;background:var(--bad);border-radius:3px}
.chart{margin:0 0 22px}.chart svg{width:100%;height:auto;display:block}
figcaption{font-weight:600;display:flex;flex-wrap:wrap;gap:4px 18px;align-items:baseline;margin-bottom:2px}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-weight:400;font-size:13px;color:var(--soft)}
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:5px;vertical-align:-1px}
.grid{stroke:var(--line)}.tick{fill:var(--soft);font-size:11px}.phase{fill:var(--soft);font-size:10.5px}
.band0{fill:var(--band)}.band1{fill:var(--band);fill-opacity:.45}
.cursor{stroke:var(--ink);stroke-width:1;visibility:hidden}
#tip{position:fixed;display:none;pointer-events:none;background:var(--ink);color:var(--paper);border-radius:6px;padding:6px 10px;font-size:12px;font-variant-numeric:tabular-nums;z-index:2}
#tip i{display:inline-block;width:9px;height:9px;border-radius:2px;margin-right:6px}
code{font-size:.92em}
@media print{body{background:#fff}section{break-inside:avoid}}
`;

const script = `
const tip=document.getElementById('tip');
for(const svg of document.querySelectorAll('svg[data-hover]')){
  const data=JSON.parse(svg.dataset.hover),cursor=svg.querySelector('.cursor'),wide=svg.viewBox.baseVal.width;
  svg.addEventListener('mousemove',(event)=>{
    const box=svg.getBoundingClientRect(),at=(event.clientX-box.left)/box.width*wide;
    let best=0;for(let i=1;i<data.x.length;i++)if(Math.abs(data.x[i]-at)<Math.abs(data.x[best]-at))best=i;
    cursor.setAttribute('x1',data.x[best]);cursor.setAttribute('x2',data.x[best]);cursor.style.visibility='visible';
    tip.replaceChildren();
    const head=document.createElement('b');head.textContent=(data.t[best]/1000).toFixed(0)+' s';tip.append(head);
    for(const s of data.s){const row=document.createElement('div'),mark=document.createElement('i');mark.style.background=s.c;row.append(mark,s.n+': '+s.v[best]);tip.append(row);}
    tip.style.display='block';
    tip.style.left=Math.min(event.clientX+14,innerWidth-tip.offsetWidth-8)+'px';tip.style.top=(event.clientY+14)+'px';
  });
  svg.addEventListener('mouseleave',()=>{tip.style.display='none';cursor.style.visibility='hidden';});
}
`;
