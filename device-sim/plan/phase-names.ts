/**
 * Names the phases of a plan.
 *
 * @module
 */
import type { PhaseSpec } from './phase-schema.ts';
import type { Plan } from './plan-schema.ts';

/** All phases of a plan with their names, in order; repeated names get a number. */
export function phasesOf(
  plan: Pick<Plan, 'phases'>,
): { step: number; name: string; spec: PhaseSpec }[] {
  const used = new Map<string, number>();
  for (const step of plan.phases) {
    for (const spec of 'parallel' in step ? step.parallel : [step]) {
      if (spec.name !== undefined) used.set(spec.name, 1);
    }
  }
  return plan.phases.flatMap((step, index) =>
    ('parallel' in step ? step.parallel : [step]).map((spec) => {
      if (spec.name !== undefined) return { step: index, name: spec.name, spec };
      const times = (used.get(spec.phase) ?? 0) + 1;
      used.set(spec.phase, times);
      return { step: index, name: times === 1 ? spec.phase : `${spec.phase}-${times}`, spec };
    }),
  );
}
