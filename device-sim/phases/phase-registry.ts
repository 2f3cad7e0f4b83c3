/**
 * Runs a phase by its kind.
 *
 * @module
 */
import type { PhaseSpec } from '../plan/phase-schema.ts';
import { runAclProbe } from './acl-probe.ts';
import { runBadCertificates } from './bad-certificates.ts';
import { runCloneAttack } from './clone-attack.ts';
import { runCommandRoundtrip, runOfflineQueue } from './command-phases.ts';
import { runEnroll } from './enroll-phase.ts';
import { runHalfOpen } from './half-open.ts';
import { runPause, runRamp, runTraffic } from './load-phases.ts';
import type { PhaseContext, PhaseOutcome } from './phase-context.ts';
import { runChurn, runMassRenewal, runReconnectStorm } from './reconnect-phases.ts';
import { runRevocationDrill } from './revocation-drill.ts';
import { runSlowReaders } from './slow-readers.ts';

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
    case 'reconnect-storm':
      return runReconnectStorm(spec, context);
    case 'churn':
      return runChurn(spec, context);
    case 'mass-renewal':
      return runMassRenewal(spec, context);
    case 'revocation-drill':
      return runRevocationDrill(spec, context);
    case 'clone-attack':
      return runCloneAttack(spec, context);
    case 'acl-probe':
      return runAclProbe(spec, context);
    case 'bad-certificates':
      return runBadCertificates(spec, context);
    case 'half-open':
      return runHalfOpen(spec, context);
    case 'command-roundtrip':
      return runCommandRoundtrip(spec, context);
    case 'offline-queue':
      return runOfflineQueue(spec, context);
    case 'slow-readers':
      return runSlowReaders(spec, context);
  }
}
