/**
 * Whether the plan of a simulation that an operator sends can be run here.
 *
 * @module
 */
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { SimulationChecked } from '../../core/protocol/simulation-api.ts';
import { phasesOf } from '../../device-sim/plan/phase-names.ts';
import { parsePlan } from '../../device-sim/plan/read-plan.ts';

/** Reads a plan. A fault is part of the answer. Plans that read files or connect to addresses of their own have one. */
export function checkPlanText(text: string): SimulationChecked {
  const wrong = (detail: string, line?: number, column?: number): SimulationChecked => ({
    ok: false,
    name: null,
    devices: 0,
    phases: [],
    error: { detail, line: line ?? null, column: column ?? null },
  });
  try {
    const plan = parsePlan(text);
    const { agents, brokers, sourceAddresses } = plan.run;
    if (agents.length > 0 || brokers !== undefined || sourceAddresses.length > 0) {
      return wrong('run.agents, run.brokers and run.sourceAddresses cannot be used here');
    }
    if (
      plan.fleet.some(({ publish }) => publish.some(({ payload }) => payload.kind === 'replay'))
    ) {
      return wrong('payloads of kind replay cannot be used here: they read files of the service');
    }
    return {
      ok: true,
      name: plan.name,
      devices: plan.fleet.reduce((sum, { count }) => sum + count, 0),
      phases: phasesOf(plan).map(({ name }) => name),
      error: null,
    };
  } catch (error) {
    if (!isFlotillaError(error)) throw error;
    const detail = error.detail ?? error.message;
    const [, line, column] = /^plan:(\d+):(\d+): /.exec(detail) ?? [];
    return line === undefined
      ? wrong(detail)
      : wrong(detail.replace(/^plan:\d+:\d+: /, ''), Number(line), Number(column));
  }
}
