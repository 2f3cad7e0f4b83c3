/**
 * One broker: what its parts tell each other.
 *
 * @module
 */
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../core/clock.ts';
import type { Config } from '../core/config.ts';
import type { ErrorCode } from '../core/errors/catalogue.ts';
import { messageOf } from '../core/errors/flotilla-error.ts';
import type { Lifecycle } from '../core/lifecycle.ts';
import type { Logger } from '../core/log.ts';
import type { StateFolder } from '../core/state-folder.ts';
import { admit, type Admission } from './admission/admission.ts';
import { tlsFactsOf } from './admission/tls-facts.ts';
import { createAedesLayer } from './aedes-layer/aedes-layer.ts';
import { Directory, type DirectoryChange } from './directory/directory.ts';
import { DirectoryFile } from './directory/directory-file.ts';
import { FeedClient } from './directory/feed-client.ts';
import type { Identity } from './identity.ts';
import { HandshakeGate } from './listener/handshake-gate.ts';
import { Material } from './listener/material.ts';
import { TlsListener, type DoorEvents } from './listener/tls-listener.ts';
import { WebSocketDoor } from './listener/websocket-door.ts';
import { ExpiryWatch, type End } from './live/expiry-watch.ts';
import { LiveReview } from './live/live-review.ts';
import { QuietLog } from './live/quiet-log.ts';
import { brokerGauges } from './metrics/broker-gauges.ts';
import { BrokerMetrics } from './metrics/broker-metrics.ts';
import { MetricsServer, type Check } from './metrics/metrics-server.ts';
import { PolicyAuthorizer } from './policy/policy-authorizer.ts';
import { readPolicy } from './policy/policy-file.ts';
import { PresencePublisher } from './presence/presence.ts';
import type { Connection, SessionEvents, SessionLayer } from './session-layer.ts';

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
/** Log lines a second for one identity or address. */
const linesPerSecond = 10;

/** The parts of one broker that runs. */
export interface RunningBroker {
  readonly addresses: BrokerAddresses;
  reload(): Promise<void>;
}

/** Starts everything; what was opened is closed by the lifecycle, in reverse order. */
export async function openBroker(
  config: Config,
  parts: BrokerParts,
  lifecycle: Lifecycle,
): Promise<RunningBroker> {
  const { state, clock, log } = parts;
  const material = await Material.read(state.broker.identity, config.broker.tlsSessionTickets);
  const policy = await readPolicy(state.policy);
  const limits = config.limits.broker;
  const authorizer = new PolicyAuthorizer(policy, limits, config.broker.onDenied);
  const broker = new Broker(config, parts, material, authorizer);
  const layer = await createAedesLayer(config, {
    authorizer,
    events: broker.sessionEvents,
    intercept: () => false,
    clock,
    log,
  });
  lifecycle.add('session layer', () => layer.close());
  broker.use(layer);
  await broker.openDirectory(lifecycle);
  await broker.correctPresence();
  const addresses = await broker.listen(lifecycle);
  return { addresses, reload: () => broker.reload() };
}

class Broker {
  readonly #config: Config;
  readonly #parts: BrokerParts;
  readonly #material: Material;
  readonly #authorizer: PolicyAuthorizer;
  readonly #quiet: QuietLog;
  readonly #directory = new Directory();
  readonly #metrics: BrokerMetrics;
  readonly #gate: HandshakeGate;
  readonly #expiry: ExpiryWatch;
  readonly #listeners: TlsListener[] = [];
  #layer!: SessionLayer;
  #presence!: PresencePublisher;
  #review!: LiveReview;
  #feed!: FeedClient;
  #connections = 0;
  #reloadFailed = false;
  #listening = false;

  constructor(
    config: Config,
    parts: BrokerParts,
    material: Material,
    authorizer: PolicyAuthorizer,
  ) {
    this.#config = config;
    this.#parts = parts;
    this.#material = material;
    this.#authorizer = authorizer;
    const { clock, log } = parts;
    this.#quiet = new QuietLog(log, clock, linesPerSecond);
    this.#metrics = new BrokerMetrics(() => this.#gauges());
    this.#expiry = new ExpiryWatch(clock, (connection) => this.#endOf(connection));
    this.#gate = new HandshakeGate(config.limits.broker, {
      clock,
      refused: (address, code) => this.#doorEvents.handshakeFailed(address, code, ''),
    });
  }

  use(layer: SessionLayer): void {
    const { clock, log } = this.#parts;
    this.#layer = layer;
    this.#presence = new PresencePublisher({ clock, log, layer });
    this.#review = new LiveReview({
      clock,
      directory: this.#directory,
      layer,
      expiry: this.#expiry,
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
    this.#feed = new FeedClient({
      url: enrollUrl,
      credentials: () => {
        const { ca, chain, key } = this.#material.identity;
        return { ca, cert: chain, key };
      },
      directory: this.#directory,
      file,
      clock,
      log,
      random: Math.random,
      changed: (change) => {
        const closed = this.#changed(change);
        if (this.#directory.ready) arrived();
        return closed;
      },
    });
    this.#feed.start();
    lifecycle.add('feed', () => this.#feed.stop());
    if (kept !== undefined) return;
    const cancel = clock.after(firstDirectoryMs, () => {
      log.warn('no directory yet: everybody is refused until it comes');
      arrived();
    });
    await first;
    cancel();
  }

  async correctPresence(): Promise<void> {
    const corrected = await this.#presence.correct();
    if (corrected > 0) this.#parts.log.info({ devices: corrected }, 'presence corrected');
  }

  /** Opens the ports. */
  async listen(lifecycle: Lifecycle): Promise<BrokerAddresses> {
    const { broker, host } = this.#config;
    const metrics = new MetricsServer({
      metrics: () => this.#metrics.registry.metrics(),
      metricsType: this.#metrics.registry.contentType,
      health: () => [{ name: 'event loop', ok: true, detail: 'it answers' }],
      readiness: () => this.#readiness(),
    });
    const metricsAddress = await metrics.listen(broker.metricsHost, broker.metricsPort);
    lifecycle.add('metrics', () => metrics.close());
    const door = new WebSocketDoor(
      {
        packetMaxBytes: this.#config.limits.broker.packetMaxBytes,
        upgradeTimeoutMs: this.#config.limits.broker.connectTimeoutMs,
      },
      (stream, identity) => this.#accept(stream, identity),
    );
    lifecycle.add('websocket door', () => door.close());
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
      metrics: metricsAddress,
    };
    this.#listening = true;
    return addresses;
  }

  /** Reads certificates and policy anew; what is broken keeps what was in force. */
  async reload(): Promise<void> {
    const failures: string[] = [];
    await this.#reloading('certificates', failures, async () => {
      if (await this.#material.reload()) this.#replaceMaterial();
    });
    await this.#reloading('policy', failures, async () => {
      this.#authorizer.replace(await readPolicy(this.#parts.state.policy));
      this.#review.policy();
    });
    this.#reloadFailed = failures.length > 0;
  }

  readonly sessionEvents: SessionEvents = {
    connected: (connection) => {
      const { identity, protocolVersion, clientId } = connection;
      this.#metrics.connectionsOpened.inc({ protocol: String(protocolVersion ?? 0) });
      this.#parts.log.debug(
        { id: identity.id, clientId, address: identity.remoteAddress },
        'connected',
      );
      this.#presence.connected(connection);
      this.#reportPresence(identity, true);
    },
    disconnected: (connection, code) => {
      const { identity } = connection;
      this.#metrics.connectionsClosed.inc({ reason: code ?? 'client-disconnected' });
      if (code === undefined) this.#parts.log.debug({ id: identity.id }, 'disconnected');
      else
        this.#quiet.write(
          'info',
          identity.id,
          { id: identity.id, reason: code },
          'connection ended',
        );
      const offline = this.#presence.disconnected(connection, code);
      if (offline) this.#reportPresence(identity, false, code ?? 'client-disconnected');
    },
    refused: (identity, code, detail) => {
      this.#refused(identity.id, identity.remoteAddress, code, detail, 'connect');
    },
    denied: (identity, action, topic, code) => {
      this.#metrics.denied.inc({ action, reason: code });
      const facts = { id: identity.id, action, topic: topic.slice(0, 256), reason: code };
      this.#quiet.write('info', `denied ${identity.id}`, facts, 'denied');
    },
    dropped: (identity, reason, messages) => {
      this.#metrics.dropped.inc({ reason }, messages);
      this.#quiet.write(
        'info',
        `dropped ${identity.id}`,
        { id: identity.id, reason, messages },
        'dropped',
      );
    },
  };

  readonly #doorEvents: DoorEvents = {
    handshake: (kind, durationMs) => {
      this.#metrics.handshakes.inc({ kind });
      this.#metrics.handshakeSeconds.observe({ kind }, durationMs / 1000);
    },
    handshakeFailed: (address, code, detail) => {
      this.#metrics.handshakesFailed.inc({ reason: code });
      const facts = { address, reason: code, detail };
      this.#quiet.write('warn', `handshake ${address}`, facts, 'handshake failed');
    },
    refused: (address, refusal, tls) => {
      const how = tls.resumed ? `${tls.version} resumed` : tls.version;
      this.#refused(refusal.id, address, refusal.code, refusal.detail, how);
    },
  };

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
        events: this.#doorEvents,
        connectionCount: () => this.#connections,
        admit: (socket) => this.#admit(socket),
        accept,
      },
    );
    this.#listeners.push(listener);
    return listener;
  }

  #admit(socket: TLSSocket): Admission {
    const facts = tlsFactsOf(socket, this.#material.authorities);
    return admit(facts, this.#directory, this.#parts.clock.now());
  }

  #accept(stream: Duplex, identity: Identity): void {
    const connection = this.#layer.accept(stream, identity);
    this.#connections++;
    this.#expiry.watch(connection);
    stream.once('close', () => {
      this.#connections--;
      this.#expiry.forget(connection);
    });
  }

  #endOf({ identity }: Connection): End {
    const graceMs = identity.standing === 'renewal-only' ? this.#directory.graceMs : 0;
    return { atMs: identity.notAfterMs + graceMs, code: 'certificate-expired' };
  }

  #refused(
    id: string | undefined,
    address: string,
    code: ErrorCode,
    detail: string,
    stage: string,
  ): void {
    this.#metrics.refused.inc({ reason: code });
    this.#quiet.write(
      'warn',
      `refused ${id ?? address}`,
      { id, address, reason: code, detail, stage },
      'refused',
    );
    this.#presence.refused(id, code, address);
  }

  #changed(change: DirectoryChange): number {
    if (change.kind === 'authorities') {
      this.#trust(change.pem);
      this.#replaceMaterial();
      return 0;
    }
    const startMs = this.#parts.clock.monotonicMs();
    const closed = this.#review.identities(change.ids);
    const tookMs = this.#parts.clock.monotonicMs() - startMs;
    this.#metrics.liveEffectSeconds.observe(tookMs / 1000);
    return closed;
  }

  #trust(pem: readonly string[]): void {
    const fault = this.#material.trust(pem);
    if (fault !== undefined)
      this.#parts.log.error({ error: fault }, 'authorities of the feed not used');
  }

  #replaceMaterial(): void {
    for (const listener of this.#listeners) listener.replace(this.#material.tls());
  }

  async #reloading(what: string, failures: string[], act: () => Promise<void>): Promise<void> {
    try {
      await act();
      this.#metrics.reloads.inc({ what, outcome: 'done' });
    } catch (error) {
      failures.push(what);
      this.#metrics.reloads.inc({ what, outcome: 'failed' });
      this.#parts.log.error({ what, error: messageOf(error) }, 'reload failed, the old one stays');
    }
  }

  #reportPresence(identity: Identity, connected: boolean, reason?: string): void {
    this.#feed.presence({
      id: identity.id,
      connected,
      atMs: this.#parts.clock.now(),
      serial: identity.serial,
      remoteAddress: identity.remoteAddress.slice(0, 64),
      ...(reason === undefined ? {} : { reason }),
    });
  }

  #readiness(): readonly Check[] {
    const { leaf } = this.#material.identity;
    const endsMs = leaf.validToDate.getTime();
    return [
      { name: 'listening', ok: this.#listening, detail: this.#listening ? 'yes' : 'no' },
      {
        name: 'directory',
        ok: this.#directory.ready,
        detail: `${this.#directory.size} identities, change ${this.#directory.sequence}`,
      },
      {
        name: 'server certificate',
        ok: endsMs > this.#parts.clock.now(),
        detail: `ends ${leaf.validToDate.toISOString()}`,
      },
    ];
  }

  #gauges(): ReturnType<typeof brokerGauges> {
    return brokerGauges({
      nowMs: this.#parts.clock.now(),
      connections: this.#connections,
      gate: this.#gate,
      directory: this.#directory,
      feedConnected: this.#feed.connected,
      leaf: this.#material.identity.leaf,
      authorities: this.#material.authorities,
      reloadFailed: this.#reloadFailed,
      layer: this.#layer,
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
