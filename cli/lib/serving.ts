/**
 * Starts the two services for the commands `up`, `enroll serve` and `broker serve`.
 *
 * @module
 */
import { access } from 'node:fs/promises';
import { defaultPolicyText } from '../../core/policy/default-policy.ts';
import { startBroker } from '../../broker/broker-service.ts';
import {
  openDatabaseStore,
  type BrokerStandby,
  type DatabaseStore,
} from '../../broker/journal/database-store.ts';
import { startStandbyBroker, type StandbyDeps } from '../../broker/standby-broker.ts';
import type { Config, ConfigInput } from '../../core/config/config.ts';
import { writeFileAtomic } from '../../core/atomic-file.ts';
import { exitCodeOf } from '../../core/errors/error-spec.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { systemClock } from '../../core/clock.ts';
import type { Lifecycle } from '../../core/lifecycle.ts';
import { createLog, type Logger } from '../../core/log.ts';
import { makeSecretFolder } from '../../core/atomic-file.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { StandbyPort } from '../../core/telemetry/standby-port.ts';
import { startEnroll, type EnrollDeps } from '../../enroll/enroll-service.ts';
import { initialiseState, type StateDeps } from '../../enroll/bootstrap/state.ts';
import type { ProcessEnvironment } from './command-context.ts';
import { openControlSocket } from './control-socket.ts';
import { writeRun } from './run-file.ts';
import type { RunningSettings } from './setting-changes.ts';
import { reportGroupReadableSecrets } from './secret-report.ts';

export interface ServeFlags {
  readonly host?: string;
  readonly mqttsPort?: number;
  readonly wssPort?: number;
  readonly httpsPort?: number;
  readonly metricsPort?: number;
  readonly enrollUrl?: string;
  readonly logLevel?: Config['log']['level'];
}

/**
 * Converts flags to settings. `--metrics-port` is the port of the service that is started; when both are
 * started, it is the broker's, and the enrollment service has the next one. With `--https-port 0`, the enrollment
 * service takes any free port for its metrics too, unless a port is given.
 */
export function settingsOf(flags: ServeFlags, services: 'both' | 'one' = 'one'): ConfigInput {
  const { metricsPort } = flags;
  const isNext = services === 'both' && metricsPort !== undefined && metricsPort > 0;
  const anyPort = flags.httpsPort === 0 ? 0 : undefined;
  const enrollMetricsPort = isNext ? metricsPort + 1 : (metricsPort ?? anyPort);
  return {
    ...(flags.host === undefined ? {} : { host: flags.host }),
    ...(flags.logLevel === undefined ? {} : { log: { level: flags.logLevel } }),
    enroll: {
      ...(flags.httpsPort === undefined ? {} : { port: flags.httpsPort }),
      ...(flags.enrollUrl === undefined ? {} : { url: flags.enrollUrl }),
      ...(enrollMetricsPort === undefined ? {} : { metricsPort: enrollMetricsPort }),
    },
    broker: {
      ...(flags.mqttsPort === undefined ? {} : { mqttsPort: flags.mqttsPort }),
      ...(flags.wssPort === undefined ? {} : { wssPort: flags.wssPort }),
      ...(metricsPort === undefined ? {} : { metricsPort }),
    },
  };
}

export interface EnrollReady {
  readonly metrics: { readonly url: string };
  readonly https: { readonly url: string };
  readonly ca: { readonly file: string; readonly fingerprint: string };
}

export interface ServingBroker {
  readonly ready: BrokerReady;
  /** Resolves with the reason when the broker can no longer work. */
  readonly failed: Promise<FlotillaError>;
}

export interface BrokerReady {
  readonly mqtts: { readonly host: string; readonly port: number };
  readonly wss: { readonly host: string; readonly port: number };
  readonly metrics: { readonly url: string };
}

/** The log of a service. */
export function serviceLog(config: Config, destination?: { write(line: string): void }): Logger {
  return createLog({
    level: config.log.level,
    ...(destination === undefined ? {} : { destination }),
  });
}

/** Creates what is missing in the state folder: CA, certificates, policy. */
export async function prepareState(
  state: StateFolder,
  config: Config,
  log: Logger,
  environment: ProcessEnvironment,
  choices: Pick<StateDeps, 'restore' | 'acceptLoss' | 'newBroker' | 'database' | 'isStarting'> = {},
): Promise<{ fingerprint: string; created: boolean }> {
  await makeSecretFolder(state.root);
  await reportGroupReadableSecrets(state, config, environment, log);
  const made = await initialiseState(state, config, {
    clock: systemClock,
    log,
    env: environment.env,
    ...choices,
  });
  await writePolicyIfMissing(state);
  return made;
}

/** Starts the enrollment service on a prepared state and publishes its address for other commands. SIGHUP reloads it. */
export async function serveEnroll(
  state: StateFolder,
  settings: RunningSettings,
  log: Logger,
  environment: ProcessEnvironment,
  lifecycle: Lifecycle,
  more: Pick<EnrollDeps, 'simulationRunner' | 'database' | 'newBroker'> = {},
): Promise<EnrollReady> {
  const enrollLog = settings.follow(log.child({ service: 'enroll' }));
  const service = await startEnroll(settings.config, {
    state,
    clock: systemClock,
    log: enrollLog,
    env: environment.env,
    isStarting: true,
    ...more,
  });
  lifecycle.add('enrollment', service.close);
  lifecycle.add(
    'reload on SIGHUP',
    environment.onReload(() => {
      settings
        .reload()
        .then(() => service.reload())
        .catch((error: unknown) => enrollLog.error({ err: error }, 'reload failed'));
    }),
  );
  const https = { url: service.addresses.https.url };
  const { metrics } = service.addresses;
  lifecycle.add(
    'run file',
    await writeRun(state.run.enroll, {
      https,
      metrics,
      fingerprint: service.ca.fingerprint,
    }),
  );
  return { https, metrics, ca: service.ca };
}

/**
 * Starts a broker and publishes its addresses for other commands. SIGHUP reloads it. While another broker is active in
 * its database, it waits, and its metrics port says so.
 *
 * @param standby `waiting` is called once, when another broker is active
 * @returns undefined when `standby.stop` resolved while it waited
 */
export async function serveBroker(
  state: StateFolder,
  settings: RunningSettings,
  enrollUrl: string,
  log: Logger,
  environment: ProcessEnvironment,
  lifecycle: Lifecycle,
  standby: BrokerStandby,
): Promise<ServingBroker | undefined> {
  await writePolicyIfMissing(state);
  const brokerLog = settings.follow(log.child({ service: 'broker' }));
  const deps = { state, enrollUrl, clock: systemClock, log: brokerLog };
  const { broker, cluster } = settings.config;
  // A node of a cluster takes partitions while it serves.
  const waits = broker.database !== undefined && cluster.partitions === undefined;
  const database = waits ? await brokerTurn(settings.config, deps, standby) : undefined;
  if (waits && database === undefined) return undefined;
  const service = await startBroker(settings.config, { ...deps, database });
  lifecycle.add('broker', service.close);
  lifecycle.add(
    'reload on SIGHUP',
    environment.onReload(() => {
      settings
        .reload()
        .then(() => service.reload())
        .catch((error: unknown) => brokerLog.error({ err: error }, 'reload failed'));
    }),
  );
  const { mqtts, wss, metrics } = service.addresses;
  const ready = {
    mqtts: { host: mqtts.host, port: mqtts.port },
    wss: { host: wss.host, port: wss.port },
    metrics,
  };
  // Only the backup needs it, so a file system without sockets does not prevent the start.
  await openControlSocket(state.run.brokerControl, service).then(
    (close) => lifecycle.add('control socket', close),
    (error: unknown) => brokerLog.warn({ err: error }, 'no control socket: a backup needs a stop'),
  );
  lifecycle.add('run file', await writeRun(state.run.broker, ready));
  return { ready, failed: service.failed };
}

/**
 * Becomes the active broker of the configured database.
 *
 * @returns undefined: there is none, or it should not wait any more
 */
async function brokerTurn(
  config: Config,
  deps: StandbyDeps,
  { stop, waiting }: BrokerStandby,
): Promise<DatabaseStore | undefined> {
  const port = new StandbyPort(config.broker, deps.log);
  const unable = Promise.withResolvers<unknown>();
  let following: Promise<() => Promise<void>> | undefined;
  try {
    return await openDatabaseStore(config, deps, {
      stop: Promise.race([stop, unable.promise]),
      waiting(active) {
        if (!port.waiting(active)) return;
        waiting(active);
        following = startStandbyBroker(config, deps);
        following.catch(unable.resolve);
      },
    });
  } finally {
    await port.close();
    const unfollow = await following;
    await unfollow?.();
  }
}

async function writePolicyIfMissing(state: StateFolder): Promise<void> {
  try {
    await access(state.policy);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      await writeFileAtomic(state.policy, defaultPolicyText, 0o644);
      return;
    }
    throw new FlotillaError('config-unreadable', { detail: state.policy, cause: error });
  }
}

/**
 * Waits until the process should stop or a service can no longer work, then closes everything.
 *
 * @returns the exit code: not 0 after a failure, so that a supervisor restarts the process
 */
export async function serveUntil(
  stop: Promise<string>,
  failures: readonly Promise<FlotillaError>[],
  lifecycle: Lifecycle,
  say: (text: string) => void,
): Promise<number> {
  const end = await Promise.race([stop, ...failures]);
  say(typeof end === 'string' ? `${end}: stopping` : `${end.message} [${end.code}]: stopping`);
  await lifecycle.close();
  return typeof end === 'string' ? 0 : (exitCodeOf(end.spec) ?? 1);
}
