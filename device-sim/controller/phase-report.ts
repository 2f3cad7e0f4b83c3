/**
 * The part of the report about one phase.
 *
 * @module
 */
import { isFlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import type { Percentiles } from '../measure/histogram.ts';
import { timerNames, type Meter } from '../measure/meter.ts';
import type { PhaseOutcome } from '../phases/phase-context.ts';
import type { PhaseSpec } from '../plan/phase-schema.ts';
import type { PhaseReport } from '../report/report-model.ts';

export interface PhaseFacts {
  readonly name: string;
  readonly spec: PhaseSpec;
  readonly runStartedAtMs: number;
  /** Since the start of the run. */
  readonly sinceMs: number;
  readonly durationMs: number;
  readonly meter: Meter;
  /** Undefined when the phase failed or was stopped. */
  readonly outcome: PhaseOutcome | undefined;
  readonly fault: unknown;
  readonly aborted: boolean;
}

/** Phases that pass or fail: a drill that ends early has not passed. */
const drills: ReadonlySet<PhaseSpec['phase']> = new Set([
  'revocation-drill',
  'clone-attack',
  'acl-probe',
  'bad-certificates',
  'slow-readers',
  'half-open',
  'command-roundtrip',
  'offline-queue',
  'reconnect-storm',
  'mass-renewal',
]);

export function phaseReportOf(facts: PhaseFacts): PhaseReport {
  const { name, spec, sinceMs, meter, outcome, fault, aborted } = facts;
  const evidence = [...(outcome?.evidence ?? [])];
  if (outcome === undefined) {
    if (aborted) evidence.push('stopped early');
    else evidence.push(isFlotillaError(fault) ? fault.message : messageOf(fault));
  }
  const passed = outcome?.passed ?? (outcome !== undefined && !drills.has(spec.phase));
  const latencyMs: Record<string, Percentiles> = {};
  for (const timer of timerNames) {
    const percentiles = meter.timer(timer).percentiles();
    if (percentiles.count > 0) latencyMs[timer] = percentiles;
  }
  return {
    name,
    phase: spec.phase,
    startedAt: new Date(facts.runStartedAtMs + sinceMs).toISOString(),
    atMs: Math.round(sinceMs),
    durationMs: Math.round(facts.durationMs),
    ok: passed,
    verdict: drills.has(spec.phase) ? (passed ? 'pass' : 'fail') : null,
    evidence,
    figures: outcome?.figures ?? {},
    latencyMs,
    errors: meter.errors(),
  };
}
