/**
 * `flotilla/broker`: what a program needs that runs the broker inside its own process.
 *
 * @module
 */
export { startBroker, type BrokerDeps, type BrokerService } from '../broker/broker-service.ts';
export { defaultPolicyText } from '../core/policy/default-policy.ts';
export { systemClock, type Clock } from '../core/clock.ts';
export { loadConfig, type Config, type ConfigInput } from '../core/config/config.ts';
export { FlotillaError, isFlotillaError } from '../core/errors/flotilla-error.ts';
export { createLog, type Logger, type LogLevel } from '../core/log.ts';
export { stateFolder, type StateFolder } from '../core/state-folder.ts';
// The types of plug-ins: hooks and events are those of Aedes (docs/plug-ins.md).
export type { Aedes, AedesPublishPacket, Client, Connection, Subscription } from 'aedes';
