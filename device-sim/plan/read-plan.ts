/**
 * Reads plans from YAML, with errors that name line and column, or makes them from a few numbers.
 *
 * @module
 */
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import {
  isCollection,
  isNode,
  isPair,
  isScalar,
  LineCounter,
  parseDocument,
  type Document,
} from 'yaml';
import { z } from 'zod';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { faultOf } from '../../core/issue-text.ts';
import { repeatedKey } from '../../core/repeated-key.ts';
import { settingSuggestion } from '../../core/setting-suggestion.ts';
import { checkedPlanSchema } from './checked-plan.ts';
import type { GroupSpec } from './fleet-schema.ts';
import { planSchema, type Plan } from './plan-schema.ts';
import { newSeed } from './seed.ts';

/** The largest accepted plan, in bytes. */
export const planMaxBytes = 1024 * 1024;

/** The parameters of a run without a plan file. */
export interface QuickNumbers {
  readonly devices: number;
  readonly durationMs: number;
  readonly ratePerSecond: number;
  readonly qos: 0 | 1 | 2;
  readonly seed?: string | undefined;
  readonly client?: GroupSpec['client'] | undefined;
}

/**
 * The plan of `flotilla sim run --devices …`: all devices enroll, connect and publish for the duration.
 * No message may be lost or misdelivered, and every device must connect.
 *
 * @throws FlotillaError `plan-invalid` when a number is out of range
 */
export function quickPlan(numbers: QuickNumbers): Plan {
  const seed = numbers.seed ?? newSeed();
  const lossless = numbers.qos > 0;
  return checkPlan({
    name: 'quick',
    seed,
    fleet: [
      {
        group: 'sim',
        count: numbers.devices,
        id: 'sim-{seed}-{n}',
        client: numbers.client ?? 'mqttjs',
        publish: [{ qos: numbers.qos, rate: numbers.ratePerSecond }],
      },
    ],
    phases: [
      { phase: 'enroll' },
      { phase: 'ramp', rate: Math.max(20, Math.min(200, numbers.devices / 5)) },
      { phase: 'steady', duration: `${Math.max(1, Math.round(numbers.durationMs))}ms` },
    ],
    thresholds: [
      'devices.failed <= 0',
      ...(lossless ? ['messages.lost <= 0'] : []),
      'messages.misdelivered <= 0',
    ],
  });
}

/**
 * Reads a plan from a file. Paths in it (replay files) are relative to its folder.
 *
 * @throws FlotillaError `plan-unreadable`, `plan-invalid`: naming line and column
 */
export async function readPlan(path: string): Promise<Plan> {
  let text: string;
  try {
    if ((await stat(path)).size > planMaxBytes) throw new Error('larger than 1 MiB');
    text = await readFile(path, 'utf8');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new FlotillaError('plan-unreadable', { detail: `${path}: ${why}`, cause: error });
  }
  return withFilesFrom(parsePlan(text, path), dirname(resolve(path)));
}

/**
 * Reads a plan from YAML text.
 *
 * @param label the name of the text in errors
 * @throws FlotillaError `plan-unreadable`, `plan-invalid`: naming line and column
 */
export function parsePlan(text: string, label = 'plan'): Plan {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: false,
    prettyErrors: false,
  });
  const [fault] = document.errors;
  if (fault !== undefined) {
    const { line, col } = lines.linePos(fault.pos[0]);
    throw new FlotillaError('plan-unreadable', {
      detail: `${label}:${line}:${col}: ${fault.message}`,
    });
  }
  const repeated = repeatedKey(document);
  if (repeated !== undefined) {
    const { line, col } = lines.linePos(repeated);
    throw new FlotillaError('plan-unreadable', {
      detail: `${label}:${line}:${col}: Map keys must be unique`,
    });
  }
  let content: unknown;
  try {
    content = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new FlotillaError('plan-unreadable', {
      detail: `${label}: too many aliases`,
      cause: error,
    });
  }
  const result = checkedPlanSchema.safeParse(content);
  if (result.success) return result.data;
  const details = result.error.issues.slice(0, 10).map((issue) => {
    const { path, text: fault, unknownKey } = faultOf(issue);
    const { line, col } = lines.linePos(offsetOf(document, path, unknownKey !== undefined));
    const place = path.length === 0 ? '(top)' : path.join('.');
    const hint = unknownKey === undefined ? '' : settingSuggestion(planSchema, path);
    return `${label}:${line}:${col}: ${place}: ${fault}${hint}`;
  });
  throw new FlotillaError('plan-invalid', { detail: details.join('; ') });
}

/** Checks a plan that a program made. @throws FlotillaError `plan-invalid` */
export function checkPlan(content: unknown): Plan {
  const result = checkedPlanSchema.safeParse(content);
  if (result.success) return result.data;
  const details = result.error.issues.slice(0, 10).map((issue) => {
    const { path, text } = faultOf(issue);
    return `${path.join('.') || '(top)'}: ${text}`;
  });
  throw new FlotillaError('plan-invalid', { detail: details.join('; ') });
}

/** The JSON Schema of a plan file, published as docs/plan.schema.json. */
export function planJsonSchema(): object {
  return {
    ...z.toJSONSchema(planSchema, { io: 'input', target: 'draft-2020-12' }),
    $id: 'urn:flotilla:plan',
    title: 'Flotilla simulation plan',
  };
}

/** The position of a setting's value or key in the text; that of its parent when it is missing. */
function offsetOf(document: Document, path: readonly PropertyKey[], atKey: boolean): number {
  for (let length = path.length; length > 0; length--) {
    const part = path.slice(0, length);
    const node: unknown = document.getIn(part, true);
    if (!isNode(node) || !node.range) continue;
    return atKey && length === path.length ? keyOffset(document, part) : node.range[0];
  }
  return isNode(document.contents) ? (document.contents.range?.[0] ?? 0) : 0;
}

function keyOffset(document: Document, path: readonly PropertyKey[]): number {
  const parent: unknown =
    path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  for (const item of isCollection(parent) ? parent.items : []) {
    const key = isPair(item) && isScalar(item.key) ? item.key : undefined;
    if (key?.value === path.at(-1) && key?.range) return key.range[0];
  }
  return 0;
}

function withFilesFrom(plan: Plan, folder: string): Plan {
  const fleet = plan.fleet.map((group) => ({
    ...group,
    publish: group.publish.map((publish) =>
      publish.payload.kind === 'replay'
        ? {
            ...publish,
            payload: { ...publish.payload, file: resolve(folder, publish.payload.file) },
          }
        : publish,
    ),
  }));
  return { ...plan, fleet };
}
