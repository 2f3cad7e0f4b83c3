/**
 * One broker: what its parts tell each other.
 *
 * @module
 */
import { randomUUID } from 'node:crypto';
import { Agent } from 'node:https';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Aedes } from 'aedes';
import type { Clock } from '../core/clock.ts';
import type { Config } from '../core/config/config.ts';
import { messageOf, type FlotillaError } from '../core/errors/flotilla-error.ts';
import type { Lifecycle } from '../core/lifecycle.ts';
import type { Logger } from '../core/log.ts';
import type { StateFolder } from '../core/state-folder.ts';
import { admit, review, type Admission } from './admission/admission.ts';
import { tlsFactsOf } from './admission/tls-facts.ts';
import { Directory, type DirectoryChange } from './feed/broker-directory.ts';
import { DirectoryFile } from './feed/directory-file.ts';
import { SampleReporter } from './feed/sample-reporter.ts';
import { brokerSample } from './telemetry/broker-sample.ts';
import { FeedClient, type FeedCredentials } from './feed/feed-client.ts';
import { Reloader } from './reload/reloader.ts';
import { healthChecks, readinessChecks, statusChecks, type Vitals } from './telemetry/health.ts';
import type { Identity } from './contracts/identity.ts';
import { HandshakeGate } from './listeners/handshake-gate.ts';
import { BrokerTlsMaterial } from './certificates/tls-material.ts';
import { TlsListener } from './listeners/tls-listener.ts';
import { WebSocketUpgrade } from './listeners/websocket-upgrade.ts';
import { ConnectionExpiry, type ConnectionEnd } from './enforcement/connection-expiry.ts';
import { IncidentDetector } from './admission/incident-detector.ts';
import { ConnectionReview } from './enforcement/connection-review.ts';
import { IncidentHolds } from './admission/incident-holds.ts';
import { brokerGauges } from './telemetry/broker-gauges.ts';
import { BrokerMetrics } from './telemetry/broker-metrics.ts';
import { EventLoopLag } from './telemetry/event-loop-lag.ts';
import { MetricsServer } from './telemetry/metrics-server.ts';
import { PolicyAuthorizer } from './policy/policy-authorizer.ts';
import { readPolicy } from './policy/policy-file.ts';
import { PresencePublisher } from './fleet-topics/presence.ts';
import { relayOver, RenewalRelay } from './fleet-topics/renewal-relay.ts';
import { EventReporter } from './telemetry/event-reporter.ts';
import { createSessionLayer } from './session/mqtt-session-layer.ts';
import type { Connection, SessionLayer } from './contracts/session-layer.ts';
import { openStore } from './store/open-store.ts';

export interface BrokerParts {
  readonly state: StateFolder;
  readonly enrollUrl: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface BrokerAddresses {
  readonly mqtts: { readonly host: string; readonly port: number };
  readonly wss: { readonly host: string; readonly port: number };
  readonly metrics: { readonly url: string };
}

/** How long a start waits for the first directory when none is kept on disk. */
const firstDirectoryMs = 3000;
/** How long a close waits for connections to end. */
const drainMs = 2000;

/** The parts of one broker that runs. */
export interface RunningBroker {
  readonly addresses: BrokerAddresses;
  readonly aedes: Aedes;
  /** Resolves when the broker cannot do its job any more, with the reason. */
  readonly failed: Promise<FlotillaError>;
  reload(): Promise<void>;
}

/** Starts everything; what was opened is closed by the lifecycle, in reverse order. */
export async function openBroker(
  config: Config,
  parts: BrokerParts,
  lifecycle: Lifecycle,
): Promise<RunningBroker> {
  const { state, clock, log } = parts;
  const material = await BrokerTlsMaterial.read(
    state.broker.identity,
    config.broker.tlsSessionTickets,
  );
  const policy = await readPolicy(state.policy);
  const limits = config.limits.broker;
  const authorizer = new PolicyAuthorizer(policy, limits, config.broker.onDenied);
  const broker = new Broker(config, parts, material, authorizer);
  const layer = await createSessionLayer(config, {
    authorizer,
    events: broker.reports.session,
    intercept: broker.relay.intercept,
    clock,
    log,
    store: await openStore(config, state.broker.store, clock),
  });
  lifecycle.add('session layer', () => layer.close());
  broker.use(layer);
  const metrics = await broker.openMetrics(lifecycle);
  await broker.openDirectory(lifecycle);
  broker.reportSamples(lifecycle);
  await broker.correctPresence();
  const addresses = { ...(await broker.listen(lifecycle)), metrics };
  broker.keepFresh(lifecycle);
  return { addresses, aedes: layer.core, failed: broker.failed, reload: () => broker.reload() };
}

class Broker {
  readonly #config: Config;
  readonly #parts: BrokerParts;
  readonly #material: BrokerTlsMaterial;
  readonly #authorizer: PolicyAuthorizer;
  readonly #directory = new Directory();
  readonly #metrics: BrokerMetrics;
  readonly #gate: HandshakeGate;
  readonly #lag: EventLoopLag;
  readonly #fresh: Reloader;
  readonly #expiry: ConnectionExpiry;
  readonly #incidents: IncidentDetector;
  readonly #restraint = new IncidentHolds();
  readonly reports: EventReporter;
  readonly #failure = Promise.withResolvers<FlotillaError>();
  #fault: FlotillaError | undefined;
  readonly relay: RenewalRelay;
  readonly #listeners: TlsListener[] = [];
  #layer!: SessionLayer;
  #presence!: PresencePublisher;
  #review!: ConnectionReview;
  #feed: FeedClient | undefined;
  #door: WebSocketUpgrade | undefined;
  #connections = 0;
  #lagMs = 0;
  #listening = false;

  constructor(
    config: Config,
    parts: BrokerParts,
    material: BrokerTlsMaterial,
    authorizer: PolicyAuthorizer,
  ) {
    this.#config = config;
    this.#parts = parts;
    this.#material = material;
    this.#authorizer = authorizer;
    const { clock, log } = parts;
    this.#metrics = new BrokerMetrics(() => this.#gauges());
    this.#expiry = new ConnectionExpiry(clock, (connection) => this.#endOf(connection));
    this.#lag = new EventLoopLag(clock, (lagMs) => {
      this.#lagMs = lagMs;
      this.#metrics.eventLoopLag.observe(lagMs / 1000);
    });
    this.#gate = new HandshakeGate(config.limits.broker, {
      clock,
      busy: () => this.#lag.busy,
      refused: (address, code) => this.reports.door.handshakeFailed(address, code, ''),
    });
    this.#incidents = new IncidentDetector(
      clock,
      config.limits.broker.connectsPerDevicePerMinuteMax,
    );
    this.reports = new EventReporter({
      config,
      clock,
      log,
      metrics: this.#metrics,
      incidents: this.#incidents,
      storeFailed: (error) => this.#fail(error),
      restrain: (id, reaction, code) => {
        this.#restraint.add(id, reaction, code, this.#directory.get(id));
        // Later: this is told from inside an event of the session layer.
        setImmediate(() => this.#review.identities([id]));
      },
    });
    this.#fresh = new Reloader({
      ...parts,
      material,
      metrics: this.#metrics,
      refused: (what, error) => this.reports.reloadRefused(what, error),
      materialChanged: () => {
        this.#replaceMaterial();
        this.#feed?.reconnect();
      },
      policyChanged: (policy) => {
        const startMs = clock.monotonicMs();
        this.#authorizer.replace(policy);
        this.#review.policy();
        this.#effective(startMs);
      },
    });
    this.relay = new RenewalRelay({
      log,
      renew: relayOver(parts.enrollUrl, () => this.#credentials()),
      publish: (topic, message) => this.#presence.event(topic, message),
    });
  }

  use(layer: SessionLayer): void {
    const { clock, log } = this.#parts;
    this.#layer = layer;
    this.#presence = new PresencePublisher({ clock, log, layer });
    this.#review = new ConnectionReview({
      clock,
      directory: this.#directory,
      layer,
      expiry: this.#expiry,
      restraint: this.#restraint,
    });
  }

  /** Reads the kept directory, follows the feed, and waits for a directory when there is none. */
  async openDirectory(lifecycle: Lifecycle): Promise<void> {
    const { state, enrollUrl, clock, log } = this.#parts;
    const file = new DirectoryFile(state.broker.directory);
    const kept = await file.read();
    if (kept !== undefined) this.#directory.restore(kept);
    this.#trust(this.#directory.authorities);
    let arrived = (): void => undefined;
    const first = new Promise<void>((resolve) => (arrived = resolve));
    const feed = new FeedClient({
      url: enrollUrl,
      credentials: () => this.#credentials(),
      directory: this.#directory,
      file,
      clock,
      log,
      random: Math.random,
      run: randomUUID(),
      refusalsMax: this.#config.limits.broker.refusalsKeptMax,
      changed: (change) => {
        const closed = this.#changed(change);
        if (this.#directory.ready) arrived();
        return closed;
      },
    });
    this.#feed = feed;
    this.reports.use(this.#presence, feed.reporter);
    feed.start();
    lifecycle.add('feed', () => feed.stop());
    if (kept !== undefined) return;
    const cancel = clock.after(firstDirectoryMs, () => {
      log.warn('no directory yet: everybody is refused until it comes');
      arrived();
    });
    await first;
    cancel();
  }

  /** Reports the numbers of this broker to the enrollment service from now on. */
  reportSamples(lifecycle: Lifecycle): void {
    const { enrollUrl, clock, log } = this.#parts;
    const run = randomUUID();
    const startedAtMs = clock.now();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const reporter = new SampleReporter({
      url: enrollUrl,
      clock,
      log,
      agent,
      credentials: () => this.#credentials(),
      sample: () =>
        brokerSample({
          run,
          startedAtMs,
          connections: this.#admitted(),
          deniedByRule: this.#authorizer.deniedByRule,
          eventLoopLagMs: this.#lagMs,
          statistics: this.#layer.statistics(),
          policy: undefined,
        }),
    });
    reporter.start();
    lifecycle.add('samples', async () => {
      await reporter.stop();
      agent.destroy();
    });
  }

  async correctPresence(): Promise<void> {
    const corrected = await this.#presence.correct();
    if (corrected > 0) this.#parts.log.info({ devices: corrected }, 'presence corrected');
  }

  /** Opens the metrics port: first of all, so that whoever waits for readiness can ask. */
  async openMetrics(lifecycle: Lifecycle): Promise<{ url: string }> {
    const { broker } = this.#config;
    const metrics = new MetricsServer({
      metrics: () => this.#metrics.registry.metrics(),
      metricsType: this.#metrics.registry.contentType,
      health: () => healthChecks(this.#vitals()),
      readiness: () => readinessChecks(this.#vitals()),
      status: () => statusChecks(this.#vitals()),
    });
    const address = await metrics.listen(broker.metricsHost, broker.metricsPort);
    lifecycle.add('metrics', () => metrics.close());
    return address;
  }

  /** Opens the ports for devices. */
  async listen(lifecycle: Lifecycle): Promise<Omit<BrokerAddresses, 'metrics'>> {
    const { broker, host } = this.#config;
    const door = new WebSocketUpgrade(
      {
        packetMaxBytes: this.#config.limits.broker.packetMaxBytes,
        upgradeTimeoutMs: this.#config.limits.broker.connectTimeoutMs,
      },
      {
        clock: this.#parts.clock,
        accept: (stream, identity) => this.#acceptLate(stream, identity),
        refused: (...refusal) => this.reports.session.refused(...refusal),
      },
    );
    lifecycle.add('websocket door', () => door.close());
    this.#door = door;
    const mqtts = this.#listener(
      host,
      broker.mqttsPort,
      ['mqtt', 'x-amzn-mqtt-ca'],
      (socket, identity) => this.#accept(socket, identity),
    );
    const wss = this.#listener(host, broker.wssPort, ['http/1.1'], (socket, identity) =>
      door.take(socket, identity),
    );
    lifecycle.add('listeners', () => this.#closeListeners());
    const addresses = {
      mqtts: await mqtts.listen(),
      wss: await wss.listen(),
    };
    this.#listening = true;
    return addresses;
  }

  /** Watches files and the own certificate from now on. */
  keepFresh(lifecycle: Lifecycle): void {
    this.#lag.start();
    this.#fresh.start();
    lifecycle.add('watches', async () => {
      this.#lag.stop();
      await this.#fresh.stop();
    });
  }

  /** Reads certificates and policy anew; what is broken keeps what was in force. */
  reload(): Promise<void> {
    return this.#fresh.reload();
  }

  #listener(
    host: string,
    port: number,
    alpn: readonly string[],
    accept: (socket: TLSSocket, identity: Identity) => void,
  ): TlsListener {
    const { handshakeTimeoutMs, connectionsMax } = this.#config.limits.broker;
    const listener = new TlsListener(
      { host, port, alpn, handshakeTimeoutMs, connectionsMax },
      this.#material.tls(),
      {
        clock: this.#parts.clock,
        gate: this.#gate,
        events: this.reports.door,
        connectionCount: () => this.#admitted(),
        admit: (socket) => this.#admit(socket),
        accept,
      },
    );
    this.#listeners.push(listener);
    return listener;
  }

  #admit(socket: TLSSocket): Admission {
    const facts = tlsFactsOf(socket, this.#material.authorities);
    const admission = admit(facts, this.#directory, this.#parts.clock.now());
    if (!admission.admitted) return admission;
    const { identity } = admission;
    const { id, serial, standing, notAfterMs } = identity;
    const refused = { admitted: false, detail: '', id, serial } as const;
    const { refuse, finding } = this.#incidents.admitted(identity);
    if (finding !== undefined) this.reports.incident(identity, finding);
    if (refuse) return { ...refused, code: 'device-flapping' };
    const judgement = this.#restraint.apply(id, { standing, notAfterMs });
    if ('code' in judgement) return { ...refused, code: judgement.code };
    identity.standing = judgement.standing;
    return admission;
  }

  #accept(stream: Duplex, identity: Identity): void {
    const connection = this.#layer.accept(stream, identity);
    this.#connections++;
    this.#expiry.watch(connection);
    stream.on('close', () => {
      this.#connections--;
      this.#expiry.forget(connection);
    });
  }

  /** Connections that live, those included that have not come to MQTT. */
  #admitted(): number {
    return this.#connections + (this.#door?.waiting ?? 0);
  }

  /** As {@link #accept}, when the directory may have changed since admission. */
  #acceptLate(stream: Duplex, identity: Identity): void {
    const found = review(identity, this.#directory, this.#parts.clock.now());
    const verdict = this.#restraint.apply(identity.id, found);
    if ('code' in verdict) {
      this.reports.session.refused(identity, verdict.code, '');
      stream.destroy();
      return;
    }
    identity.entry = this.#directory.get(identity.id) ?? identity.entry;
    identity.standing = verdict.standing;
    this.#accept(stream, identity);
  }

  #endOf({ identity, connectedAtMs }: Connection): ConnectionEnd {
    const graceMs = identity.standing === 'renewal-only' ? this.#directory.graceMs : 0;
    const endMs = identity.notAfterMs + graceMs;
    const maxAgeMs = this.#config.broker.connectionMaxAge;
    // Up to a tenth earlier, spread by the moment of connecting: those that came at once after a
    // restart must not all go at once for ever after.
    const oldMs = connectedAtMs + maxAgeMs * (1 - (connectedAtMs % 997) / 9970);
    return maxAgeMs === 0 || endMs <= oldMs
      ? { atMs: endMs, code: 'certificate-expired' }
      : { atMs: oldMs, code: 'connection-too-old' };
  }

  #credentials(): FeedCredentials {
    const { ca, chain, key } = this.#material.identity;
    return { ca, cert: chain, key };
  }

  #changed(change: DirectoryChange): number {
    if (change.kind === 'authorities') {
      this.#trust(change.pem);
      this.#replaceMaterial();
      return 0;
    }
    const startMs = this.#parts.clock.monotonicMs();
    for (const id of change.ids === 'all' ? this.#restraint.ids : change.ids) {
      this.#restraint.sync(this.#directory.get(id), id);
    }
    const closed = this.#review.identities(change.ids);
    this.#effective(startMs);
    // Later, when their connections have said goodbye.
    if (change.removed.length > 0) setImmediate(() => this.#forget(change.removed));
    return closed;
  }

  /** Nothing stays behind of identities that were deleted: sessions, queues, presence. */
  #forget(ids: readonly string[]): void {
    for (const id of ids) {
      if (this.#directory.get(id) !== undefined) continue;
      this.#presence.clear(id);
      this.#layer.forget(id).catch((error: unknown) => {
        this.#parts.log.error({ id, error: messageOf(error) }, 'session not forgotten');
      });
    }
  }

  #effective(startMs: number): void {
    const tookMs = this.#parts.clock.monotonicMs() - startMs;
    this.#metrics.liveEffectSeconds.observe(tookMs / 1000);
  }

  #trust(pem: readonly string[]): void {
    const fault = this.#material.trust(pem);
    if (fault !== undefined)
      this.#parts.log.error({ error: fault }, 'authorities of the feed not used');
  }

  #replaceMaterial(): void {
    for (const listener of this.#listeners) listener.replace(this.#material.tls());
  }

  #fail(error: FlotillaError): void {
    if (this.#fault !== undefined) return;
    this.#fault = error;
    this.#parts.log.error({ reason: error.code, error: error.message }, 'the broker cannot go on');
    this.#failure.resolve(error);
  }

  /** Resolves when the broker cannot do its job any more. */
  get failed(): Promise<FlotillaError> {
    return this.#failure.promise;
  }

  #vitals(): Vitals {
    return {
      nowMs: this.#parts.clock.now(),
      lagMs: this.#lagMs,
      fault: this.#fault,
      listening: this.#listening,
      directory: this.#directory,
      leaf: this.#material.identity.leaf,
      feedConnected: this.#feed?.connected === true,
      reloadFaults: this.#fresh.faults,
      restrained: this.#restraint.size,
    };
  }

  #gauges(): ReturnType<typeof brokerGauges> {
    return brokerGauges({
      nowMs: this.#parts.clock.now(),
      connections: this.#admitted(),
      gate: this.#gate,
      directory: this.#directory,
      feedConnected: this.#feed?.connected === true,
      leaf: this.#material.identity.leaf,
      authorities: this.#material.authorities,
      reloadFailed: this.#fresh.faults.size > 0,
      layer: this.#layer,
      deniedByRule: this.#authorizer.deniedByRule,
    });
  }

  /** Stops listening, lets live connections end with a reason, then ends what is left. */
  async #closeListeners(): Promise<void> {
    this.#listening = false;
    this.#gate.close();
    for (const listener of this.#listeners) listener.stopListening();
    for (const connection of [...this.#layer.connections()])
      connection.close('server-shutting-down');
    await this.#drained();
    await this.#presence.settled();
    this.#expiry.stop();
    await Promise.all(this.#listeners.map((listener) => listener.close()));
  }

  #drained(): Promise<void> {
    const { clock } = this.#parts;
    const endMs = clock.monotonicMs() + drainMs;
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.#connections === 0 || clock.monotonicMs() >= endMs) resolve();
        else setTimeout(look, 5);
      };
      look();
    });
  }
}
