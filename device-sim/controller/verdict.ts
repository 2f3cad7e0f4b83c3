/**
 * Makes the report of a run from its measurements, and judges its thresholds.
 *
 * @module
 */
import { timerNames } from '../measure/meter.ts';
import type { FleetState } from '../phases/phase-context.ts';
import type { Plan } from '../plan/plan-schema.ts';
import {
  judgeSoFar,
  judgeThreshold,
  parseComparison,
  type JudgedThreshold,
  type StandingThreshold,
  type ThresholdComparison,
} from '../plan/threshold.ts';
import type { MessageCounts, PhaseReport, Report } from '../report/report-model.ts';
import type { RunStats } from '../stats/run-stats.ts';
import { settleAccount, sumOf, type Account } from './accounting.ts';
import { machineOf, validityOf } from './validity.ts';

/** With fewer devices, the memory of the process itself hides theirs. */
const devicesForMemoryMin = 200;

export interface Findings {
  readonly plan: Plan;
  readonly seed: string;
  readonly run: string;
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly stats: RunStats;
  readonly fleet: FleetState;
  readonly planned: number;
  readonly account: Account;
  readonly phases: readonly PhaseReport[];
  readonly brokerAddress: string;
  readonly workers: number;
  /** Memory of the device workers before any device connects, to compute the cost of a device. */
  readonly idleRssBytes: number;
  readonly peakOnline: { readonly devices: number; readonly rssBytes: number };
  readonly aborted: boolean;
  readonly failure: string | null;
  readonly notes: readonly string[];
}

/** Makes the report. Pure over the findings. */
export function reportOf(findings: Findings): Report {
  const { plan, stats, account, phases } = findings;
  const facts = {
    seed: findings.seed,
    plan: plan.name,
    startedAt: new Date(findings.startedAtMs).toISOString(),
    durationMs: Math.round(findings.durationMs),
    devices: devicesOf(findings),
    messages: sumOf(account.telemetry, account.commands),
    telemetry: account.telemetry,
    commands: account.commands,
    latencyMs: latenciesOf(stats),
    distributions: distributionsOf(stats),
    rates: ratesOf(phases, stats.totals.counter('published')),
    phases,
    aborted: findings.aborted,
    failure: findings.failure,
    run: findings.run,
    version: 1 as const,
    simulator: simulatorOf(findings),
    broker: brokerOf(findings),
    machine: machineOf(stats),
    errors: stats.totals.errors(),
    notes: findings.notes,
    series: stats.seconds,
  };
  const thresholds = [
    ...comparisonsOf(plan).map((one) => judgeThreshold(one, facts)),
    ...drillThresholds(phases),
  ];
  const ok =
    !findings.aborted &&
    findings.failure === null &&
    phases.every((phase) => phase.ok) &&
    thresholds.every((threshold) => threshold.ok);
  return { ...facts, thresholds, ok };
}

/**
 * The thresholds and drills of a run that goes on. Without an account of all workers, nobody knows yet which messages are
 * lost.
 */
export function standingOf(
  findings: Pick<Findings, 'plan' | 'stats' | 'fleet' | 'planned' | 'phases' | 'durationMs'>,
): StandingThreshold[] {
  const { plan, stats, phases } = findings;
  const { telemetry, commands } = settleAccount([], [], stats.totals);
  const facts = {
    durationMs: findings.durationMs,
    devices: devicesOf(findings),
    messages: countedSoFar(sumOf(telemetry, commands)),
    telemetry: countedSoFar(telemetry),
    commands: countedSoFar(commands),
    latencyMs: latenciesOf(stats),
    phases,
    errors: stats.totals.errors(),
  };
  const thresholds = comparisonsOf(plan).map((one) => judgeSoFar(one, facts));
  const drills = drillThresholds(phases).map(({ name, limit, value, ok }): StandingThreshold => ({
    ...{ name, limit, value },
    state: ok ? 'pass' : 'fail',
  }));
  return [...thresholds, ...drills];
}

function countedSoFar({
  published,
  acknowledged,
  duplicated,
  misdelivered,
}: MessageCounts): object {
  return { published, acknowledged, duplicated, misdelivered };
}

function devicesOf({
  fleet,
  planned,
  stats,
}: Pick<Findings, 'fleet' | 'planned' | 'stats'>): Report['devices'] {
  return {
    planned,
    enrolled: fleet.enrolled,
    connected: stats.everOnline(),
    failed: fleet.failed.size,
    retired: fleet.retired.size,
    distinctKeys: fleet.keys.size,
  };
}

function latenciesOf({ totals }: RunStats): Report['latencyMs'] {
  const percentiles = (name: keyof Report['latencyMs']) => totals.timer(name).percentiles();
  return {
    enroll: percentiles('enroll'),
    handshake: percentiles('handshake'),
    connect: percentiles('connect'),
    publishAck: percentiles('publishAck'),
    endToEnd: percentiles('endToEnd'),
    handshakeResumed: percentiles('handshakeResumed'),
    command: percentiles('command'),
    roundtrip: percentiles('roundtrip'),
    renew: percentiles('renew'),
  };
}

function distributionsOf({ totals }: RunStats): Report['distributions'] {
  return Object.fromEntries(
    timerNames
      .filter((name) => !name.endsWith('cheduleError') && totals.timer(name).count > 0)
      .map((name) => [name, totals.timer(name).distribution()]),
  );
}

function simulatorOf(findings: Findings): Report['simulator'] {
  const { stats, account, phases, peakOnline } = findings;
  const busy = stats.loopBusy();
  const cpuMs = trafficCpuMs(stats, phases, 'simulatorCpu') ?? stats.cpuMs;
  return {
    ...validityOf(stats),
    scheduleErrorMs: stats.totals.timer('scheduleError').percentiles(),
    connectScheduleErrorMs: stats.totals.timer('connectScheduleError').percentiles(),
    missed: stats.totals.counter('missed'),
    workers: findings.workers,
    cpuMs: Math.round(stats.cpuMs),
    cpuPerMessageUs: cpuPerMessageUs(cpuMs, account),
    loopBusyMax: round(busy.max),
    loopBusyMean: round(busy.mean),
    rssBytes: stats.rssBytes(),
    rssPerDeviceBytes:
      peakOnline.devices < devicesForMemoryMin
        ? null
        : Math.max(
            0,
            Math.round((peakOnline.rssBytes - findings.idleRssBytes) / peakOnline.devices),
          ),
  };
}

function brokerOf({ stats, account, phases, brokerAddress }: Findings): Report['broker'] {
  const cpuMs = stats.brokerCpuMs ?? null;
  const rss = stats.seconds.flatMap(({ brokerRssBytes }) => brokerRssBytes ?? []);
  return {
    address: brokerAddress,
    local: cpuMs !== null,
    cpuMs: cpuMs === null ? null : Math.round(cpuMs),
    cpuPerMessageUs: cpuPerMessageUs(trafficCpuMs(stats, phases, 'brokerCpu') ?? cpuMs, account),
    rssBytes: rss.at(-1) ?? null,
    rssPeakBytes: rss.length === 0 ? null : Math.max(...rss),
  };
}

function cpuPerMessageUs(cpuMs: number | null, { telemetry, commands }: Account): number | null {
  const { delivered, duplicated } = sumOf(telemetry, commands);
  const messages = delivered + duplicated;
  return cpuMs === null || messages === 0 ? null : round((cpuMs * 1000) / messages);
}

/** The thresholds of a plan that has none. */
function defaultThresholds(plan: Plan): string[] {
  const lossless = plan.fleet.every(({ publish }) => publish.every(({ qos }) => qos > 0));
  return [
    'devices.failed <= 0',
    ...(lossless && plan.run.observers > 0 ? ['messages.lost <= 0'] : []),
    'messages.misdelivered <= 0',
  ];
}

function comparisonsOf(plan: Plan): ThresholdComparison[] {
  return (plan.thresholds ?? defaultThresholds(plan)).flatMap(
    (text) => parseComparison(text) ?? [],
  );
}

/** Each drill counts as a threshold. */
function drillThresholds(phases: readonly PhaseReport[]): JudgedThreshold[] {
  return phases
    .filter(({ verdict }) => verdict !== null)
    .map(({ name, verdict }) => ({
      name: `drill ${name}`,
      limit: 'pass',
      value: verdict === 'pass' ? 1 : 0,
      ok: verdict === 'pass',
    }));
}

/** CPU of the phases that send and receive messages: connecting has a cost of its own. */
function trafficCpuMs(
  stats: RunStats,
  phases: readonly PhaseReport[],
  which: 'simulatorCpu' | 'brokerCpu',
): number | undefined {
  const windows = phases.filter(({ phase }) =>
    ['steady', 'soak', 'burst', 'command-roundtrip'].includes(phase),
  );
  if (windows.length === 0) return undefined;
  let sum = 0;
  for (const second of stats.seconds) {
    const share = second[which];
    const inside = windows.some(
      ({ atMs, durationMs }) =>
        second.atMs > atMs && second.atMs - second.spanMs < atMs + durationMs,
    );
    if (!inside) continue;
    if (share === undefined) return undefined;
    sum += share * second.spanMs;
  }
  return sum;
}

function ratesOf(phases: readonly PhaseReport[], published: number): Report['rates'] {
  const per = (kinds: readonly string[], figure: string): number => {
    const found = phases.filter(
      ({ phase, figures }) => kinds.includes(phase) && (figures[figure] ?? 0) > 0,
    );
    const count = found.reduce((sum, { figures }) => sum + (figures[figure] ?? 0), 0);
    const seconds = found.reduce(
      (sum, { figures }) =>
        sum + (figures[figure] ?? 0) / Math.max(0.001, figures['perSecond'] ?? 0.001),
      0,
    );
    return seconds === 0 ? 0 : round(count / seconds);
  };
  const traffic = phases.filter(({ phase }) => ['steady', 'soak', 'burst'].includes(phase));
  const seconds = traffic.reduce((sum, { durationMs }) => sum + durationMs / 1000, 0);
  return {
    enrollPerSecond: per(['enroll'], 'enrolled'),
    connectPerSecond: per(['ramp'], 'connected'),
    publishPerSecond: seconds === 0 ? 0 : round(published / seconds),
  };
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
