/**
 * `node bench/siege-bench.ts`: attacks a broker and an enrollment service for an hour while a healthy fleet works.
 * Options: `--minutes 60`, `--devices 1000`, `--rate 0.2` (messages of a device per second, QoS 1), `--seed N`,
 * `--nice -15` (priority of services and fleet; the attacks have the usual one, so that a busy machine does not decide).
 *
 * The exit code is 1 if a service ended, an acknowledged message was lost, the fleet's p99 was 250 ms or more, or the
 * memory of a service did not return to within 20 % of its value before the attacks.
 *
 * @module
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { FuzzRandom } from './fuzz/random.ts';
import { cpuMicroseconds, residentBytes } from './process-usage.ts';
import { attacks } from './siege/attacks.ts';
import { runFlotilla, startFleetServices, type FleetServices } from './siege/fleet-services.ts';

const p99MaxMs = 250;
const memoryGrowthMax = 0.2;
const attackersMax = 24;
const settleMs = 60_000;
const connectMaxMs = 900_000;
const sampleEveryMs = 10_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    devices: { type: 'string', default: '1000' },
    rate: { type: 'string', default: '0.2' },
    seed: { type: 'string', default: '1' },
    nice: { type: 'string', default: '-15' },
  },
});
const attackMs = Number(values.minutes) * 60_000;
const devices = Number(values.devices);
const niceness = Number(values.nice);

const latency = z.object({ p50: z.number(), p99: z.number(), max: z.number() }).nullable();
const reportSchema = z.object({
  messages: z.object({
    published: z.number(),
    acknowledged: z.number(),
    delivered: z.number(),
    lost: z.number(),
    duplicated: z.number(),
  }),
  latencyMs: z.object({ publishAck: latency, endToEnd: latency }),
});

interface Memory {
  readonly brokerMiB: number;
  readonly enrollMiB: number;
}

const folder = await mkdtemp(join(tmpdir(), 'flotilla-siege-'));
const services = await startFleetServices(folder, niceness);
try {
  const result = await siege(services);
  process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
  process.exitCode = result.ok ? 0 : 1;
} finally {
  await services.close();
  if (process.exitCode === 0) await rm(folder, { recursive: true, force: true });
  else process.stderr.write(`logs and report are in ${folder}\n`);
}

async function siege(fleet: FleetServices) {
  const identities = new Map<string, { readonly cert: string; readonly key: string }>();
  for (let at = 0; at < attackersMax; at++) {
    identities.set(`fuzz-${at}`, await fleet.identity(`fuzz-${at}`));
  }
  // The healthy fleet works before, during and after the attacks.
  const durationMs = attackMs + 4 * settleMs;
  const simulator = runFlotilla(folder, 'fleet', niceness, [
    ...['sim', 'run', '--state', fleet.state, '--devices', String(devices), '--client', 'light'],
    ...['--rate', values.rate, '--qos', '1', '--seed', values.seed, '--json'],
    ...['--duration', `${Math.round(durationMs / 1000)}s`],
  ]);
  await connected(fleet, devices);
  await pause(settleMs);
  const before = memoryOf(fleet);
  say(`${devices} devices are connected: ${JSON.stringify(before)}`);
  const counts: Record<string, number> = {};
  const stop = new AbortController();
  const random = new FuzzRandom(Number(values.seed));
  const { mqtts, enrollUrl, ca } = fleet;
  const count = (attack: string, more: number): void => {
    counts[attack] = (counts[attack] ?? 0) + more;
  };
  const target = { mqtts, enrollUrl, ca, identities, random, signal: stop.signal, count };
  const cpuBefore = cpuOf(fleet);
  const attacking = attacks.map((attack) => attack(target));
  const highest = await watched(fleet, attackMs);
  stop.abort();
  await Promise.all(attacking);
  const cpuSeconds = cpuOf(fleet) - cpuBefore;
  say(`the attacks are over: ${JSON.stringify(counts)}`);
  await pause(2 * settleMs);
  const after = memoryOf(fleet);
  if (simulator.child.exitCode === null) await once(simulator.child, 'exit');
  const report = reportSchema.parse(JSON.parse(readFileSync(simulator.outPath, 'utf8')));
  const { messages, latencyMs } = report;
  const crashes = crashesOf(fleet);
  const ok =
    crashes.length === 0 &&
    messages.lost === 0 &&
    messages.published > 0 &&
    (latencyMs.publishAck?.p99 ?? Infinity) < p99MaxMs &&
    (latencyMs.endToEnd?.p99 ?? Infinity) < p99MaxMs &&
    after.brokerMiB <= before.brokerMiB * (1 + memoryGrowthMax) &&
    after.enrollMiB <= before.enrollMiB * (1 + memoryGrowthMax);
  const minutes = Number(values.minutes);
  return {
    ok,
    minutes,
    devices,
    counts,
    crashes,
    before,
    highest,
    after,
    cpuSeconds,
    messages,
    latencyMs,
  };
}

/** Waits until the fleet is connected. */
async function connected({ metricsUrl }: FleetServices, count: number): Promise<void> {
  const untilMs = performance.now() + connectMaxMs;
  while (performance.now() < untilMs) {
    const text = await fetch(new URL('/metrics', metricsUrl)).then((answer) => answer.text());
    const found = /^flotilla_connections (\d+)/m.exec(text)?.[1];
    if (Number(found ?? 0) >= count) return;
    await pause(1000);
  }
  throw new Error('the fleet did not connect');
}

/** @returns the highest values during this time */
async function watched(fleet: FleetServices, forMs: number): Promise<Memory> {
  let highest = memoryOf(fleet);
  const untilMs = performance.now() + forMs;
  while (performance.now() < untilMs && crashesOf(fleet).length === 0) {
    await pause(sampleEveryMs);
    const now = memoryOf(fleet);
    highest = {
      brokerMiB: Math.max(highest.brokerMiB, now.brokerMiB),
      enrollMiB: Math.max(highest.enrollMiB, now.enrollMiB),
    };
  }
  return highest;
}

function crashesOf({ broker, enroll }: FleetServices): string[] {
  return [['broker', broker] as const, ['enrollment', enroll] as const].flatMap(
    ([name, { child }]) =>
      child.exitCode === null && child.signalCode === null
        ? []
        : [`${name} ended with ${child.exitCode ?? child.signalCode ?? ''}`],
  );
}

function memoryOf({ broker, enroll }: FleetServices): Memory {
  const mebibytes = (pid: number): number => {
    try {
      return Math.round(residentBytes(pid) / 1024 / 1024);
    } catch {
      // It ended.
      return 0;
    }
  };
  return { brokerMiB: mebibytes(broker.pid), enrollMiB: mebibytes(enroll.pid) };
}

function cpuOf({ broker, enroll }: FleetServices): number {
  return [broker, enroll].reduce((sum, { pid, child }) => {
    return child.exitCode === null ? sum + Math.round(cpuMicroseconds(pid) / 1e6) : sum;
  }, 0);
}

function say(text: string): void {
  process.stderr.write(`${new Date().toISOString()} ${text}\n`);
}
