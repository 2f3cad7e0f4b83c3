/**
 * CPU time and memory of both services for a large fleet after years of renewals.
 *
 *     node bench/scale-bench.ts [devices] [certificates of each] [ended|retired] [rows to import]
 *
 * `ended`: all certificates but the last two ended long ago, as after years of renewals. `retired`: none has ended.
 * Seeds a registry, then starts the enrollment service and a broker of its own process, twice each, and a broker
 * without the service. Times are CPU time, so that a busy machine does not change them much.
 *
 * @module
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../core/clock.ts';
import { checkConfig } from '../core/config/config.ts';
import { dayMs } from '../core/config/duration.ts';
import { parseDeviceId } from '../core/device-id.ts';
import { silentLog } from '../core/log.ts';
import { stateFolder } from '../core/state-folder.ts';
import { initialiseState } from '../enroll/bootstrap/state.ts';
import { pruneCertificates } from '../enroll/registry/certificate-pruning.ts';
import { openLowdbRegistry, type LowdbRegistry } from '../enroll/registry/lowdb-registry.ts';
import type { CertificateRecord, DeviceRecord } from '../enroll/registry/records.ts';
import type { Put } from '../enroll/registry/registry.ts';
import { cpuMicroseconds, residentBytes } from './process-usage.ts';

const [devicesText = '10000', certificatesText = '8', kind = 'ended', rowsText = '0'] =
  process.argv.slice(2);
const devices = Number(devicesText);
const certificates = Number(certificatesText);
const rowsPerCommit = 1000;
const heapMb = 8000;
const renewalMs = 240 * dayMs;

const root = mkdtempSync(join(tmpdir(), 'flotilla-scale-'));
const state = stateFolder(root);

function certificateOf(device: number, at: number, nowMs: number): CertificateRecord {
  const hex = (at * 0x1000000 + device).toString(16).padStart(64, '0');
  const age = kind === 'ended' ? (certificates - 1 - at) * renewalMs : 0;
  return {
    serial: `40${hex.slice(34)}`,
    fingerprint: `sha256:${hex}`,
    keyFingerprint: `sha256:${hex}`,
    key: 'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE'.padEnd(124, 'A'),
    issuer: `sha256:${'a'.repeat(64)}`,
    notBeforeMs: nowMs - age,
    notAfterMs: nowMs - age + 365 * dayMs,
    status: at === certificates - 1 ? 'active' : 'retired',
    seenAtMs: nowMs - age,
  };
}

function openRegistry(): Promise<LowdbRegistry> {
  const sink = (): Promise<void> => Promise.resolve();
  return openLowdbRegistry(state.enroll.registry, { clock: systemClock, log: silentLog, sink });
}

async function seed(): Promise<void> {
  await initialiseState(state, checkConfig({}), { log: silentLog });
  const registry = await openRegistry();
  const nowMs = Date.now();
  for (let from = 0; from < devices; from += rowsPerCommit) {
    const puts: Put[] = [];
    for (let at = from; at < Math.min(devices, from + rowsPerCommit); at++) {
      const record: DeviceRecord = {
        id: parseDeviceId(`seed-${String(at).padStart(7, '0')}`),
        role: 'device',
        status: 'active',
        group: `group-${at % 100}`,
        attributes: { site: `site-${at % 1000}`, model: 'm1' },
        profile: 'default',
        createdAtMs: nowMs,
        certificates: Array.from({ length: certificates }, (_none, one) =>
          certificateOf(at, one, nowMs),
        ),
      };
      puts.push({ table: 'devices', record, expected: 0 });
    }
    await registry.commit({ puts });
  }
  await registry.close();
}

/** What housekeeping does, in one go. */
async function prune(): Promise<void> {
  const registry = await openRegistry();
  const before = process.cpuUsage();
  let all = 0;
  for (let some = -1; some !== 0; all += some) {
    const deps = { registry, clock: systemClock, keepMs: 61 * dayMs };
    some = await pruneCertificates(deps, () => false);
  }
  const { user, system } = process.cpuUsage(before);
  await registry.close();
  console.log(`pruned ${all} certificates with ${seconds(user + system)} s of CPU`);
}

interface Running {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly ready: {
    readonly https?: { readonly url: string };
    readonly metrics: { readonly url: string };
  };
}

async function start(...args: string[]): Promise<Running> {
  const ports = ['--metrics-port', '0', '--state', root, '--json'];
  const command = [`--max-old-space-size=${heapMb}`, 'cli/flotilla.mjs', ...args, ...ports];
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    text += chunk.toString();
    const line = text.split('\n').find((one) => one.includes('"ready"'));
    if (line === undefined) continue;
    child.stdout.resume();
    // A cast at the border to JSON: the command prints it.
    return { child, pid: child.pid ?? 0, ready: JSON.parse(line) as Running['ready'] };
  }
  throw new Error(`${args.join(' ')} did not start`);
}

async function stop(name: string, { child, pid }: Running): Promise<void> {
  const before = cpuMicroseconds(pid);
  let cpu = before;
  // The time of threads that have ended is not counted any more.
  const timer = setInterval(() => (cpu = Math.max(cpu, cpuMicroseconds(pid))), 50);
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
  clearInterval(timer);
  console.log(`${name}: stop ${seconds(cpu - before)} s of CPU`);
}

async function metric(url: string, name: string): Promise<number> {
  const text = await fetch(`${url}/metrics`).then((answer) => answer.text());
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\d+)`, 'm').exec(text)?.[1] ?? 0);
}

async function broker(name: string, url: string): Promise<void> {
  const one = await start(
    'broker',
    'serve',
    '--mqtts-port',
    '0',
    '--wss-port',
    '0',
    '--enroll-url',
    url,
  );
  const isAlone = url.endsWith(':9');
  while (
    (await metric(one.ready.metrics.url, 'flotilla_directory_entries')) < devices ||
    (!isAlone && (await metric(one.ready.metrics.url, 'flotilla_feed_connected')) === 0)
  ) {
    await delay(200);
  }
  console.log(
    `${name}: ${seconds(cpuMicroseconds(one.pid))} s of CPU, ${mb(residentBytes(one.pid))} MB`,
  );
  // The snapshot is written after the last entry has arrived.
  if (!isAlone) await delay(5000);
  await stop(name, one);
  console.log(`directory ${mb(statSync(state.broker.directory).size)} MB`);
}

/** Imports a CSV file with the command line. */
async function importRows(service: Running, rows: number): Promise<void> {
  const file = join(root, 'rows.csv');
  const out = createWriteStream(file);
  out.write('id,group,attr:site\n');
  for (let at = 0; at < rows; at++) {
    if (!out.write(`import-${at},new,site-${at % 1000}\n`)) await once(out, 'drain');
  }
  out.end();
  await once(out, 'close');
  const before = cpuMicroseconds(service.pid);
  const args = ['cli/flotilla.mjs', 'device', 'import', file, '--state', root];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  await once(child, 'exit');
  const cpu = seconds(cpuMicroseconds(service.pid) - before);
  console.log(`import of ${rows} rows: ${cpu} s of CPU, ${mb(residentBytes(service.pid))} MB`);
}

function seconds(us: number): string {
  return (us / 1e6).toFixed(1);
}

function mb(bytes: number): number {
  return Math.round(bytes / 1e6);
}

async function service(name: string): Promise<Running> {
  const one = await start('enroll', 'serve', '--https-port', '0');
  console.log(
    `${name}: start ${seconds(cpuMicroseconds(one.pid))} s of CPU, ${mb(residentBytes(one.pid))} MB`,
  );
  return one;
}

try {
  await seed();
  await stop('service', await service(`service with ${certificates} certificates of each device`));
  if (kind === 'ended') await prune();
  const running = await service('service after pruning');
  const url = running.ready.https?.url ?? '';
  await broker('broker, first snapshot', url);
  await broker('broker, restart', url);
  if (Number(rowsText) > 0) await importRows(running, Number(rowsText));
  await stop('service', running);
  await broker('broker without the service', 'https://127.0.0.1:9');
} finally {
  rmSync(root, { recursive: true, force: true });
}
