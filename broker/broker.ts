/**
 * Starts one broker: starts its parts in order and registers how to close them.
 *
 * @module
 */
import type { Aedes } from 'aedes';
import type { Clock } from '../core/clock.ts';
import type { Config } from '../core/config/config.ts';
import { FlotillaError } from '../core/errors/flotilla-error.ts';
import type { Lifecycle } from '../core/lifecycle.ts';
import { createBrokerParts, type BrokerEnvironment, type BrokerParts } from './broker-parts.ts';
import type { PortAddress } from './listeners/device-ports.ts';
import type { BrokerPorts } from './listeners/entrance.ts';
import { brokerGauges } from './telemetry/broker-gauges.ts';
import { registerGauges } from './telemetry/gauge-metrics.ts';
import { healthChecks, readinessChecks, statusChecks, type Vitals } from './telemetry/health.ts';
import { registerProcessMetrics } from '../core/telemetry/process-metrics.ts';
import { ownAllocator } from '../core/telemetry/loaded-allocator.ts';
import { MetricsServer } from '../core/telemetry/metrics-server.ts';

export interface BrokerAddresses {
  readonly mqtts: PortAddress;
  readonly wss: PortAddress;
  readonly metrics: { readonly url: string };
  /** For other brokers; undefined: this broker works alone. */
  readonly cluster: PortAddress | undefined;
}

/** A broker that listens. */
export interface RunningBroker {
  readonly addresses: BrokerAddresses;
  readonly ports: BrokerPorts;
  /** @throws FlotillaError `plug-ins-not-possible` */
  readonly aedes: Aedes;
  /** Resolves with the reason when the broker must stop. */
  readonly failed: Promise<FlotillaError>;
  reload(): Promise<void>;
  /** Copies the session store to a new file. @returns false when there is no store on the disk */
  copyStore(path: string): Promise<boolean>;
}

/** How long the start waits for the first directory, when none is stored on the disk. */
const firstDirectoryTimeoutMs = 3000;
/** How long a shutdown waits for connections to close. */
const drainTimeoutMs = 2000;
const drainCheckMs = 5;
/** How long a shutdown waits until presence messages are stored: a partition that decides about them may be away. */
const presenceTimeoutMs = 5000;

/** Creates and starts all parts. The lifecycle closes them in reverse order. */
export async function openBroker(
  config: Config,
  environment: BrokerEnvironment,
  lifecycle: Lifecycle,
): Promise<RunningBroker> {
  const { clock, log } = environment;
  const parts = await createBrokerParts(config, environment);
  const { layer, samples, queries, presence, fatalError, reloader, limitedLog, node } = parts;
  // Closed last: the sessions that end may add lines.
  lifecycle.add('log', () => limitedLog.stop());
  lifecycle.add('session layer', () => layer.close());
  const metrics = await openMetrics(config, clock, parts, lifecycle);
  await openDirectory(environment, parts, lifecycle);
  samples.start();
  lifecycle.add('samples', () => samples.stop());
  lifecycle.add('queries', () => queries.stop());
  let cluster: PortAddress | undefined;
  if (node === undefined) {
    const corrected = await presence.correct();
    if (corrected > 0) log.info({ devices: corrected }, 'presence corrected');
  } else {
    cluster = await node.start();
    lifecycle.add('partitions', () => node.close());
  }
  const addresses = await openPorts(clock, parts, lifecycle);
  startUpdates(parts, lifecycle);
  return {
    addresses: { ...addresses, metrics, cluster },
    ports: parts.ports,
    get aedes() {
      if (parts.plugInCore === undefined) throw new FlotillaError('plug-ins-not-possible');
      return parts.plugInCore;
    },
    failed: fatalError.occurred,
    reload() {
      parts.ports.settingsChanged();
      return reloader.reload();
    },
    copyStore: (path) => layer.copyStore(path),
  };
}

/** Opens the metrics port. It is the first port, so that supervisors can ask for readiness. */
async function openMetrics(
  { broker }: Config,
  clock: Clock,
  parts: BrokerParts,
  lifecycle: Lifecycle,
): Promise<{ readonly url: string }> {
  const { registry } = parts.metrics;
  registerProcessMetrics(registry, 'broker');
  registerGauges(registry, () =>
    brokerGauges({
      ...parts,
      nowMs: clock.now(),
      connections: parts.admitter.connections,
      feedConnected: parts.feed.connected,
      leaf: parts.material.firstToEnd,
      authorities: parts.material.authorities,
      reloadFailed: parts.reloader.errors.size > 0,
      journals: parts.journals(),
      deniedByRule: parts.authorizer.deniedByRule,
    }),
  );
  const server = new MetricsServer({
    metrics: () => registry.metrics(),
    metricsType: registry.contentType,
    health: () => healthChecks(vitalsOf(clock, parts)),
    readiness: () => readinessChecks(vitalsOf(clock, parts)),
    status: () => statusChecks(vitalsOf(clock, parts)),
  });
  const address = await server.listen(broker.metricsHost, broker.metricsPort);
  lifecycle.add('metrics', () => server.close());
  return address;
}

function vitalsOf(clock: Clock, parts: BrokerParts): Vitals {
  return {
    nowMs: clock.now(),
    lagMs: parts.lag.lagMs,
    fatalError: parts.fatalError.error,
    node: parts.node,
    storeStalled: parts.layer.storeStalled,
    journals: parts.journals(),
    listening: parts.ports.listening,
    directory: parts.directory,
    leaf: parts.material.firstToEnd,
    allocator: ownAllocator,
    feedConnected: parts.feed.connected,
    directorySaved: parts.feed.saved,
    reloadErrors: parts.reloader.errors,
    held: parts.holds.size,
    fronts: parts.ports.fronts,
    frontsRunning: parts.ports.frontsRunning,
  };
}

/** Loads the stored directory and follows the feed. Without a stored directory, waits for the feed. */
async function openDirectory(
  { clock, log }: BrokerEnvironment,
  parts: BrokerParts,
  lifecycle: Lifecycle,
): Promise<void> {
  const { directory, directoryFile, enforcer, feed, feedReporter, reportSender } = parts;
  const stored = await directoryFile.read();
  if (stored !== undefined) directory.restore(stored);
  await enforcer.authoritiesChanged(directory.authorities);
  lifecycle.add('feed reports', async () => {
    await feedReporter.stop();
    reportSender.close();
  });
  feed.start();
  lifecycle.add('feed', () => feed.stop());
  if (stored !== undefined) return;
  const { promise, resolve } = parts.firstDirectory;
  const cancel = clock.after(firstDirectoryTimeoutMs, () => {
    log.warn('no directory received yet: all connections are refused until it arrives');
    resolve(undefined);
  });
  await promise;
  cancel();
}

/** Opens the ports for devices. */
async function openPorts(
  clock: Clock,
  parts: BrokerParts,
  lifecycle: Lifecycle,
): Promise<Pick<BrokerAddresses, 'mqtts' | 'wss'>> {
  const { ports, expiry, presence } = parts;
  lifecycle.add('ports', () => ports.close());
  lifecycle.add('connection expiry', () => expiry.stop());
  lifecycle.add('presence', () => limited(clock, presence.settled(), presenceTimeoutMs));
  lifecycle.add('connections', () => drain(clock, parts));
  lifecycle.add('listening', () => ports.stopListening());
  return ports.listen();
}

/** Starts to watch the event loop, the files and the broker's own certificate. */
function startUpdates({ lag, reloader }: BrokerParts, lifecycle: Lifecycle): void {
  lag.start();
  lifecycle.add('event loop lag', () => lag.stop());
  reloader.start();
  lifecycle.add('reloader', () => reloader.stop());
}

/** Waits for a limited time. */
async function limited(clock: Clock, done: Promise<void>, maxMs: number): Promise<void> {
  const late = Promise.withResolvers<undefined>();
  const cancel = clock.after(maxMs, () => late.resolve(undefined));
  await Promise.race([done, late.promise]);
  cancel();
}

/** Closes all connections with a reason and waits until they have ended, at most for a limited time. */
function drain(clock: Clock, { layer, admitter }: BrokerParts): Promise<void> {
  layer.endConnections();
  const endMs = clock.monotonicMs() + drainTimeoutMs;
  return new Promise((resolve) => {
    const check = (): void => {
      if (admitter.connections === 0 || clock.monotonicMs() >= endMs) resolve();
      else setTimeout(check, drainCheckMs);
    };
    check();
  });
}
