/**
 * Starts the processes of a cluster on one machine.
 *
 * @module
 */
import { systemClock } from '../../core/clock.ts';
import { settledPartitions } from '../../broker/journal/store-layout.ts';
import type { Config, ConfigInput } from '../../core/config/config.ts';
import { httpsUrl, publicEnrollUrl } from '../../core/config/public-address.ts';
import { databaseAccess, DatabaseConnection } from '../../core/database/database-connection.ts';
import type { Lifecycle } from '../../core/lifecycle.ts';
import type { Logger } from '../../core/log.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { beginTerm } from '../../enroll/bootstrap/database-storage.ts';
import { loadStateAndConfig, type Context, type StateOptions } from '../lib/command-context.ts';
import { reachable } from '../lib/host-port.ts';
import type { UpAddresses } from '../lib/quick-start.ts';
import { writeRun } from '../lib/run-file.ts';
import { prepareState, type ServeFlags } from '../lib/serving.ts';
import type { TerminalLog } from '../lib/terminal-log.ts';
import { ensureBrokerIdentity } from './broker-identities.ts';
import type { ClusterBalancers, ObservedNode } from './cluster-balancers.ts';
import { ClusterNode, type NodeProgram } from './cluster-node.ts';
import {
  enrollmentInstances,
  nodePrograms,
  partitionCount,
  type NodeSettings,
} from './node-programs.ts';
import { ReadinessWatch } from './readiness-watch.ts';
import type { RoleFile } from './role-file.ts';

/** Then the cluster is reported as started although not all of it is ready: its database may be away. */
const readyMaxMs = 60_000;

export interface ClusterOptions extends StateOptions, ServeFlags {
  readonly nodes?: number;
  readonly database?: string;
  readonly devices?: number;
  readonly demo?: boolean;
  readonly printConfig?: boolean;
}

/** What the parts of the cluster share. */
export interface Cluster {
  readonly state: StateFolder;
  readonly config: Config;
  readonly options: ClusterOptions;
  readonly context: Context;
  readonly log: Logger;
  readonly terminalLog: TerminalLog;
  readonly lifecycle: Lifecycle;
  readonly balancers: ClusterBalancers;
  readonly nodes: ClusterNode[];
  readonly roles: RoleFile;
  readonly stop: Promise<string>;
}

/**
 * Starts the enrollment instances, then the brokers.
 *
 * @param flags settings of the command line
 * @param database its URL
 * @returns the fingerprint of the root; undefined when the process should stop before they have started
 * @throws FlotillaError `cluster-node-failed`, `database-…`, `ca-passphrase-…`
 */
export async function startNodes(
  cluster: Cluster,
  flags: ConfigInput,
  database: string,
): Promise<string | undefined> {
  const { state, options, context, lifecycle, balancers } = cluster;
  const { https } = balancers.ports;
  const publicUrl = publicEnrollUrl(cluster.config, cluster.config.host, https);
  const { config } = await loadStateAndConfig(options, context, {
    ...flags,
    enroll: { ...flags.enroll, database, url: publicUrl },
    broker: { ...flags.broker, database },
  });
  const fingerprint = await prepareCluster(cluster, config);
  if (fingerprint === undefined) return undefined;
  const settings: NodeSettings = {
    ...{ env: context.environment.env, logLevel: config.log.level, database, publicUrl },
    localUrl: httpsUrl(reachable(config.host), https),
    partitions: partitionCount(
      config.cluster.partitions,
      await recordedPartitions(config),
      options.nodes ?? 0,
    ),
  };
  const instances = await nodePrograms(state, 'enrollment', enrollmentInstances, settings);
  const enrollment: NodeKind = {
    isShared: false,
    route: (nodes) => balancers.routeEnrollment(nodes),
  };
  if (!(await startKind(cluster, instances, enrollment))) return undefined;
  const { https: service, enrollMetrics } = addressesOf(cluster);
  const run = { https: service, metrics: enrollMetrics, fingerprint };
  lifecycle.add('run file', await writeRun(state.run.enroll, run));
  const brokers = await nodePrograms(state, 'broker', options.nodes ?? 0, settings);
  for (const broker of brokers) await ensureBrokerIdentity(broker, options, context);
  const sharing: NodeKind = { isShared: true, route: (nodes) => balancers.routeBrokers(nodes) };
  if (!(await startKind(cluster, brokers, sharing))) return undefined;
  const { mqtts, wss, metrics } = addressesOf(cluster);
  lifecycle.add('run file', await writeRun(state.run.broker, { mqtts, wss, metrics }));
  return fingerprint;
}

/** How many partitions the database has from an earlier start. @throws FlotillaError `database-…` */
async function recordedPartitions({ broker }: Config): Promise<number | undefined> {
  const access = await databaseAccess(broker);
  if (access === undefined) return undefined;
  const connection = await DatabaseConnection.open(access, 'flotilla-up');
  try {
    return await settledPartitions(connection);
  } finally {
    await connection.close();
  }
}

/**
 * Creates what is missing: CA, registry, the identity of the administrator.
 *
 * @returns the fingerprint of the root; undefined when the process should stop
 */
async function prepareCluster(
  { state, log, stop, context }: Cluster,
  config: Config,
): Promise<string | undefined> {
  const waiting = (active: string): void => log.info({ active }, 'waiting for the database');
  // The processes of a parent that was killed are perhaps still ending.
  const term = await beginTerm(state, config, log, { stop, waiting });
  if (term === undefined) return undefined;
  try {
    const choices = { newBroker: false, database: term };
    const made = await prepareState(state, config, log, context.environment, choices);
    return made.fingerprint;
  } finally {
    await term.close();
  }
}

/** How the processes of a kind work together. */
interface NodeKind {
  /** All are active at the same time. Otherwise one is, and the others wait. */
  readonly isShared: boolean;
  /** Sends connections to those that can accept them. */
  readonly route: (nodes: readonly ObservedNode[]) => void;
}

/** Starts all processes of a kind. @returns false when the process should stop before they have started */
async function startKind(
  cluster: Cluster,
  programs: readonly NodeProgram[],
  { isShared, route }: NodeKind,
): Promise<boolean> {
  const { lifecycle, log, terminalLog, context, stop } = cluster;
  const { stderr } = context.out.streams;
  const ready = Promise.withResolvers<undefined>();
  let isClosed = false;
  const observe = (): void => {
    if (isClosed) return;
    const observed = nodes.map((node) => ({ node, state: watch.stateOf(node) }));
    route(observed);
    if (isShared) for (const { node, state } of observed) node.answers(!state.isSilent);
    const begun = observed.filter(({ state }) => state.hasBegun);
    if (begun.length > 0 && begun.every(({ state }) => state.isReady)) ready.resolve(undefined);
  };
  const events = {
    log,
    logLine(line: string): void {
      if (terminalLog.isShown) terminalLog.write(line);
      else stderr.write(`${line}\n`);
    },
    becameActive(node: ClusterNode): void {
      if (isShared) return;
      for (const other of nodes) if (other !== node) other.replaced();
    },
    changed(): void {
      observe();
      cluster.roles.record(cluster.nodes.map(({ view }) => view));
    },
  };
  const nodes: readonly ClusterNode[] = programs.map((one) => new ClusterNode(one, events));
  cluster.nodes.push(...nodes);
  const watch = new ReadinessWatch(nodes, observe);
  lifecycle.add('processes', async () => {
    isClosed = true;
    watch.close();
    // The standbys first, so that none takes over.
    const isActive = ({ view }: ClusterNode): boolean => view.role === 'active';
    await Promise.all(nodes.filter((node) => !isActive(node)).map((node) => node.stop()));
    await Promise.all(nodes.map((node) => node.stop()));
  });
  const started = Promise.all(nodes.map((node) => node.start())).then(async () => {
    const tooLong = systemClock.after(readyMaxMs, () => ready.resolve(undefined));
    await ready.promise;
    tooLong();
  });
  return Promise.race([started.then(() => true), stop.then(() => false)]);
}

/** The public addresses. */
export function addressesOf({ config, balancers, state }: Cluster): Omit<UpAddresses, 'ca'> & {
  readonly enrollMetrics: { readonly url: string };
} {
  const { host, broker, enroll } = config;
  const { ports } = balancers;
  const plain = (name: string, port: number): { url: string } => ({
    url: httpsUrl(name, port).replace('https:', 'http:'),
  });
  return {
    mqtts: { host, port: ports.mqtts },
    wss: { host, port: ports.wss },
    metrics: plain(reachable(broker.metricsHost), ports.metrics),
    https: { url: httpsUrl(reachable(host), ports.https) },
    enrollMetrics: plain(reachable(enroll.metricsHost), ports.enrollMetrics),
    state: state.root,
  };
}
