/**
 * Whether a run is valid as a measurement. A simulator that sends late measures itself; the cause may
 * be the simulator, or other processes that use the CPU of this machine.
 *
 * @module
 */
import type { Report } from '../report/report-model.ts';
import type { RunStats, Second } from '../stats/run-stats.ts';

/** When the p99 of the schedule error exceeds this, messages were sent late. */
const scheduleErrorMaxMs = 10;
/** The same for connections: a handshake takes milliseconds of CPU on both sides. */
const connectErrorMaxMs = 100;
/** When a worker was busy more than this share of the time on average, it had no capacity left. */
const loopBusyMax = 0.9;
/** From this share of busy cores on, processes have to wait for CPU. */
const machineBusyMin = 0.85;
/** From this share on, other processes matter. */
const otherShareMin = 0.25;

type Validity = Pick<Report['simulator'], 'valid' | 'invalidBecause' | 'invalidCause'>;

/** Judges the run. Pure over the statistics. */
export function validityOf(stats: RunStats): Validity {
  const scheduleP99Ms = stats.totals.timer('scheduleError').percentiles().p99;
  const connectP99Ms = stats.totals.timer('connectScheduleError').percentiles().p99;
  const { mean } = stats.loopBusy();
  const invalidBecause = [
    ...(scheduleP99Ms > scheduleErrorMaxMs
      ? [
          `messages were sent late: p99 ${Math.round(scheduleP99Ms)} ms, limit ${scheduleErrorMaxMs} ms`,
        ]
      : []),
    ...(connectP99Ms > connectErrorMaxMs
      ? [
          `connections were started late: p99 ${Math.round(connectP99Ms)} ms, limit ${connectErrorMaxMs} ms`,
        ]
      : []),
    ...(mean > loopBusyMax ? [`a worker was busy ${Math.round(mean * 100)} % of the time`] : []),
  ];
  const valid = invalidBecause.length === 0;
  const cause = machineOf(stats).contended ? 'machine' : 'simulator';
  return { valid, invalidBecause, invalidCause: valid ? 'none' : cause };
}

/**
 * How busy the machine was. Looks at the seconds in which messages were sent late, or at the whole run
 * when there are none. Pure over the statistics.
 */
export function machineOf(stats: RunStats): Report['machine'] {
  const { cores } = stats;
  const late = stats.seconds.filter(
    ({ scheduleError }) => (scheduleError?.p99 ?? 0) > scheduleErrorMaxMs,
  );
  const seconds = late.length > 0 ? late : stats.seconds;
  const busy = meanOf(seconds, ({ machineCpu }) => machineCpu);
  const other = meanOf(seconds, ({ otherCpu }) => otherCpu);
  if (cores === undefined || busy === undefined || other === undefined)
    return { cores: null, busyShare: null, otherShare: null, contended: false };
  const busyShare = shareOf(busy, cores);
  const otherShare = shareOf(other, cores);
  const contended = busyShare >= machineBusyMin && otherShare >= otherShareMin;
  return { cores, busyShare, otherShare, contended };
}

/** The mean over time; undefined when nothing was measured. */
function meanOf(
  seconds: readonly Second[],
  pick: (second: Second) => number | undefined,
): number | undefined {
  let sum = 0;
  let spanMs = 0;
  for (const second of seconds) {
    const value = pick(second);
    if (value === undefined) continue;
    sum += value * second.spanMs;
    spanMs += second.spanMs;
  }
  return spanMs === 0 ? undefined : sum / spanMs;
}

function shareOf(cpu: number, cores: number): number {
  return Math.round(Math.min(1, cpu / cores) * 1000) / 1000;
}
