/**
 * The report out of what was measured, and the judgement over it.
 *
 * @module
 */
import type { RunStats } from '../stats/run-stats.ts';
import { judgeThreshold, parseComparison, type JudgedThreshold } from '../plan/threshold.ts';
import type { Plan } from '../plan/plan-schema.ts';
import type { PhaseReport, Report } from '../report/report-model.ts';
import type { FleetState } from '../phases/phase-context.ts';
import { sumOf, type Account } from './accounting.ts';

/** Above this p99 of the schedule error the simulator was late itself. */
export const scheduleErrorMaxMs = 10;
/** The same for connections: a handshake takes milliseconds of CPU on both sides. */
const connectErrorMaxMs = 100;
/** Above this share of busy time on average a worker had no room left. */
export const loopBusyMax = 0.9;
/** With fewer devices the memory of the process itself hides theirs. */
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
  /** Memory of one worker that carries nothing, in bytes; to tell what a device costs. */
  readonly idleRssBytes: number;
  readonly peakOnline: { readonly devices: number; readonly rssBytes: number };
  readonly aborted: boolean;
  readonly failure: string | null;
  readonly notes: readonly string[];
}

/** Makes the report. Pure over the findings. */
export function reportOf(findings: Findings): Report {
  const { plan, stats, fleet, account, phases } = findings;
  const { totals } = stats;
  const messages = sumOf(account.telemetry, account.commands);
  const moved = messages.delivered + messages.duplicated;
  const percentiles = (name: Parameters<typeof totals.timer>[0]) =>
    totals.timer(name).percentiles();
  const scheduleErrorMs = percentiles('scheduleError');
  const busy = stats.loopBusy();
  const connectScheduleErrorMs = percentiles('connectScheduleError');
  const invalidBecause = bottlenecks(scheduleErrorMs.p99, connectScheduleErrorMs.p99, busy.mean);
  const brokerCpuMs = stats.brokerCpuMs ?? null;
  const brokerRss = stats.columns.flatMap(({ brokerRssBytes }) => brokerRssBytes ?? []);
  const { peakOnline } = findings;
  const perMessage = (cpuMs: number | null): number | null =>
    cpuMs === null || moved === 0 ? null : round((cpuMs * 1000) / moved);
  const facts = {
    seed: findings.seed,
    plan: plan.name,
    startedAt: new Date(findings.startedAtMs).toISOString(),
    durationMs: Math.round(findings.durationMs),
    devices: {
      planned: findings.planned,
      enrolled: fleet.enrolled,
      connected: stats.everOnline(),
      failed: fleet.failed.size,
      retired: fleet.retired.size,
      distinctKeys: fleet.keys.size,
    },
    messages,
    telemetry: account.telemetry,
    commands: account.commands,
    latencyMs: {
      enroll: percentiles('enroll'),
      handshake: percentiles('handshake'),
      connect: percentiles('connect'),
      publishAck: percentiles('publishAck'),
      endToEnd: percentiles('endToEnd'),
      handshakeResumed: percentiles('handshakeResumed'),
      command: percentiles('command'),
      roundtrip: percentiles('roundtrip'),
      renew: percentiles('renew'),
    },
    rates: ratesOf(phases, totals.counter('published')),
    phases,
    aborted: findings.aborted,
    failure: findings.failure,
    run: findings.run,
    version: 1 as const,
    simulator: {
      valid: invalidBecause.length === 0,
      invalidBecause,
      scheduleErrorMs,
      connectScheduleErrorMs,
      missed: totals.counter('missed'),
      workers: findings.workers,
      cpuMs: Math.round(stats.cpuMs),
      cpuPerMessageUs: perMessage(trafficCpuMs(stats, phases, 'simulatorCpu') ?? stats.cpuMs),
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
    },
    broker: {
      address: findings.brokerAddress,
      local: brokerCpuMs !== null,
      cpuMs: brokerCpuMs === null ? null : Math.round(brokerCpuMs),
      cpuPerMessageUs: perMessage(trafficCpuMs(stats, phases, 'brokerCpu') ?? brokerCpuMs),
      rssBytes: brokerRss.at(-1) ?? null,
      rssPeakBytes: brokerRss.length === 0 ? null : Math.max(...brokerRss),
    },
    errors: totals.errors(),
    notes: findings.notes,
    series: stats.columns,
  };
  const thresholds = [...judgeAll(plan, facts), ...drillThresholds(phases)];
  const ok =
    !findings.aborted &&
    findings.failure === null &&
    phases.every((phase) => phase.ok) &&
    thresholds.every((threshold) => threshold.ok);
  return { ...facts, thresholds, ok };
}

/** What a plan without thresholds is held to. */
export function usualThresholds(plan: Plan): string[] {
  const lossless = plan.fleet.every(({ publish }) => publish.every(({ qos }) => qos > 0));
  return [
    'devices.failed <= 0',
    ...(lossless && plan.run.observers > 0 ? ['messages.lost <= 0'] : []),
    'messages.misdelivered <= 0',
  ];
}

function judgeAll(plan: Plan, facts: object): JudgedThreshold[] {
  return (plan.thresholds ?? usualThresholds(plan)).flatMap((text) => {
    const comparison = parseComparison(text);
    return comparison === undefined ? [] : [judgeThreshold(comparison, facts)];
  });
}

/** Each drill is a threshold of its own. */
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

function bottlenecks(
  scheduleErrorP99Ms: number,
  connectErrorP99Ms: number,
  loopBusyMean: number,
): string[] {
  return [
    ...(scheduleErrorP99Ms > scheduleErrorMaxMs
      ? [
          `messages left late by the simulator's own doing: p99 ${scheduleErrorP99Ms} ms, more than ${scheduleErrorMaxMs} ms`,
        ]
      : []),
    ...(connectErrorP99Ms > connectErrorMaxMs
      ? [
          `connections were begun late by the simulator's own doing: p99 ${connectErrorP99Ms} ms, more than ${connectErrorMaxMs} ms`,
        ]
      : []),
    ...(loopBusyMean > loopBusyMax
      ? [`a worker was busy ${Math.round(loopBusyMean * 100)} % of the time`]
      : []),
  ];
}

/** CPU of what sends and receives messages only: connecting has its own price. */
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
  for (const second of stats.columns) {
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
