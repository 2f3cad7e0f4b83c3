/**
 * The report of a run. It is a public format: keys may be added, but existing ones stay.
 *
 * @module
 */
import type { Second } from '../stats/run-stats.ts';
import type { Distribution, Percentiles } from '../measure/histogram.ts';
import type { JudgedThreshold } from '../plan/threshold.ts';

/** Counts of messages in one direction. */
export interface MessageCounts {
  /** Sent by the publishers. */
  readonly published: number;
  readonly acknowledged: number;
  /** Messages that must be delivered: acknowledged (QoS 1 and 2) or sent (QoS 0), per receiver. */
  readonly expected: number;
  /** The expected messages that were received. */
  readonly delivered: number;
  readonly lost: number;
  readonly duplicated: number;
  /** Messages received with a wrong topic or by a wrong device. */
  readonly misdelivered: number;
}

export interface PhaseReport {
  readonly name: string;
  readonly phase: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Since the start of the run. */
  readonly atMs: number;
  readonly durationMs: number;
  /** False when a drill failed or the phase did not finish. */
  readonly ok: boolean;
  /** For drills. */
  readonly verdict: 'pass' | 'fail' | null;
  readonly evidence: readonly string[];
  readonly figures: Readonly<Record<string, number>>;
  readonly latencyMs: Readonly<Record<string, Percentiles>>;
  readonly errors: Readonly<Record<string, number>>;
}

export interface Report {
  readonly seed: string;
  readonly plan: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly durationMs: number;
  readonly devices: {
    readonly planned: number;
    readonly enrolled: number;
    /** Connected at least once. */
    readonly connected: number;
    readonly failed: number;
    readonly retired: number;
    /** Different public keys among the enrolled. */
    readonly distinctKeys: number;
  };
  /** Telemetry and commands together. */
  readonly messages: MessageCounts;
  readonly telemetry: MessageCounts;
  readonly commands: MessageCounts & { readonly undeliverable: number };
  readonly latencyMs: {
    readonly enroll: Percentiles;
    readonly handshake: Percentiles;
    readonly connect: Percentiles;
    readonly publishAck: Percentiles;
    readonly endToEnd: Percentiles;
    readonly handshakeResumed: Percentiles;
    readonly command: Percentiles;
    readonly roundtrip: Percentiles;
    readonly renew: Percentiles;
  };
  /** The shapes of the latencies that were measured, for plots. */
  readonly distributions: Readonly<Partial<Record<keyof Report['latencyMs'], Distribution>>>;
  readonly rates: {
    readonly enrollPerSecond: number;
    readonly connectPerSecond: number;
    readonly publishPerSecond: number;
  };
  readonly phases: readonly PhaseReport[];
  readonly thresholds: readonly JudgedThreshold[];
  readonly ok: boolean;
  /** Stopped by the user before the end of the plan. */
  readonly aborted: boolean;
  /** The error that ended the run early. */
  readonly failure: string | null;
  /** 8 hexadecimal digits in every payload of this run. */
  readonly run: string;
  readonly version: 1;
  readonly simulator: {
    /** False when the simulator sent late: the latencies are then not only the broker's. */
    readonly valid: boolean;
    readonly invalidBecause: readonly string[];
    /** `machine`: other processes used the CPU of this machine. `simulator`: it needs more CPU itself. */
    readonly invalidCause: 'none' | 'simulator' | 'machine';
    /** How late messages were sent, caused by the simulator. */
    readonly scheduleErrorMs: Percentiles;
    /** How late connections were started, caused by the simulator. */
    readonly connectScheduleErrorMs: Percentiles;
    /** Messages that devices could not send because they were not connected. */
    readonly missed: number;
    readonly workers: number;
    readonly cpuMs: number;
    readonly cpuPerMessageUs: number | null;
    readonly loopBusyMax: number;
    readonly loopBusyMean: number;
    readonly rssBytes: number;
    readonly rssPerDeviceBytes: number | null;
  };
  readonly broker: {
    readonly address: string;
    readonly local: boolean;
    readonly cpuMs: number | null;
    readonly cpuPerMessageUs: number | null;
    readonly rssBytes: number | null;
    readonly rssPeakBytes: number | null;
  };
  /** The machine of the controller; null where it cannot be measured. Shares are 0 to 1 of all cores. */
  readonly machine: {
    readonly cores: number | null;
    readonly busyShare: number | null;
    /** Used by processes that do not belong to this run. */
    readonly otherShare: number | null;
    /** Whether other processes took CPU that the run needed. */
    readonly contended: boolean;
  };
  readonly errors: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
  readonly series: readonly Second[];
}
