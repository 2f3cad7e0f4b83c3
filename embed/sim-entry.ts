/**
 * `flotilla/sim`: what a program needs that runs the fleet simulator, for example in its own tests.
 *
 * @module
 */
export { systemClock, type Clock } from '../core/clock.ts';
export { FlotillaError, isFlotillaError } from '../core/errors/flotilla-error.ts';
export { createLog, type Logger, type LogLevel } from '../core/log.ts';
export type { SimulationDeps } from '../device-sim/controller/simulation.ts';
export type { BrokerTarget, FlotillaTarget, SimTarget } from '../device-sim/fleet/target.ts';
export type { Plan } from '../device-sim/plan/plan-schema.ts';
export { checkPlan, quickPlan, readPlan } from '../device-sim/plan/read-plan.ts';
export type { Report } from '../device-sim/report/report-model.ts';
export { runSimulation, startFleet, type FleetNumbers } from '../device-sim/run.ts';
export { progressLine, type Progress } from '../device-sim/view/progress.ts';
