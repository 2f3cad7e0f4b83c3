import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { settleAccount } from '../../device-sim/controller/accounting.ts';
import { reportOf } from '../../device-sim/controller/verdict.ts';
import { RunStats } from '../../device-sim/stats/run-stats.ts';
import { Meter } from '../../device-sim/measure/meter.ts';
import { parsePlan } from '../../device-sim/plan/read-plan.ts';
import { reportHtml } from '../../device-sim/report/report-html.ts';
import { debianTool } from '../support/debian-tool.ts';
import { tempFolder } from '../support/temp-folder.ts';

const hostile = '<img src=x onerror="document.title=`taken`">';

function html(): string {
  const stats = new RunStats(0, () => ({ cpuMs: performance.now(), rssBytes: 50_000_000 }));
  const worker = {};
  for (let second = 1; second <= 30; second++) {
    const meter = new Meter();
    meter.count('published', 100);
    meter.count('delivered', 100);
    meter.time('endToEnd', 1000 * second);
    meter.fail(`connect: ${hostile}`);
    const devices = { new: 0, enrolled: 0, connecting: 1, online: 20, offline: 0, failed: 0 };
    stats.addTick(worker, {
      atMs: second,
      meter: meter.take(),
      devices,
      everOnline: 20,
      cpuMs: 100,
      rssBytes: 1e8,
      loopBusy: 0.1,
    });
    stats.closeSecond(second * 1000);
  }
  const plan = parsePlan(
    'name: shown\nfleet: [{ group: a, count: 20 }]\nphases: [{ phase: enroll }]',
  );
  return reportHtml(
    reportOf({
      plan,
      seed: '1',
      run: '00000000',
      startedAtMs: 0,
      durationMs: 30_000,
      stats,
      fleet: {
        retired: new Set(),
        failed: new Map(),
        joined: new Set(),
        keys: new Set(),
        enrolled: 20,
      },
      planned: 20,
      account: settleAccount([], [], stats.totals),
      phases: [],
      brokerAddress: 'localhost:8883',
      workers: 1,
      idleRssBytes: 0,
      peakOnline: { devices: 20, rssBytes: 1e8 },
      aborted: false,
      failure: hostile,
      notes: [hostile],
    }),
  );
}

test('a real browser renders the report, and hostile text in it stays text', async (t) => {
  const chromium = debianTool(t, 'chromium');
  if (chromium === undefined) return;
  const folder = tempFolder(t);
  // Moves the pointer over a plot and writes the result into the title.
  const probe = `<script>
    const svg=document.querySelector('svg[data-hover]'),box=svg.getBoundingClientRect();
    svg.dispatchEvent(new MouseEvent('mousemove',{clientX:box.left+box.width/2,clientY:box.top+20}));
    document.title='svg '+document.querySelectorAll('svg[data-hover]').length+' img '+document.querySelectorAll('img').length+' tip '+document.getElementById('tip').textContent;
  </script>`;
  const page = join(folder, 'report.html');
  await writeFile(page, html().replace('</body>', `${probe}</body>`));
  const { stdout } = await promisify(execFile)(
    chromium,
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--user-data-dir=${join(folder, 'profile')}`,
      '--dump-dom',
      `file://${page}`,
    ],
    { timeout: 60_000, maxBuffer: 16 * 1024 * 1024 },
  );
  const title = /<title>([^<]*)<\/title>/.exec(stdout)?.[1] ?? '';
  t.regex(title, /^svg 8 img 0 tip \d+ sp50: /);
});
