/**
 * Compares two runs: which figures improved and which got worse.
 *
 * @module
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { figureOf } from '../plan/threshold.ts';

export interface ComparedFigure {
  readonly name: string;
  readonly a: number | null;
  readonly b: number | null;
  /** The change from A to B in percent; null when it cannot be computed. */
  readonly changePercent: number | null;
  /** Whether B is better; `same` within {@link noisePercent}. */
  readonly verdict: 'better' | 'worse' | 'same' | 'unknown';
}

/** Identifies a compared run. */
export interface ComparedRun {
  readonly plan: string;
  readonly seed: string;
  readonly startedAt: string;
  readonly ok: boolean;
}

export interface Comparison {
  readonly a: ComparedRun;
  readonly b: ComparedRun;
  /** Reasons why the comparison may be misleading. */
  readonly warnings: readonly string[];
  readonly figures: readonly ComparedFigure[];
}

/** Changes up to this percentage count as noise. */
export const noisePercent = 5;

const compared: readonly { readonly name: string; readonly good: 'more' | 'less' }[] = [
  { name: 'devices.connected', good: 'more' },
  { name: 'devices.failed', good: 'less' },
  { name: 'messages.lost', good: 'less' },
  { name: 'messages.misdelivered', good: 'less' },
  { name: 'messages.duplicated', good: 'less' },
  { name: 'rates.enrollPerSecond', good: 'more' },
  { name: 'rates.connectPerSecond', good: 'more' },
  { name: 'rates.publishPerSecond', good: 'more' },
  ...[
    'enroll',
    'handshake',
    'handshakeResumed',
    'connect',
    'publishAck',
    'endToEnd',
    'command',
    'renew',
  ].flatMap((timer) =>
    ['p50', 'p99'].map((part) => ({ name: `latencyMs.${timer}.${part}`, good: 'less' as const })),
  ),
  { name: 'broker.cpuPerMessageUs', good: 'less' },
  { name: 'broker.rssPeakBytes', good: 'less' },
  { name: 'simulator.cpuPerMessageUs', good: 'less' },
  { name: 'simulator.rssPerDeviceBytes', good: 'less' },
];

const sampleSchema = z.object({ p50: z.number(), p99: z.number() }).optional();

/** The parts of a report that a comparison uses. Reports of older versions have no distributions. */
const storedReportSchema = z.looseObject({
  plan: z.string(),
  seed: z.string(),
  startedAt: z.string(),
  ok: z.boolean(),
  version: z.literal(1),
  devices: z.looseObject({ planned: z.number() }),
  simulator: z.looseObject({
    valid: z.boolean(),
    invalidCause: z.enum(['none', 'simulator', 'machine']).optional(),
  }),
  broker: z.looseObject({ address: z.string() }),
  distributions: z
    .record(
      z.string(),
      z.object({
        buckets: z.array(z.tuple([z.number(), z.number(), z.number()]).readonly()).readonly(),
        percentiles: z.array(z.tuple([z.number(), z.number()]).readonly()).readonly(),
      }),
    )
    .optional(),
  series: z
    .array(
      z.object({
        atMs: z.number(),
        spanMs: z.number(),
        delivered: z.number(),
        endToEnd: sampleSchema,
        publishAck: sampleSchema,
      }),
    )
    .readonly()
    .optional(),
});
export type StoredReport = z.infer<typeof storedReportSchema>;

/** Compares two reports. Pure. */
export function comparisonOf(a: StoredReport, b: StoredReport): Comparison {
  const figures = compared.flatMap(({ name, good }) => {
    const [before, after] = [figureOf(a, name), figureOf(b, name)];
    // A latency without samples is 0 in the report and must not be compared.
    const counted = (report: StoredReport): boolean =>
      !name.startsWith('latencyMs.') ||
      (figureOf(report, name.replace(/\.p\d+$/, '.count')) ?? 0) > 0;
    const [x, y] = [counted(a) ? before : undefined, counted(b) ? after : undefined];
    return x === undefined && y === undefined ? [] : [compareFigure(name, good, x, y)];
  });
  return { a: headOf(a), b: headOf(b), warnings: warningsFor(a, b), figures };
}

/** The comparison as text, for a terminal. */
export function comparisonText({ a, b, warnings, figures }: Comparison): string {
  const widest = Math.max(...figures.map(({ name }) => name.length), 10);
  const cell = (value: number | null): string =>
    (value === null ? '–' : round(value).toString()).padStart(14);
  return [
    `A  ${a.plan}, seed ${a.seed}, ${a.startedAt}: ${a.ok ? 'passed' : 'FAILED'}`,
    `B  ${b.plan}, seed ${b.seed}, ${b.startedAt}: ${b.ok ? 'passed' : 'FAILED'}`,
    ...warnings.map((warning) => `!  ${warning}`),
    '',
    `${''.padEnd(widest)}${'A'.padStart(14)}${'B'.padStart(14)}      change`,
    ...figures.map(({ name, a: before, b: after, changePercent, verdict }) => {
      const change =
        changePercent === null
          ? ''
          : `${changePercent > 0 ? '+' : ''}${changePercent.toFixed(1)} %`;
      const word = verdict === 'same' || verdict === 'unknown' ? '' : verdict;
      return `${name.padEnd(widest)}${cell(before)}${cell(after)}${change.padStart(12)}  ${word}`.trimEnd();
    }),
    '',
  ].join('\n');
}

/** Reads `report.json`, or the one in a folder. @throws FlotillaError `sim-report-unreadable` */
export async function readReport(path: string): Promise<StoredReport> {
  try {
    const file = (await stat(path)).isDirectory() ? join(path, 'report.json') : path;
    return storedReportSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    const why = error instanceof z.ZodError ? 'it is not a report' : messageOf(error);
    throw new FlotillaError('sim-report-unreadable', { detail: `${path}: ${why}`, cause: error });
  }
}

function compareFigure(
  name: string,
  good: 'more' | 'less',
  a: number | undefined,
  b: number | undefined,
): ComparedFigure {
  if (a === undefined || b === undefined) {
    return { name, a: a ?? null, b: b ?? null, changePercent: null, verdict: 'unknown' };
  }
  const changePercent = a === 0 ? (b === 0 ? 0 : null) : ((b - a) / a) * 100;
  const small = changePercent === null ? false : Math.abs(changePercent) <= noisePercent;
  const improved = good === 'more' ? b > a : b < a;
  return { name, a, b, changePercent, verdict: small ? 'same' : improved ? 'better' : 'worse' };
}

function warningsFor(a: StoredReport, b: StoredReport): string[] {
  return [
    ...(a.plan === b.plan ? [] : ['the plans have different names']),
    ...(a.devices.planned === b.devices.planned ? [] : ['the fleets differ in size']),
    ...(a.seed === b.seed ? [] : ['the seeds differ, so the traffic was not the same']),
    ...[a, b].flatMap(({ simulator }, index) =>
      simulator.valid
        ? []
        : [
            `${index === 0 ? 'A' : 'B'} is not valid as a measurement: ${
              simulator.invalidCause === 'machine'
                ? 'the machine was busy with other processes'
                : 'the simulator itself was the bottleneck'
            }`,
          ],
    ),
  ];
}

function headOf({ plan, seed, startedAt, ok }: StoredReport): ComparedRun {
  return { plan, seed, startedAt, ok };
}

function round(value: number): number {
  return Math.abs(value) >= 1000 ? Math.round(value) : Math.round(value * 1000) / 1000;
}
