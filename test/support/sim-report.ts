/**
 * A report made from invented measurements, for tests of its renderings.
 *
 * @module
 */
import { settleAccount } from '../../device-sim/controller/accounting.ts';
import { reportOf, type Findings } from '../../device-sim/controller/verdict.ts';
import { Meter } from '../../device-sim/measure/meter.ts';
import { parsePlan } from '../../device-sim/plan/read-plan.ts';
import type { Report } from '../../device-sim/report/report-model.ts';
import { RunStats, type MachineUsage } from '../../device-sim/stats/run-stats.ts';

export interface InventedRun {
  readonly seconds?: number;
  /** Schedule error of each second, in ms. */
  readonly lateMs?: number;
  /** Busy cores of the machine, of 4; undefined: not known. */
  readonly busyCores?: number;
  /** Added to the errors of each second. */
  readonly error?: string;
  readonly thresholds?: readonly string[];
}

/** Statistics of a run in which the simulator and the broker use half a core each. */
export function inventedStats(run: InventedRun): RunStats {
  const { seconds = 30, lateMs = 1, busyCores, error } = run;
  let second = 0;
  const machine = (): MachineUsage | undefined =>
    busyCores === undefined
      ? undefined
      : { cores: 4, busyMs: second * busyCores * 1000, controllerMs: 0 };
  const broker = () => ({ cpuMs: second * 500, rssBytes: 50_000_000 });
  const stats = new RunStats(0, broker, machine);
  const worker = {};
  for (second = 1; second <= seconds; second++) {
    const meter = new Meter();
    meter.count('published', 100);
    meter.count('delivered', 100);
    for (let sample = 1; sample <= 20; sample++) meter.time('endToEnd', 500 * sample * second);
    meter.time('scheduleError', lateMs * 1000);
    if (error !== undefined) meter.fail(error);
    stats.addTick(worker, {
      atMs: second * 1000,
      meter: meter.take(),
      devices: { new: 0, enrolled: 0, connecting: 1, online: 20, offline: 2, failed: 0 },
      everOnline: 20,
      cpuMs: 500,
      rssBytes: 1e8,
      loopBusy: 0.5,
    });
    stats.closeSecond(second * 1000, second > 20 ? 2 : 0);
  }
  return stats;
}

/** The report of an invented run. */
export function inventedReport(run: InventedRun, overrides: Partial<Findings> = {}): Report {
  const stats = inventedStats(run);
  const plan = parsePlan(
    `name: shown\nfleet: [{ group: a, count: 20 }]\nphases: [{ phase: steady, duration: 10s }]\nthresholds: ${JSON.stringify(run.thresholds ?? [])}`,
  );
  return reportOf({
    plan,
    seed: '1',
    run: '00000000',
    startedAtMs: 0,
    durationMs: (run.seconds ?? 30) * 1000,
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
    phases: [
      {
        name: 'steady',
        phase: 'steady',
        startedAt: new Date(5000).toISOString(),
        atMs: 5000,
        durationMs: 10_000,
        ok: true,
        verdict: null,
        evidence: ['20 devices published for 10 s'],
        figures: {},
        latencyMs: { endToEnd: { p50: 1, p95: 2, p99: 80, max: 90, count: 10 } },
        errors: {},
      },
    ],
    brokerAddress: 'localhost:8883',
    workers: 1,
    idleRssBytes: 0,
    peakOnline: { devices: 20, rssBytes: 1e8 },
    aborted: false,
    failure: null,
    notes: [],
    ...overrides,
  });
}
