/**
 * The web console with a large fleet: `node bench/console-bench.ts [--devices 100000] [--seconds 20]`.
 *
 * Measured in Chromium with a CPU slowed down four times: the first paint, the first rows of the list, and
 * scrolling through 5,000 of its rows. Then a broker reports a thousand connections and disconnections per second, without
 * and with an open page: the difference is what live updates cost the service. Needs `chromium`.
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { chromium, type BrowserContext, type Page } from 'playwright-core';
import { feedLineSchema } from '../core/protocol/feed.ts';
import { callHttps, callJson, openHttps } from '../core/protocol/https-client.ts';
import { linkSchema } from '../core/protocol/operator-api.ts';
import { silentLog } from '../core/log.ts';
import { identityFiles, stateFolder, type StateFolder } from '../core/state-folder.ts';
import { initialiseState } from '../enroll/bootstrap/state.ts';
import {
  benchConfig,
  cpuMs,
  millisecondsText,
  seedDevices,
  seededId,
  startService,
  stopService,
  type BenchService,
} from './enroll/bench-service.ts';

const slowdown = 4;
const changesPerSecond = 1000;
const scrolledRows = 5000;
/** A busy machine must not end the measurement. */
const pageWaitMs = 300_000;
/** As in the style sheet of the console. */
const rowHeight = 41;

const { values } = parseArgs({
  options: {
    devices: { type: 'string', default: '100000' },
    seconds: { type: 'string', default: '20' },
  },
});
const devices = Number(values.devices);
const seconds = Number(values.seconds);
execFileSync(process.execPath, ['tools/build-console.mjs']);
const root = await mkdtemp(join(tmpdir(), 'flotilla-bench-'));
try {
  const state = stateFolder(join(root, 'state'));
  await initialiseState(state, benchConfig, { log: silentLog });
  await seedDevices(state, devices);
  const service = await startService(state);
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu'],
  });
  try {
    console.log(`${devices} devices; script of the first page: ${scriptBytes()} bytes (brotli)`);
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    context.setDefaultTimeout(pageWaitMs);
    const page = await context.newPage();
    await signIn(page, service);
    await (
      await context.newCDPSession(page)
    ).send('Emulation.setCPUThrottlingRate', {
      rate: slowdown,
    });
    for (const path of ['', 'devices', 'devices', 'devices?search=99&online=false']) {
      await measurePage(page, service, path);
    }
    await page.close();
    await measureScrolling(context, service);
    const report = await openFeed(service, state);
    // The first reports include the compilation of the code and the snapshot of the feed.
    await cpuOfReports(service, report);
    const before = await cpuOfReports(service, report);
    const watching = await context.newPage();
    await watching.goto(`${service.url}/console/devices`);
    await watching.locator('table.devices tbody a').first().waitFor();
    const watched = await cpuOfReports(service, report);
    await watching.close();
    const idle = (before + (await cpuOfReports(service, report))) / 2;
    const share = (cpu: number): string => `${((cpu / (seconds * 1000)) * 100).toFixed(2)} %`;
    console.log(`${changesPerSecond} connection changes per second, CPU of the service in cores:`);
    console.log(`  without a page ${share(idle)}, with one ${share(watched)}`);
    console.log(`  live updates: ${share(watched - idle)}`);
  } finally {
    await browser.close();
    await stopService(service);
  }
} finally {
  await rm(root, { recursive: true, force: true });
}

function scriptBytes(): number {
  const [script = ''] = readdirSync('dist/console').filter((name) => name === 'app.js.br');
  return statSync(join('dist/console', script)).size;
}

async function signIn(page: Page, { url, admin }: BenchService): Promise<void> {
  const link = await callJson(
    { method: 'POST', url: `${url}/v1/sign-in/links`, ...admin, body: {} },
    linkSchema,
  );
  // Its host is the public name of the service.
  await page.goto(url + link.url.slice(new URL(link.url).origin.length));
  await page.getByRole('button').click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
}

async function measurePage(page: Page, { url }: BenchService, path: string): Promise<void> {
  await page.goto(`${url}/console/${path}`);
  const rows = path === '' ? page.locator('.tiles') : page.locator('table.devices tbody a').first();
  await rows.waitFor();
  const times = await page.evaluate<{ paint: number; now: number }>(`({
    paint: performance.getEntriesByName('first-contentful-paint')[0].startTime,
    now: performance.now(),
  })`);
  console.log(
    `/console/${path}: first paint ${millisecondsText(times.paint)}, data ${millisecondsText(times.now)} (CPU slowed down ${slowdown} times)`,
  );
}

type Report = (presence: readonly object[]) => Promise<void>;

/**
 * Scrolls down as fast as rows arrive: the rows come in pages of the API, and the page shows only those near the
 * visible part. The CPU is not slowed down here, because what counts is the CPU time of the page.
 */
async function measureScrolling(context: BrowserContext, { url }: BenchService): Promise<void> {
  const page = await context.newPage();
  const inspector = await context.newCDPSession(page);
  await inspector.send('Performance.enable', { timeDomain: 'threadTicks' });
  const taskSeconds = async (): Promise<number> => {
    const { metrics } = await inspector.send('Performance.getMetrics');
    return metrics.find(({ name }) => name === 'TaskDuration')?.value ?? 0;
  };
  await page.goto(`${url}/console/devices`);
  await page.locator('table.devices tbody a').first().waitFor();
  const rows = Math.min(scrolledRows, devices - 1);
  const before = await taskSeconds();
  const { ms, frames, shown } = await page.evaluate<{
    ms: number;
    frames: number;
    shown: number;
  }>(`(async () => {
    const box = document.querySelector('.scroll.rows');
    const wanted = ${rows * rowHeight};
    const startMs = performance.now();
    let frames = 0;
    while (box.scrollTop + box.clientHeight < wanted) {
      box.scrollTop = Math.min(box.scrollTop + 400, wanted);
      await new Promise(requestAnimationFrame);
      frames++;
    }
    return { ms: performance.now() - startMs, frames, shown: box.querySelectorAll('tbody tr').length };
  })()`);
  const cpuOfPage = (await taskSeconds()) * 1000 - before * 1000;
  console.log(
    `scrolling through ${rows} rows: ${millisecondsText(ms)}, ${millisecondsText(cpuOfPage)} of CPU, ${frames} frames, ${shown} rows in the page`,
  );
  await page.close();
}

/** Follows the feed as a broker that reads everything. */
async function openFeed({ url, admin }: BenchService, state: StateFolder): Promise<Report> {
  const files = identityFiles(state.broker.identity);
  const [cert, key] = await Promise.all([
    readFile(files.chain, 'utf8'),
    readFile(files.key, 'utf8'),
  ]);
  const credential = { ca: admin.ca, cert, key };
  const response = await openHttps({ method: 'GET', url: `${url}/v1/feed`, ...credential });
  const lines = createInterface({ input: response });
  // The end of the service ends it.
  lines.on('error', () => undefined);
  const epoch = await new Promise<string>((resolve) => {
    lines.on('line', (text) => {
      if (!text.includes('"hello"')) return;
      const line = feedLineSchema.parse(JSON.parse(text));
      if (line.type === 'hello') resolve(line.epoch);
    });
  });
  return async (presence) => {
    const { status, body } = await callHttps({
      method: 'POST',
      url: `${url}/v1/feed/report`,
      ...credential,
      body: { epoch, applied: 0, presence },
    });
    if (status >= 300) throw new Error(body.toString());
  };
}

async function cpuOfReports(service: BenchService, report: Report): Promise<number> {
  const before = cpuMs(service);
  const endMs = Date.now() + seconds * 1000;
  for (let turn = 0; Date.now() < endMs; turn++) {
    const nextMs = Date.now() + 1000;
    await report(
      Array.from({ length: changesPerSecond }, (_, at) => ({
        id: seededId((turn * changesPerSecond + at) % devices),
        connected: turn % 2 === 0,
        atMs: Date.now(),
        serial: '01',
        remoteAddress: '192.0.2.1',
        ...(turn % 2 === 0 ? {} : { reason: 'client-disconnected' }),
      })),
    );
    await delay(Math.max(0, nextMs - Date.now()));
  }
  return cpuMs(service) - before;
}
