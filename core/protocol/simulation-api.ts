/**
 * The simulator's part of the JSON API: runs that the service starts, and their reports.
 *
 * @module
 */
import { z } from 'zod';

const time = z.iso.datetime();
const count = z.int().min(0);

/** The largest plan, in bytes. */
export const simulationPlanMaxBytes = 256 * 1024;

export const simulationPlanSchema = z.strictObject({
  /** YAML, as `flotilla sim run` reads it. */
  plan: z.string().min(1).max(simulationPlanMaxBytes),
});

/** One second of a run, for plots. */
export const simulationPointSchema = z.object({
  /** Since the start of the run. */
  atMs: z.number().min(0),
  online: count,
  publishedPerSecond: z.number().min(0),
  deliveredPerSecond: z.number().min(0),
  /** From publisher to subscriber; null when nothing was measured. */
  endToEndP50Ms: z.number().nullable(),
  endToEndP99Ms: z.number().nullable(),
});
export type SimulationPoint = z.infer<typeof simulationPointSchema>;

export const simulationProgressSchema = z.object({
  atMs: z.number().min(0),
  /** The phases that run now; `ofMs` is null when the length is not known. */
  phases: z.array(z.object({ name: z.string(), sinceMs: z.number(), ofMs: z.number().nullable() })),
  planned: count,
  /** How many devices are in each state. */
  states: z.record(z.string(), count),
  totals: z.object({
    enrolled: count,
    published: count,
    acknowledged: count,
    delivered: count,
    duplicated: count,
    misdelivered: count,
  }),
  errors: z.record(z.string(), count),
  point: simulationPointSchema.nullable(),
});
export type SimulationProgress = z.infer<typeof simulationProgressSchema>;

/** `error`: the run ended early, or the service stopped while it ran. */
const outcomes = ['running', 'passed', 'failed', 'stopped', 'error'] as const;

export const simulationRunSchema = z.object({
  id: z.string(),
  /** The name in the plan. */
  plan: z.string(),
  devices: count,
  startedAt: time,
  startedBy: z.string(),
  endedAt: time.nullable(),
  outcome: z.enum(outcomes),
  /** Why it ended early. */
  failure: z.string().nullable(),
  hasReport: z.boolean(),
});
export type SimulationRun = z.infer<typeof simulationRunSchema>;

export const simulatorSchema = z.object({
  /** Whether this service can start runs. */
  available: z.boolean(),
  devicesMax: count,
  samples: z.array(z.object({ name: z.string(), description: z.string(), plan: z.string() })),
  /** Newest first. */
  runs: z.array(simulationRunSchema),
  /** What is known of the run in progress, oldest second first. */
  live: z
    .object({
      id: z.string(),
      progress: simulationProgressSchema.nullable(),
      points: z.array(simulationPointSchema),
    })
    .nullable(),
});

/** The data of a `simulation` event: a run begins, goes on, or has ended. */
export const simulationEventSchema = z.object({
  run: simulationRunSchema,
  progress: simulationProgressSchema.nullable(),
});

export const simulationCheckedSchema = z.object({
  ok: z.boolean(),
  name: z.string().nullable(),
  devices: count,
  phases: z.array(z.string()),
  error: z
    .object({ detail: z.string(), line: z.int().nullable(), column: z.int().nullable() })
    .nullable(),
});
export type SimulationChecked = z.infer<typeof simulationCheckedSchema>;

const percentiles = z.object({
  p50: z.number(),
  p95: z.number(),
  p99: z.number(),
  max: z.number(),
  count,
});

/** The main part of a report; the file has more. */
export const simulationReportSchema = z.object({
  run: simulationRunSchema,
  report: z.object({
    seed: z.string(),
    durationMs: z.number(),
    ok: z.boolean(),
    failure: z.string().nullable(),
    devices: z.object({ planned: count, enrolled: count, connected: count, failed: count }),
    messages: z.object({
      published: count,
      acknowledged: count,
      expected: count,
      delivered: count,
      lost: count,
      duplicated: count,
      misdelivered: count,
    }),
    latencyMs: z.record(z.string(), percentiles),
    rates: z.object({
      enrollPerSecond: z.number(),
      connectPerSecond: z.number(),
      publishPerSecond: z.number(),
    }),
    phases: z.array(
      z.object({
        name: z.string(),
        durationMs: z.number(),
        ok: z.boolean(),
        verdict: z.enum(['pass', 'fail']).nullable(),
        evidence: z.array(z.string()),
      }),
    ),
    thresholds: z.array(
      z.object({
        name: z.string(),
        limit: z.string(),
        value: z.number().nullable(),
        ok: z.boolean(),
      }),
    ),
    simulator: z.object({ valid: z.boolean(), invalidBecause: z.array(z.string()) }),
    errors: z.record(z.string(), count),
    notes: z.array(z.string()),
  }),
});
export type SimulationReport = z.infer<typeof simulationReportSchema>;

const comparedRun = z.object({
  plan: z.string(),
  seed: z.string(),
  startedAt: z.string(),
  ok: z.boolean(),
});
export const simulationComparisonSchema = z.object({
  a: comparedRun,
  b: comparedRun,
  /** Why the comparison may be misleading. */
  warnings: z.array(z.string()),
  figures: z.array(
    z.object({
      name: z.string(),
      a: z.number().nullable(),
      b: z.number().nullable(),
      changePercent: z.number().nullable(),
      verdict: z.enum(['better', 'worse', 'same', 'unknown']),
    }),
  ),
});
export type SimulationComparison = z.infer<typeof simulationComparisonSchema>;
