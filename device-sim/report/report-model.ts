/**
 * The report of a run. The first keys are what others rely on; the rest was added and may grow.
 *
 * @module
 */
import type { Second } from '../stats/run-stats.ts';
import type { Percentiles } from '../measure/histogram.ts';
import type { JudgedThreshold } from '../plan/threshold.ts';

/** Counts of messages one way. */
export interface MessageCounts {
  /** Handed to the network by the sender. */
  readonly published: number;
  readonly acknowledged: number;
  /** What receivers must have: acknowledged for QoS 1 and 2, sent for QoS 0; once for each receiver. */
  readonly expected: number;
  /** Of these, what they had. */
  readonly delivered: number;
  readonly lost: number;
  readonly duplicated: number;
  /** Arrived under a topic, or at a device, that it was not meant for. */
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
  /** False when a drill failed or the phase could not end. */
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
  readonly rates: {
    readonly enrollPerSecond: number;
    readonly connectPerSecond: number;
    readonly publishPerSecond: number;
  };
  readonly phases: readonly PhaseReport[];
  readonly thresholds: readonly JudgedThreshold[];
  readonly ok: boolean;
  /** Ended by a person before its time. */
  readonly aborted: boolean;
  /** The error that ended the run before its time. */
  readonly failure: string | null;
  /** 8 hexadecimal digits in every payload of this run. */
  readonly run: string;
  readonly version: 1;
  readonly simulator: {
    /** False when the simulator itself was the bottleneck: the latencies are not the broker's alone. */
    readonly valid: boolean;
    readonly invalidBecause: readonly string[];
    /** How late messages left by the simulator's own doing. */
    readonly scheduleErrorMs: Percentiles;
    /** How late connections were begun by it. */
    readonly connectScheduleErrorMs: Percentiles;
    /** Messages that devices could not send at their time because they were not connected. */
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
  readonly errors: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
  readonly series: readonly Second[];
}
