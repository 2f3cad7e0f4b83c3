/**
 * The schema of a plan, with a check that its thresholds name figures that the run can produce.
 *
 * @module
 */
import { figureFault } from './figures.ts';
import { planSchema } from './plan-schema.ts';
import { parseComparison } from './threshold.ts';

export const checkedPlanSchema = planSchema.superRefine((plan, context) => {
  for (const [index, text] of (plan.thresholds ?? []).entries()) {
    const figure = parseComparison(text)?.figure;
    const fault = figure === undefined ? undefined : figureFault(figure, plan);
    if (fault !== undefined) {
      context.addIssue({ code: 'custom', path: ['thresholds', index], message: fault });
    }
  }
});
