/**
 * Thresholds: a figure of the report, a comparison, a number. `messages.lost <= 0`,
 * `latencyMs.endToEnd.p99 < 250`, `phases.storm.figures.lastBackMs <= 5s`. Durations are converted to ms.
 *
 * @module
 */
import { parseDuration } from '../../core/config/duration.ts';

export interface ThresholdComparison {
  /** The path of the figure in the report; phases are addressed by name. */
  readonly figure: string;
  readonly operator: '<=' | '>=' | '<' | '>' | '==';
  readonly limit: number;
}

/** A threshold, judged. */
export interface JudgedThreshold {
  readonly name: string;
  readonly limit: string;
  /** Null when the run did not produce the figure, which counts as missed. */
  readonly value: number | null;
  readonly ok: boolean;
}

/** A threshold while the run goes on. */
export interface StandingThreshold {
  readonly name: string;
  readonly limit: string;
  /** Null while there is no such figure. */
  readonly value: number | null;
  /** `open`: a figure that is known at the end only, or that may still reach its limit. */
  readonly state: 'pass' | 'fail' | 'open';
}

const comparison =
  /^([A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*)\s*(<=|>=|<|>|==)\s*(-?\d+(?:\.\d+)?)(?:\s*(ms|s|m|h|d))?$/;

/** Whether a text is a threshold. */
export function isComparison(text: string): boolean {
  return comparison.test(text.trim());
}

/** Parses a threshold; undefined for a text that {@link isComparison} rejects. */
export function parseComparison(text: string): ThresholdComparison | undefined {
  const found = comparison.exec(text.trim());
  if (found === null) return undefined;
  const [, figure = '', operator = '<=', digits = '0', unit] = found;
  const limit = unit === undefined ? Number(digits) : Number(digits) * parseDuration(`1${unit}`);
  return { figure, operator: operator as ThresholdComparison['operator'], limit };
}

/** Judges a threshold against a report. */
export function judgeThreshold(threshold: ThresholdComparison, report: object): JudgedThreshold {
  const value = figureOf(report, threshold.figure);
  return {
    name: threshold.figure,
    limit: `${threshold.operator} ${threshold.limit}`,
    value: value ?? null,
    ok: value !== undefined && holds(value, threshold),
  };
}

/** Judges a threshold while the run goes on. @param facts the figures so far, without those that are known at the end */
export function judgeSoFar(threshold: ThresholdComparison, facts: object): StandingThreshold {
  const { name, limit, value, ok } = judgeThreshold(threshold, facts);
  const isUpperLimit = threshold.operator === '<=' || threshold.operator === '<';
  const state = ok ? 'pass' : value !== null && isUpperLimit ? 'fail' : 'open';
  return { name, limit, value, state };
}

/** The number or boolean (1 or 0) at a path of a report; undefined when there is none. */
export function figureOf(report: object, path: string): number | undefined {
  let at: unknown = report;
  for (const step of path.split('.')) {
    if (Array.isArray(at)) {
      at = at.find((item: unknown) => isRecord(item) && item['name'] === step);
    } else if (isRecord(at) && Object.hasOwn(at, step)) {
      at = at[step];
    } else {
      return undefined;
    }
  }
  if (typeof at === 'boolean') return at ? 1 : 0;
  return typeof at === 'number' && Number.isFinite(at) ? at : undefined;
}

function holds(value: number, { operator, limit }: ThresholdComparison): boolean {
  switch (operator) {
    case '<=':
      return value <= limit;
    case '>=':
      return value >= limit;
    case '<':
      return value < limit;
    case '>':
      return value > limit;
    case '==':
      return value === limit;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
