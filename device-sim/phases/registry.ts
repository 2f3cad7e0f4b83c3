/**
 * Which phase is run by what.
 *
 * @module
 */
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { PhaseSpec } from '../plan/plan-schema.ts';
import { runEnroll } from './enroll-phase.ts';
import { runPause, runRamp, runTraffic } from './load-phases.ts';
import type { PhaseContext, PhaseOutcome } from './phase-context.ts';

/** Runs one phase to its end. */
export function runPhase(spec: PhaseSpec, context: PhaseContext): Promise<PhaseOutcome> {
  switch (spec.phase) {
    case 'enroll':
      return runEnroll(spec, context);
    case 'ramp':
      return runRamp(spec, context);
    case 'steady':
    case 'soak':
    case 'burst':
      return runTraffic(spec, context);
    case 'pause':
      return runPause(spec, context);
    default:
      return Promise.reject(new FlotillaError('sim-phase-unsupported', { detail: spec.phase }));
  }
}
