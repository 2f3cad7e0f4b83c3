/** The lines that `flotilla sim run --progress json` writes, one for each second. @module */
import { z } from 'zod';
import type { SimulationProgress } from '../../core/protocol/simulation-api.ts';
import type { Progress } from '../../device-sim/view/progress.ts';

const count = z.int().min(0);
const percentiles = z.object({ p50: z.number(), p99: z.number() }).optional();

/** The part of {@link Progress} that the console shows. */
const lineSchema = z.object({
  atMs: z.number().min(0),
  phases: z.array(z.object({ name: z.string(), sinceMs: z.number(), ofMs: z.number().optional() })),
  planned: count,
  states: z.record(z.string(), count),
  second: z
    .object({
      atMs: z.number().min(0),
      spanMs: z.number().positive(),
      published: count,
      delivered: count,
      devices: z.looseObject({ online: count }),
      endToEnd: percentiles,
    })
    .optional(),
  totals: z.object({
    enrolled: count,
    published: count,
    acknowledged: count,
    delivered: count,
    duplicated: count,
    misdelivered: count,
  }),
  errors: z.record(z.string(), count),
});

/** One line of JSON. */
export function progressJson(progress: Progress): string {
  return JSON.stringify(progress);
}

/** The progress that a line contains; undefined for other lines. */
export function simulationProgressOf(line: string): SimulationProgress | undefined {
  let content: unknown;
  try {
    content = JSON.parse(line);
  } catch {
    return undefined;
  }
  const parsed = lineSchema.safeParse(content);
  if (!parsed.success) return undefined;
  const { phases, second, ...same } = parsed.data;
  return {
    ...same,
    phases: phases.map(({ name, sinceMs, ofMs }) => ({ name, sinceMs, ofMs: ofMs ?? null })),
    point:
      second === undefined
        ? null
        : {
            atMs: second.atMs,
            online: second.devices.online,
            publishedPerSecond: (second.published * 1000) / second.spanMs,
            deliveredPerSecond: (second.delivered * 1000) / second.spanMs,
            endToEndP50Ms: second.endToEnd?.p50 ?? null,
            endToEndP99Ms: second.endToEnd?.p99 ?? null,
          },
  };
}
