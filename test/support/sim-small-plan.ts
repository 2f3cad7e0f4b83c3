/**
 * Reduces a plan to a size for tests: the same groups and phases, few devices, short times. Limits of
 * latencies are removed, because tests run on busy machines.
 *
 * @module
 */
import type { PhaseSpec } from '../../device-sim/plan/phase-schema.ts';
import type { Plan } from '../../device-sim/plan/plan-schema.ts';

const devicesEach = 8;

export function smallPlan(plan: Plan): Plan {
  return {
    ...plan,
    fleet: plan.fleet.map((group) => ({
      ...group,
      count: Math.min(group.count, devicesEach),
      publish: group.publish.map((publish) => ({ ...publish, rate: Math.max(publish.rate, 2) })),
    })),
    run: { ...plan.run, workers: 1 },
    phases: plan.phases.map((step) =>
      'parallel' in step ? { parallel: step.parallel.map(smallPhase) } : smallPhase(step),
    ),
    thresholds:
      plan.thresholds?.filter(
        (text) => !/latencyMs|Ms\b|Bytes|simulator|devices.connected/.test(text),
      ) ?? [],
  };
}

function smallPhase(phase: PhaseSpec): PhaseSpec {
  switch (phase.phase) {
    case 'enroll':
      return phase;
    case 'ramp':
      return {
        phase: 'ramp',
        name: phase.name,
        groups: phase.groups,
        share: phase.share,
        timeout: phase.timeout,
        rate: 100,
      };
    case 'reconnect-storm':
      return { ...phase, within: 100 };
    case 'mass-renewal':
      return { ...phase, over: 500 };
    case 'revocation-drill':
      // How long it takes is a measurement: it does not decide a test.
      return { ...phase, devices: 2, limit: 60_000 };
    case 'clone-attack':
      return { ...phase, devices: 1, attempts: 1 };
    case 'acl-probe':
      return { ...phase, devices: 1 };
    case 'bad-certificates':
      return { ...phase, rounds: 1 };
    case 'slow-readers':
      return { ...phase, devices: 2, duration: 1000 };
    case 'half-open':
      return { ...phase, connections: 8, duration: 1000 };
    case 'offline-queue':
      return { ...phase, devices: 2, messages: 3 };
    case 'churn':
      return { ...phase, duration: 1000, away: 100 };
    case 'command-roundtrip':
    case 'steady':
    case 'soak':
    case 'burst':
    case 'pause':
      return { ...phase, duration: 1000 };
  }
}
