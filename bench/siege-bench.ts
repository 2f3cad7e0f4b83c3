/**
 * `node bench/siege-bench.ts`: attacks a broker and an enrollment service for an hour while a healthy fleet works.
 * Options: `--minutes 60`, `--devices 1000`, `--rate 0.2` (messages of a device per second, QoS 1), `--seed N`,
 * `--nice -15` (priority of services and fleet; the attacks have the usual one, so that a busy machine does not decide),
 * `--only name` (one attack: see `siege/attacks.ts`; several times for several).
 *
 * What attackers have stored is no leak: retained messages and sessions stay until an operator deletes their identities.
 * So after the attacks the attackers are deleted, and then the memory is compared, before and after with a garbage
 * collection. The exit code is 1 if a service ended, an acknowledged message was lost, the fleet's p99 was 250 ms or
 * more, retained messages of attackers are left, or the memory of a service did not return to within 20 % of its value
 * before the attacks: the resident memory, which includes what malloc keeps, and the JavaScript heap.
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
import { lagBetween, readLoopLag } from './siege/loop-lag.ts';
import { memoryAfterCollection, type ProcessMemory } from './siege/process-memory.ts';
import { runFlotilla, startFleetServices, type FleetServices } from './siege/fleet-services.ts';

const p99MaxMs = 250;
const memoryGrowthMax = 0.2;
const attackersMax = 24;
const settleMs = 60_000;
/** Longer than the broker keeps its cached routes. */
const forgetMs = 150_000;
const connectMaxMs = 900_000;
const sampleEveryMs = 10_000;
const removedMaxMs = 300_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    devices: { type: 'string', default: '1000' },
    rate: { type: 'string', default: '0.2' },
    seed: { type: 'string', default: '1' },
    nice: { type: 'string', default: '-15' },
    only: { type: 'string', multiple: true, default: [] },
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
  const durationMs = attackMs + 6 * settleMs;
  const simulator = runFlotilla(folder, 'fleet', niceness, [
    ...['sim', 'run', '--state', fleet.state, '--devices', String(devices), '--client', 'light'],
    ...['--rate', values.rate, '--qos', '1', '--seed', values.seed, '--json'],
    ...['--duration', `${Math.round(durationMs / 1000)}s`],
  ]);
  await connected(fleet, devices);
  await pause(settleMs);
  const before = await settledMemory(fleet);
  const retainedBefore = gaugeOf(await fleet.metrics(), 'flotilla_retained_messages');
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
  const lagBefore = readLoopLag(await fleet.metrics());
  const chosen = attacks.filter(([name]) => values.only.length === 0 || values.only.includes(name));
  const attacking = chosen.map(([, attack]) => attack(target));
  const highest = await watched(fleet, attackMs);
  stop.abort();
  await Promise.all(attacking);
  const cpuSeconds = cpuOf(fleet) - cpuBefore;
  const metrics = await fleet.metrics();
  const loopLagMs = lagBetween(lagBefore, readLoopLag(metrics));
  const retainedByAttackers = gaugeOf(metrics, 'flotilla_retained_messages') - retainedBefore;
  const attacked = memoryOf(fleet);
  say(`the attacks are over: ${JSON.stringify(counts)}`);
  for (const id of identities.keys()) await fleet.remove(id);
  // The presence of the attackers was not there before.
  const isRemoved = await retainedAtMost(fleet, retainedBefore);
  say(isRemoved ? 'nothing of the attackers is left' : 'retained messages of attackers are left');
  await pause(forgetMs);
  const after = await settledMemory(fleet);
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
    isRemoved &&
    hasReturned(before.broker, after.broker) &&
    hasReturned(before.enroll, after.enroll);
  const minutes = Number(values.minutes);
  return {
    ok,
    minutes,
    devices,
    counts,
    crashes,
    before,
    highest,
    attacked,
    retainedByAttackers,
    after,
    cpuSeconds,
    loopLagMs,
    messages,
    latencyMs,
  };
}

/** Waits until the fleet is connected. */
async function connected(fleet: FleetServices, count: number): Promise<void> {
  const untilMs = performance.now() + connectMaxMs;
  while (performance.now() < untilMs) {
    if (gaugeOf(await fleet.metrics(), 'flotilla_connections') >= count) return;
    await pause(1000);
  }
  throw new Error('the fleet did not connect');
}

/** Waits until the broker has so few retained messages. @returns false if it did not happen in time */
async function retainedAtMost(fleet: FleetServices, count: number): Promise<boolean> {
  const untilMs = performance.now() + removedMaxMs;
  while (gaugeOf(await fleet.metrics(), 'flotilla_retained_messages') > count) {
    if (performance.now() > untilMs) return false;
    await pause(1000);
  }
  return true;
}

function gaugeOf(metrics: string, name: string): number {
  const line = metrics.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}

interface ServicesMemory {
  readonly broker: ProcessMemory;
  readonly enroll: ProcessMemory;
}

async function settledMemory({ broker, enroll }: FleetServices): Promise<ServicesMemory> {
  return {
    broker: await memoryAfterCollection(broker),
    enroll: await memoryAfterCollection(enroll),
  };
}

function hasReturned(before: ProcessMemory, after: ProcessMemory): boolean {
  const used = ({ heapUsedMiB, externalMiB }: ProcessMemory): number => heapUsedMiB + externalMiB;
  const most = 1 + memoryGrowthMax;
  return after.rssMiB <= before.rssMiB * most && used(after) <= used(before) * most;
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
