/**
 * The simulator's entry points. The commands of the command line call these functions:
 *
 * | command | functions |
 * |---|---|
 * | `sim run` | `readPlan` or `quickPlan` (plan/read-plan.ts), {@link runSimulation}; `progressLine` (view/progress.ts) or `Screen` (view/screen.ts), `startRunMetrics` (view/prometheus.ts), `reportText` and `writeReport` (report/) |
 * | `sim check` | `readPlan` |
 * | `sim init` | `commentedPlan` (plan/commented-plan.ts) |
 * | `sim prepare` | `prepareFleet`, or `prepareFolder` for any other broker (prepare.ts) |
 * | `sim compare` | `readReport`, `comparisonOf`, `comparisonText` (report/compare.ts), `compareHtml` (report/compare-html.ts) |
 * | `sim agent` | `runAgent` (agent/run-agent.ts); the plan names agents under `run.agents` |
 * | `up --devices N` | {@link startFleet}, `progressLine` |
 * | `device renew` | `probeConnection` (device/probe.ts) |
 *
 * @module
 */
import { Lifecycle } from '../core/lifecycle.ts';
import { Simulation, type SimulationDeps } from './controller/simulation.ts';
import type { Plan } from './plan/plan-schema.ts';
import { checkPlan } from './plan/read-plan.ts';
import type { Report } from './report/report-model.ts';

/**
 * Runs a plan against a target. Problems found before the first connection are thrown; later ones are
 * part of the report.
 *
 * @throws FlotillaError `plan-invalid`, `sim-file-descriptors`, `sim-ports`, `sim-target-unreachable`,
 *   `sim-target-untrusted`, `sim-target-refused`, `sim-certificate-missing`,
 *   `sim-certificate-unusable`, and those of the enrollment service
 */
export async function runSimulation(plan: Plan, deps: SimulationDeps): Promise<Report> {
  const lifecycle = new Lifecycle();
  try {
    return await new Simulation(plan, deps, lifecycle).run();
  } finally {
    await lifecycle.close();
  }
}

/** The size and rate of a demo fleet. */
export interface FleetNumbers {
  readonly devices: number;
  /** Messages per second of each device. */
  readonly ratePerSecond: number;
  readonly seed?: string | undefined;
}

/**
 * Runs a demo fleet: it enrolls, connects and publishes random walks until the signal aborts, with one
 * progress event per second. Resolves with its report.
 *
 * @throws FlotillaError as {@link runSimulation}
 */
export function startFleet(numbers: FleetNumbers, deps: SimulationDeps): Promise<Report> {
  const plan = checkPlan({
    name: 'fleet',
    ...(numbers.seed === undefined ? {} : { seed: numbers.seed }),
    fleet: [
      {
        group: 'demo',
        count: numbers.devices,
        id: 'demo-{n}',
        publish: [
          {
            rate: numbers.ratePerSecond,
            payload: {
              kind: 'walk',
              fields: {
                temperature: { start: 21, step: 0.2, min: -20, max: 60, decimals: 1 },
                battery: { start: 95, step: 0.05, min: 0, max: 100, decimals: 1 },
              },
            },
          },
        ],
      },
    ],
    // Reuse the same certificates at the next start.
    run: { keep: true },
    phases: [
      { phase: 'enroll' },
      { phase: 'ramp', rate: 50 },
      { phase: 'steady', duration: '3650d' },
    ],
  });
  return runSimulation(plan, deps);
}
