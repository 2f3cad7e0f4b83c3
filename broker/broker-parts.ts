/**
 * Creates the parts of one broker in order: each group uses the groups before it. Nothing is started
 * here, and no connection or message passes through this file.
 *
 * @module
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { Config } from '../core/config/config.ts';
import { FlotillaError } from '../core/errors/flotilla-error.ts';
import type { Logger } from '../core/log.ts';
import type { StateFolder } from '../core/state-folder.ts';
import { createEntrance, type Entrance } from './broker-entrance.ts';
import { CurrentRights } from './admission/current-rights.ts';
import { IncidentDetector } from './admission/incident-detector.ts';
import { IncidentHolds } from './admission/incident-holds.ts';
import { IncidentResponse } from './admission/incident-response.ts';
import { BrokerTlsMaterial } from './certificates/tls-material.ts';
import { BrokerNode } from './cluster/broker-node.ts';
import { partitionOf } from '../core/partition.ts';
import { PartitionedLayer } from './cluster/partitioned-layer.ts';
import type { BrokerLayer } from './contracts/broker-layer.ts';
import type { SessionLayer } from './contracts/session-layer.ts';
import { ChangeEnforcer } from './enforcement/change-enforcer.ts';
import { ConnectionExpiry } from './enforcement/connection-expiry.ts';
import { ConnectionReview } from './enforcement/connection-review.ts';
import { Directory } from './feed/broker-directory.ts';
import { DirectoryFile } from './feed/directory-file.ts';
import { FeedClient, type FeedCredentials } from './feed/feed-client.ts';
import { FeedReporter } from './feed/feed-reporter.ts';
import { ReportSender } from './feed/report-sender.ts';
import { SampleReporter } from './feed/sample-reporter.ts';
import { PresencePublisher } from './fleet-topics/presence.ts';
import { RenewalRelay, renewOver } from './fleet-topics/renewal-relay.ts';
import { PolicyAuthorizer } from './policy/policy-authorizer.ts';
import { PolicySource } from './policy/policy-source.ts';
import { QueryResponder } from './queries/query-responder.ts';
import { Reloader } from './reload/reloader.ts';
import {
  createSessionLayer,
  type MqttSessionLayer,
  type SessionLayerOptions,
} from './session/mqtt-session-layer.ts';
import { openDatabaseStore, type DatabaseStore } from './journal/database-store.ts';
import type { JournalFacts } from './journal/journal-thread.ts';
import { openStore } from './store/open-store.ts';
import { BrokerMetrics } from './telemetry/broker-metrics.ts';
import { brokerSample } from './telemetry/broker-sampler.ts';
import { EventLoopLag } from '../core/telemetry/event-loop-lag.ts';
import { EventReporter } from './telemetry/event-reporter.ts';
import { FatalError } from './telemetry/fatal-error.ts';
import { RateLimitedLog } from './telemetry/rate-limited-log.ts';

export interface BrokerEnvironment {
  readonly state: StateFolder;
  readonly enrollUrl: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether memory that fronts share is overwritten when it is released, for tests. */
  readonly poisonsRings?: boolean;
  /** The store in the configured database. By default it is opened, and no other broker may be active. */
  readonly database?: DatabaseStore | undefined;
}

/** The parts of one broker. */
export interface BrokerParts extends Foundation, Reporting, Enforcement, Entrance, Updates {
  readonly samples: SampleReporter;
  readonly queries: QueryResponder;
  readonly layer: BrokerLayer;
  /** For plug-ins; undefined: a node of a cluster has none. */
  readonly plugInCore: MqttSessionLayer['core'] | undefined;
  /** Undefined: this broker works alone. */
  readonly node: BrokerNode | undefined;
  /** The journals in the database. */
  readonly journals: () => readonly JournalFacts[];
}

/**
 * Creates all parts.
 *
 * @throws FlotillaError `broker-identity-missing`, `broker-identity-invalid`, `policy-invalid`, `store-…`
 */
export async function createBrokerParts(
  config: Config,
  environment: BrokerEnvironment,
): Promise<BrokerParts> {
  const { clock, log } = environment;
  const { partitions } = config.cluster;
  const foundation = await readFoundation(config, environment);
  // The session layer reports to these parts, and some of them publish through it. They call these two
  // functions only when they handle an event, when all parts exist.
  const reporting = createReporting(config, environment, foundation, {
    layer: () => layer,
    review: () => enforcement.review,
  });
  const sessions = {
    authorizer: foundation.authorizer,
    events: reporting.reporter.session,
    intercept: reporting.relay.intercept,
    rights: new CurrentRights(foundation.directory, foundation.holds),
    clock,
    log,
  };
  const partitioned: PartitionedLayer | undefined =
    partitions === undefined ? undefined : new PartitionedLayer(partitions, () => relaysOf(node));
  const { fatalError } = foundation;
  const { layer, journals, plugInCore }: OpenLayer =
    partitioned === undefined
      ? await singleLayer(config, environment, sessions, fatalError, reporting.metrics)
      : { layer: partitioned, journals: () => node?.journals ?? [], plugInCore: undefined };
  const enforcement = createEnforcement(config, environment, { ...foundation, layer });
  const entrance = createEntrance(config, environment, {
    ...foundation,
    ...reporting,
    ...enforcement,
    layer,
  });
  const accepting = { ...foundation, ...reporting, ...enforcement, ...entrance, layer };
  const node: BrokerNode | undefined =
    partitioned === undefined || partitions === undefined
      ? undefined
      : createNode(config, environment, partitioned, partitions, sessions, accepting);
  const queries = new QueryResponder({
    ...accepting,
    limits: config.limits.broker,
    url: environment.enrollUrl,
    clock,
    log,
  });
  const updates = createUpdates(config, environment, { ...accepting, node, queries });
  const samples = createSamples(environment, accepting);
  return { ...accepting, ...updates, queries, samples, node, journals, plugInCore };
}

interface OpenLayer {
  readonly layer: BrokerLayer;
  readonly journals: BrokerParts['journals'];
  readonly plugInCore: BrokerParts['plugInCore'];
}

/** What a session layer needs in addition to its store. */
type SessionParts = Omit<SessionLayerOptions, 'store' | 'partition'>;

/** The session layer of a broker that works alone, with the store that the settings select. */
async function singleLayer(
  config: Config,
  environment: BrokerEnvironment,
  sessions: SessionParts,
  fatalError: FatalError,
  metrics: BrokerMetrics,
): Promise<OpenLayer> {
  const { state, clock, log } = environment;
  const database = environment.database ?? (await openDatabaseStore(config, environment));
  database?.onStall(stallLog(log));
  database?.onCommit((tookMs) => metrics.journalAppendSeconds.observe(tookMs / 1000));
  void database?.failed.then((error) => fatalError.set(error));
  const store = database?.store ?? (await openStore(config, state.broker, clock, stallLog(log)));
  const layer = await createSessionLayer(config, { ...sessions, store });
  const journals = (): readonly JournalFacts[] =>
    database === undefined ? [] : [database.facts()];
  return { layer, journals, plugInCore: layer.core };
}

function relaysOf(node: BrokerNode | undefined): BrokerNode['relays'] {
  if (node === undefined) throw new FlotillaError('internal', { detail: 'no node' });
  return node.relays;
}

/** The part of a cluster that this broker is. */
function createNode(
  config: Config,
  { state, clock, log }: BrokerEnvironment,
  layer: PartitionedLayer,
  partitions: number,
  sessions: SessionParts,
  parts: Pick<
    BrokerParts,
    'material' | 'directory' | 'admitter' | 'presence' | 'metrics' | 'fatalError' | 'ports'
  >,
): BrokerNode {
  const { material, directory, admitter, presence, metrics, fatalError, ports } = parts;
  return new BrokerNode({
    ...{ config, partitions, state, clock, log, material, directory, admitter, layer, sessions },
    async taken(partition) {
      await presence.correct((id) => partitionOf(id, partitions) === partition);
    },
    committed: (tookMs) => metrics.journalAppendSeconds.observe(tookMs / 1000),
    stallChanged: stallLog(log),
    ticketKeysChanged: () => ports.replaceMaterial(material.tls()),
    failed: (error) => fatalError.set(error),
  });
}

/** The data that decisions are based on. */
interface Foundation {
  readonly material: BrokerTlsMaterial;
  readonly authorizer: PolicyAuthorizer;
  readonly policySource: PolicySource;
  readonly directory: Directory;
  readonly holds: IncidentHolds;
  readonly fatalError: FatalError;
  readonly credentials: () => FeedCredentials;
}

async function readFoundation(
  config: Config,
  { state, log }: BrokerEnvironment,
): Promise<Foundation> {
  const material = await BrokerTlsMaterial.read(
    {
      identity: state.broker.identity,
      ...(config.tls.rsaServerCertificate ? { rsa: state.broker.rsaIdentity } : {}),
    },
    config.broker.tlsSessionTickets,
  );
  const policySource = new PolicySource(state.policy, state.broker.fleetPolicy);
  const policy = await policySource.load();
  return {
    material,
    policySource,
    authorizer: new PolicyAuthorizer(policy, config.limits.broker, config.broker.onDenied),
    directory: new Directory(),
    holds: new IncidentHolds(),
    fatalError: new FatalError(log),
    credentials: () => {
      const { ca, chain, key } = material.identity;
      return { ca, cert: chain, key };
    },
  };
}

/** Reports events of the broker, and publishes on `$fleet/…`. */
interface Reporting {
  readonly metrics: BrokerMetrics;
  readonly lag: EventLoopLag;
  readonly reportSender: ReportSender;
  readonly feedReporter: FeedReporter;
  readonly presence: PresencePublisher;
  readonly incidents: IncidentResponse;
  readonly reporter: EventReporter;
  readonly limitedLog: RateLimitedLog;
  readonly relay: RenewalRelay;
}

/** Parts that are created after {@link Reporting}. */
interface LaterParts {
  layer(): SessionLayer;
  review(): ConnectionReview;
}

function createReporting(
  config: Config,
  { clock, log, enrollUrl }: BrokerEnvironment,
  { directory, holds, fatalError, credentials, material }: Foundation,
  later: LaterParts,
): Reporting {
  const { connectsPerDevicePerMinuteMax, refusalsKeptMax } = config.limits.broker;
  const { cloneReaction, overlapReaction, flappingReaction } = config.broker;
  const metrics = new BrokerMetrics();
  const reportSender = new ReportSender(enrollUrl, credentials);
  const feedReporter = new FeedReporter({
    clock,
    log,
    run: randomUUID(),
    refusalsMax: refusalsKeptMax,
    send: (report) => reportSender.send(report),
  });
  const limitedLog = new RateLimitedLog(log, clock);
  const presence = new PresencePublisher({
    clock,
    broker: material.name,
    failed: (topic, err) => {
      limitedLog.write('error', 'broker', { topic, err }, 'could not publish an event');
    },
    layer: () => later.layer(),
  });
  const incidents = new IncidentResponse({
    detector: new IncidentDetector(clock, connectsPerDevicePerMinuteMax),
    holds,
    directory,
    reactions: { clone: cloneReaction, overlap: overlapReaction, flapping: flappingReaction },
    report: (...incident) => reporter.incident(...incident),
    // In the next turn: an incident is detected inside an event of the session layer.
    enforce: (id) => void setImmediate(() => later.review().identities([id])),
  });
  const reporter = new EventReporter({
    clock,
    log,
    limitedLog,
    metrics,
    presence,
    feed: feedReporter,
    incidents,
    storeFailed: (error) => fatalError.set(error),
  });
  const relay = new RenewalRelay({
    clock,
    log,
    logRejected: (device, fields) => {
      limitedLog.write('warn', { device }, { ...fields }, 'renewal over MQTT rejected');
    },
    renew: renewOver(enrollUrl, credentials),
    publish: (topic, message) => presence.event(topic, message),
  });
  const lag = new EventLoopLag(clock, (lagMs) => metrics.eventLoopLag.observe(lagMs / 1000));
  return {
    metrics,
    lag,
    reportSender,
    feedReporter,
    presence,
    incidents,
    reporter,
    limitedLog,
    relay,
  };
}

/** Closes connections that are no longer allowed. */
interface Enforcement {
  readonly expiry: ConnectionExpiry;
  readonly review: ConnectionReview;
}

function createEnforcement(
  config: Config,
  { clock }: BrokerEnvironment,
  {
    authorizer,
    directory,
    holds,
    layer,
    material,
  }: Pick<BrokerParts, 'authorizer' | 'directory' | 'holds' | 'layer' | 'material'>,
): Enforcement {
  const expiry = new ConnectionExpiry(clock, directory, config.broker.connectionMaxAge);
  const review = new ConnectionReview({
    ...{ authorizer, clock, directory, layer, expiry, holds, material },
  });
  return { expiry, review };
}

/** Reports the numbers of the broker regularly. */
function createSamples(
  { enrollUrl, clock, log }: BrokerEnvironment,
  parts: Omit<
    BrokerParts,
    keyof Updates | 'samples' | 'queries' | 'journals' | 'node' | 'plugInCore'
  >,
): SampleReporter {
  const { credentials, admitter, authorizer, lag, layer, policySource } = parts;
  const run = randomUUID();
  const startedAtMs = clock.now();
  return new SampleReporter({
    url: enrollUrl,
    clock,
    log,
    credentials,
    sample: () =>
      brokerSample({
        run,
        startedAtMs,
        connections: admitter.connections,
        deniedByRule: authorizer.deniedByRule,
        eventLoopLagMs: lag.lagMs,
        statistics: layer.statistics(),
        policy: policySource.inForce,
      }),
  });
}

/** Follows the directory, the policy file and the certificate files. */
interface Updates {
  readonly enforcer: ChangeEnforcer;
  readonly directoryFile: DirectoryFile;
  readonly feed: FeedClient;
  /** Resolves when the directory is ready because of the feed. */
  readonly firstDirectory: PromiseWithResolvers<undefined>;
  readonly reloader: Reloader;
}

function createUpdates(
  config: Config,
  { state, enrollUrl, clock, log }: BrokerEnvironment,
  parts: Omit<BrokerParts, keyof Updates | 'samples' | 'journals' | 'plugInCore'>,
): Updates {
  const { node, material, directory, metrics, feedReporter, reporter, ports, credentials } = parts;
  const { authorizer, holds, review, layer, presence, queries, policySource } = parts;
  const enforcer = new ChangeEnforcer({
    clock,
    log,
    material,
    ports,
    directory,
    holds,
    review,
    layer,
    presence,
    authorizer,
    applied: (durationMs) => metrics.liveEffectSeconds.observe(durationMs / 1000),
  });
  const directoryFile = new DirectoryFile(state.broker.directory);
  const firstDirectory = Promise.withResolvers<undefined>();
  const feed = new FeedClient({
    url: enrollUrl,
    credentials,
    directory,
    file: directoryFile,
    reporter: feedReporter,
    clock,
    log,
    random: Math.random,
    asked: (line) => queries.take(line),
    fleetPolicy: (text) => void policySource.fleetChanged(text, () => reloader.reloadPolicy()),
    changed: (change) => {
      const closed = enforcer.directoryChanged(change);
      node?.review();
      if (change.kind === 'authorities') reloader.authoritiesChanged();
      if (directory.ready) firstDirectory.resolve(undefined);
      return closed;
    },
  });
  const reloader = new Reloader({
    state,
    enrollUrl,
    clock,
    log,
    material,
    hasRsa: config.tls.rsaServerCertificate,
    metrics,
    policySource,
    failed: (what, error) => reporter.reloadFailed(what, error),
    materialChanged: () => {
      ports.replaceMaterial(material.tls());
      node?.reload();
      feed.reconnect();
    },
    policyChanged: (policy) => enforcer.policyChanged(policy),
  });
  return { enforcer, directoryFile, feed, firstDirectory, reloader };
}

function stallLog(log: Logger): (reason: string | undefined) => void {
  return (reason) => {
    if (reason === undefined) log.warn('the store is written again');
    else log.error({ code: 'store-stalled', detail: reason }, 'the store cannot be written');
  };
}
