/**
 * The progress of a run, reported once a second and when a phase starts or ends. The command line
 * prints it.
 *
 * @module
 */
import type { DeviceState } from '../device/sim-device.ts';
import type { StandingThreshold } from '../plan/threshold.ts';
import type { Second } from '../stats/run-stats.ts';

export interface Progress {
  readonly kind: 'second' | 'phase-start' | 'phase-end' | 'note';
  /** Since the start of the run. */
  readonly atMs: number;
  readonly plan: string;
  readonly seed: string;
  /** The running phases, with their start since the start of the run. */
  readonly phases: readonly {
    readonly name: string;
    readonly sinceMs: number;
    readonly ofMs: number | undefined;
  }[];
  readonly planned: number;
  readonly connectedEver: number;
  readonly states: Readonly<Record<DeviceState, number>>;
  /** The last second; undefined in the first. */
  readonly second: Second | undefined;
  readonly totals: {
    readonly enrolled: number;
    readonly published: number;
    readonly acknowledged: number;
    readonly delivered: number;
    readonly duplicated: number;
    readonly misdelivered: number;
  };
  readonly errors: Readonly<Record<string, number>>;
  /** As of the last second. */
  readonly thresholds: readonly StandingThreshold[];
  /** For phase starts and ends, and notes. */
  readonly text: string;
}

/** One plain line, for logs and CI. */
export function progressLine(progress: Progress): string {
  const at = clock(progress.atMs);
  const { second, totals, planned } = progress;
  if (progress.kind !== 'second' || second === undefined) return `${at}  ${progress.text}`;
  const seconds = second.spanMs / 1000;
  const rate = (count: number): string => (count / seconds).toFixed(0);
  const phase = progress.phases.map(({ name }) => name).join(' + ') || 'between phases';
  const parts = [
    `${at}  ${phase}:`,
    `${second.devices.online}/${planned} online`,
    ...(second.enrolled > 0 ? [`${rate(second.enrolled)} enrolled/s`] : []),
    ...(second.connected > 0 ? [`${rate(second.connected)} connects/s`] : []),
    `${rate(second.published)} sent/s`,
    `${rate(second.delivered)} received/s`,
    ...(second.endToEnd === undefined
      ? []
      : [`end to end p50 ${ms(second.endToEnd.p50)} p99 ${ms(second.endToEnd.p99)}`]),
    `${totals.delivered} received in total`,
  ];
  const errors = Object.entries(second.errors);
  if (errors.length > 0) {
    parts.push(
      errors
        .slice(0, 3)
        .map(([reason, count]) => `${reason} ×${count}`)
        .join(', '),
    );
  }
  return parts.join('  ');
}

/** Milliseconds with three significant digits and the unit. */
export function ms(value: number): string {
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 100) return `${value.toFixed(0)} ms`;
  return `${value.toFixed(value >= 10 ? 1 : 2)} ms`;
}

/** A time since the start as `mm:ss`, or `h:mm:ss`. */
export function clock(atMs: number): string {
  const seconds = Math.floor(atMs / 1000);
  const two = (value: number): string => value.toString().padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${two(minutes)}:${two(seconds % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}
