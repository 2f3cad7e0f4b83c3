/**
 * `flotilla/enroll`: what a program needs that runs the enrollment service inside its own process.
 *
 * @module
 */
export { initialiseState } from '../enroll/bootstrap/state.ts';
export { startEnroll, type EnrollDeps, type EnrollService } from '../enroll/enroll-service.ts';
export { systemClock, type Clock } from '../core/clock.ts';
export { loadConfig, type Config, type ConfigInput } from '../core/config/config.ts';
export { FlotillaError, isFlotillaError } from '../core/errors/flotilla-error.ts';
export { createLog, type Logger, type LogLevel } from '../core/log.ts';
export { stateFolder, type StateFolder } from '../core/state-folder.ts';
