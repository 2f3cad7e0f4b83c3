/**
 * The simulator's front door. What the command line calls:
 *
 * | command | functions |
 * |---|---|
 * | `sim run` | `readPlan` or `quickPlan` (plan.ts), {@link runSimulation}; `progressLine` (progress.ts) or `Screen` (screen.ts), `startRunMetrics` (run-metrics.ts), `reportText` and `writeReport` (report/) |
 * | `sim check` | `readPlan` |
 * | `sim init` | `commentedPlan` (plan/commented-plan.ts) |
 * | `sim prepare` | `prepareFleet`, or `prepareFolder` for any other broker (prepare.ts) |
 * | `sim compare` | `compareReports`, `comparisonText` (report/compare.ts) |
 * | `sim agent` | `runAgent` (agent/run-agent.ts); the plan names agents under `run.agents` |
 * | `up --devices N` | {@link startFleet}, `progressLine` |
 * | `device renew` | `probeConnection` (probe.ts) |
 *
 * @module
 */
import { Lifecycle } from '../core/lifecycle.ts';
import { Simulation, type SimulationDeps } from './controller/simulation.ts';
import { checkPlan, type Plan } from './plan/read-plan.ts';
import type { Report } from './report/report-model.ts';

export type { SimulationDeps } from './controller/simulation.ts';

/**
 * Runs a plan against a target. What is wrong before the first connection is thrown; what goes
 * wrong later stands in the report.
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

/** What a fleet to look at does. */
export interface FleetNumbers {
  readonly devices: number;
  /** Messages a second of each device. */
  readonly ratePerSecond: number;
  readonly seed?: string | undefined;
}

/**
 * A fleet to look at: enrolls, connects and publishes random walks until the signal aborts, with a
 * progress event a second. Resolves with its report.
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
    // The same fleet again at the next start, instead of new certificates each time.
    run: { keep: true },
    phases: [
      { phase: 'enroll' },
      { phase: 'ramp', rate: 50 },
      { phase: 'steady', duration: '3650d' },
    ],
  });
  return runSimulation(plan, deps);
}
