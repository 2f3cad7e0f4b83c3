/**
 * Whether a run is valid as a measurement: a simulator that sends late by itself measures itself.
 *
 * @module
 */
import type { RunStats } from '../stats/run-stats.ts';

/** When the p99 of the schedule error exceeds this, the simulator sent late by itself. */
const scheduleErrorMaxMs = 10;
/** The same for connections: a handshake takes milliseconds of CPU on both sides. */
const connectErrorMaxMs = 100;
/** When a worker was busy more than this share of the time on average, it had no capacity left. */
const loopBusyMax = 0.9;

export interface Validity {
  readonly valid: boolean;
  /** Sentences for the report; empty when the run is valid. */
  readonly invalidBecause: readonly string[];
}

/** Judges the run. Pure over the statistics. */
export function validityOf(stats: RunStats): Validity {
  const scheduleP99Ms = stats.totals.timer('scheduleError').percentiles().p99;
  const connectP99Ms = stats.totals.timer('connectScheduleError').percentiles().p99;
  const { mean } = stats.loopBusy();
  const invalidBecause = [
    ...(scheduleP99Ms > scheduleErrorMaxMs
      ? [`messages were sent late: p99 ${scheduleP99Ms} ms, limit ${scheduleErrorMaxMs} ms`]
      : []),
    ...(connectP99Ms > connectErrorMaxMs
      ? [`connections were started late: p99 ${connectP99Ms} ms, limit ${connectErrorMaxMs} ms`]
      : []),
    ...(mean > loopBusyMax ? [`a worker was busy ${Math.round(mean * 100)} % of the time`] : []),
  ];
  return { valid: invalidBecause.length === 0, invalidBecause };
}
