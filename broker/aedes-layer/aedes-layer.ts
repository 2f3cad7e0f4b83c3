/**
 * A session layer on Aedes's own client: MQTT 3.1.1, sessions in memory. It stands in until the
 * broker's own session layer does.
 *
 * @module
 */
import type { Duplex } from 'node:stream';
import aedesPersistence from 'aedes-persistence';
import type { AedesPublishPacket, Client, Subscription } from 'aedes';
import type { Logger } from 'pino';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { catalogue } from '../../core/errors/catalogue.ts';
import { splitShared, topicFilterFault, topicNameFault } from '../../core/topic.ts';
import type { Identity } from '../identity.ts';
import {
  silencingCodes,
  type Connection,
  type OwnMessage,
  type SessionLayer,
  type SessionLayerDeps,
  type SessionStatistics,
} from '../session-layer.ts';
import { BrokerCore, type AedesClient } from './broker-core.ts';

export type AedesLayerDeps = SessionLayerDeps & { readonly clock: Clock; readonly log: Logger };

/** Starts the layer. */
export async function createAedesLayer(
  config: Config,
  deps: AedesLayerDeps,
): Promise<SessionLayer> {
  const layer = new AedesLayer(config, deps);
  await layer.start();
  return layer;
}

/**
 * What is used of aedes-persistence: a CommonJS module whose published types say that the function is
 * its `default`, and that its methods take callbacks; the module is the function, and they promise.
 */
interface MemoryStore {
  addSubscriptions(client: Client, subscriptions: readonly Subscription[]): Promise<void>;
  cleanSubscriptions(client: { readonly id: string }): Promise<void>;
  createRetainedStream(filter: string): AsyncIterable<AedesPublishPacket>;
  destroy(): Promise<void>;
}
const newStore = aedesPersistence as unknown as () => MemoryStore;

/** One client of Aedes, seen from the front. */
class AedesConnection implements Connection {
  readonly identity: Identity;
  readonly connectedAtMs: number;
  clientId: string | undefined;
  protocolVersion: number | undefined;
  announced = false;
  closeCode: ErrorCode | undefined;
  /** Filters that were granted, with what was asked; what persistence may store. */
  readonly granted = new Set<string>();
  client: AedesClient | undefined;
  readonly #layer: AedesLayer;
  readonly #stream: Duplex;

  constructor(layer: AedesLayer, stream: Duplex, identity: Identity, nowMs: number) {
    this.#layer = layer;
    this.#stream = stream;
    this.identity = identity;
    this.connectedAtMs = nowMs;
  }

  reauthorise(): void {
    const { client } = this;
    if (client === undefined) return;
    const lost = Object.entries(client.subscriptions)
      .filter(([filter, sub]) => !this.#layer.maySubscribe(this.identity, filter, sub?.qos ?? 0))
      .map(([filter]) => filter);
    for (const filter of lost) this.granted.delete(filter);
    if (lost.length > 0)
      client.unsubscribe({ cmd: 'unsubscribe', unsubscriptions: lost }, () => undefined);
  }

  close(code: ErrorCode): void {
    if (this.closeCode !== undefined || this.#stream.destroyed) return;
    this.closeCode = code;
    if (silencingCodes.has(code) && this.client !== undefined) this.client.will = null;
    this.#stream.destroy();
  }
}

class AedesLayer implements SessionLayer {
  readonly #config: Config;
  readonly #deps: AedesLayerDeps;
  readonly #broker: BrokerCore;
  readonly #store = newStore();
  readonly #byStream = new WeakMap<Duplex, AedesConnection>();
  readonly #live = new Set<AedesConnection>();
  readonly #byId = new Map<string, Set<AedesConnection>>();
  readonly #messagesIn: [number, number, number] = [0, 0, 0];
  readonly #messagesOut: [number, number, number] = [0, 0, 0];

  constructor(config: Config, deps: AedesLayerDeps) {
    this.#config = config;
    this.#deps = deps;
    const limits = config.limits.broker;
    // A SUBSCRIBE is stored whole by aedes, denied filters included: only granted ones may pass.
    const add = this.#store.addSubscriptions.bind(this.#store);
    this.#store.addSubscriptions = (client, subscriptions) =>
      add(
        client,
        subscriptions.filter(({ topic }) => this.#of(client)?.granted.has(topic) === true),
      );
    this.#broker = new BrokerCore({
      concurrency: 0,
      heartbeatInterval: 60_000,
      connectTimeout: limits.connectTimeoutMs,
      drainTimeout: 10_000,
      maxInflightInbound: limits.inflightInMax,
      maxTopicLevels: Math.min(100, limits.topicLevelsMax),
      persistence: this.#store,
      preConnect: (_client, _packet, done) => done(null, true),
      authenticate: (client, _user, _password, done) => {
        const code = this.#refusal(client as AedesClient);
        if (code === undefined) return done(null, true);
        const returnCode = (catalogue[code].mqtt3 ?? 5) as 5;
        return done(Object.assign(new Error(code), { returnCode }), null);
      },
      authorizePublish: (client, packet, done) => {
        if (client === null) return done(null);
        return done(this.#publishFault(client as AedesClient, packet as AedesPublishPacket));
      },
      authorizeSubscribe: (client, subscription, done) => {
        done(null, this.#grant(client as AedesClient, subscription) ? subscription : null);
      },
      authorizeForward: (client, packet) =>
        this.#mayForward(client as AedesClient, packet) ? packet : null,
      published: (_packet, _client, done) => done(null),
    });
    this.#broker.takenOver = (client) => {
      const connection = this.#of(client);
      if (connection !== undefined) connection.closeCode ??= 'session-taken-over';
    };
    this.#broker.on('connackSent', ({ returnCode }, client) => {
      if (returnCode === 0) this.#connected(client as AedesClient);
    });
    this.#broker.on('clientError', (client, error) => this.#failed(client, error));
    this.#broker.on('connectionError', (client, error) => this.#failed(client, error));
    (this.#broker as NodeJS.EventEmitter).on('error', (error) =>
      deps.log.error({ error }, 'aedes failed'),
    );
  }

  async start(): Promise<void> {
    await this.#broker.listen();
  }

  accept(stream: Duplex, identity: Identity): Connection {
    const connection = new AedesConnection(this, stream, identity, this.#deps.clock.now());
    this.#byStream.set(stream, connection);
    this.#live.add(connection);
    const own = this.#byId.get(identity.id) ?? new Set();
    this.#byId.set(identity.id, own.add(connection));
    stream.once('close', () => this.#gone(connection));
    const client = this.#broker.handle(stream) as AedesClient;
    connection.client = client;
    // aedes drops messages that another one overtook; delivering one twice is allowed, losing is not.
    client.duplicates = new Proxy(
      {},
      { get: () => 0, set: () => true, deleteProperty: () => true },
    );
    this.#boundPackets(client);
    return connection;
  }

  connections(): Iterable<Connection> {
    return this.#live;
  }

  connectionsOf(id: string): readonly Connection[] {
    return [...(this.#byId.get(id) ?? [])];
  }

  publish(message: OwnMessage): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#broker.publish({ cmd: 'publish', dup: false, ...message }, (error) =>
        error ? reject(error) : resolve(),
      );
    });
  }

  async *retained(filter: string): AsyncIterable<{ topic: string; payload: Buffer }> {
    const stream = this.#store.createRetainedStream(filter);
    for await (const { topic, payload } of stream) yield { topic, payload: Buffer.from(payload) };
  }

  statistics(): SessionStatistics {
    let subscriptions = 0;
    for (const { client } of this.#live) {
      subscriptions += client === undefined ? 0 : Object.keys(client.subscriptions).length;
    }
    return {
      messagesIn: this.#messagesIn,
      messagesOut: this.#messagesOut,
      bytesIn: 0,
      bytesOut: 0,
      sessions: this.#live.size,
      subscriptions,
      retained: 0,
      queuedMessages: 0,
      queuedBytes: 0,
      storeCommits: 0,
      storeCommitMs: 0,
    };
  }

  async forget(id: string): Promise<void> {
    await this.#store.cleanSubscriptions({ id });
  }

  async close(): Promise<void> {
    for (const connection of this.#live) connection.close('server-shutting-down');
    await new Promise<void>((resolve) => this.#broker.close(() => resolve()));
    await this.#store.destroy();
  }

  maySubscribe(identity: Identity, filter: string, qos: 0 | 1 | 2): boolean {
    const shared = splitShared(filter);
    if (shared === 'malformed') return false;
    const { authorizer, events } = this.#deps;
    const verdict = authorizer.subscribe(identity, shared?.filter ?? filter, qos);
    if (!verdict.allowed) events.denied(identity, 'subscribe', filter, verdict.code);
    return verdict.allowed;
  }

  #of(client: Client): AedesConnection | undefined {
    return this.#byStream.get(client.conn);
  }

  #refusal(client: AedesClient): ErrorCode | undefined {
    const connection = this.#of(client);
    if (connection === undefined) return 'internal';
    const { identity } = connection;
    const { authorizer, events } = this.#deps;
    const verdict = authorizer.connect(identity, client.id);
    let code = verdict.allowed ? undefined : verdict.code;
    if (code === undefined && this.#ownedByAnother(client.id, identity.id)) {
      code = 'client-id-not-allowed';
    }
    const others = this.connectionsOf(identity.id).filter(
      ({ clientId }) => clientId !== undefined && clientId !== client.id,
    );
    if (code === undefined && others.length >= authorizer.limits(identity).connectionsMax) {
      code = 'device-connections-too-many';
    }
    const will = (client as { _will?: AedesPublishPacket })._will;
    if (code === undefined && will !== undefined) code = this.#willFault(identity, will);
    if (code !== undefined) events.refused(identity, code, `client id ${client.id.slice(0, 128)}`);
    return code;
  }

  #ownedByAnother(clientId: string, id: string): boolean {
    const holder = this.#broker.inside.clients[clientId];
    return holder !== undefined && this.#of(holder)?.identity.id !== id;
  }

  #willFault(identity: Identity, will: AedesPublishPacket): ErrorCode | undefined {
    if (topicNameFault(will.topic) !== undefined) return 'protocol-error';
    const { topic, qos, retain, payload } = will;
    const verdict = this.#deps.authorizer.publish(identity, topic, qos, retain, payload.length);
    return verdict.allowed ? undefined : verdict.code;
  }

  #publishFault(client: AedesClient, packet: AedesPublishPacket): Error | null {
    const identity = this.#of(client)?.identity;
    if (identity === undefined) return new Error('no identity');
    const { topic, qos, retain, payload } = packet;
    if (topicNameFault(topic) !== undefined) return new Error('protocol-error');
    this.#messagesIn[qos]++;
    const { authorizer, events, intercept } = this.#deps;
    const verdict = authorizer.publish(identity, topic, qos, retain, payload.length);
    if (verdict.allowed) {
      if (intercept(identity, topic, Buffer.from(payload))) this.#divert(packet);
      return null;
    }
    events.denied(identity, 'publish', topic, verdict.code);
    if (authorizer.onDenied === 'drop') {
      this.#divert(packet);
      return null;
    }
    return new Error(verdict.code);
  }

  /** Sends a packet where nobody listens: aedes has no way to acknowledge without routing. */
  #divert(packet: AedesPublishPacket): void {
    packet.topic = `$SYS/${this.#broker.id}/taken`;
    packet.retain = false;
  }

  #grant(client: AedesClient, { topic, qos }: Subscription): boolean {
    const connection = this.#of(client);
    if (connection === undefined || topicFilterFault(topic) !== undefined) return false;
    const max = this.#deps.authorizer.limits(connection.identity).subscriptionsMax;
    const granted =
      connection.granted.size < max && this.maySubscribe(connection.identity, topic, qos);
    if (granted) connection.granted.add(topic);
    return granted;
  }

  #mayForward(client: AedesClient, packet: AedesPublishPacket): boolean {
    const connection = this.#of(client);
    if (connection === undefined) return false;
    const { identity } = connection;
    const { authorizer, events } = this.#deps;
    if (!authorizer.receive(identity, packet.topic)) {
      events.denied(identity, 'receive', packet.topic, 'receive-denied');
      return false;
    }
    const waiting = client.conn.writableLength;
    const max = this.#config.limits.broker.outboundPerConnectionMaxBytes;
    if (waiting > max && packet.qos === 0) {
      events.dropped(identity, 'outbound-full', 1);
      return false;
    }
    if (waiting > 2 * max) connection.close('outbound-too-slow');
    this.#messagesOut[packet.qos]++;
    return true;
  }

  /** Checks the declared length of each packet before any of it is gathered. */
  #boundPackets(client: AedesClient): void {
    const parser = client._parser;
    const { connectPacketMaxBytes, packetMaxBytes } = this.#config.limits.broker;
    const parseLength = parser._parseLength.bind(parser);
    parser._parseLength = () => {
      const known = parseLength();
      const max = client.connected ? packetMaxBytes : connectPacketMaxBytes;
      if (!known || parser.packet.length <= max) return known;
      this.#of(client)?.close('packet-too-large');
      return false;
    };
  }

  #connected(client: AedesClient): void {
    const connection = this.#of(client);
    if (connection === undefined || connection.announced) return;
    connection.clientId = client.id;
    connection.protocolVersion = client.version;
    connection.announced = true;
    this.#deps.events.connected(connection);
  }

  #failed(client: Client, error: Error): void {
    const connection = this.#of(client);
    if (connection === undefined) return;
    connection.closeCode ??= faults.get(error.message) ?? 'protocol-error';
  }

  #gone(connection: AedesConnection): void {
    this.#live.delete(connection);
    const own = this.#byId.get(connection.identity.id);
    own?.delete(connection);
    if (own?.size === 0) this.#byId.delete(connection.identity.id);
    if (!connection.announced) return;
    const clean = connection.client?._disconnected === true;
    const code = connection.closeCode ?? (clean ? undefined : 'connection-lost');
    this.#deps.events.disconnected(connection, code);
  }
}

const faults: ReadonlyMap<string, ErrorCode> = new Map<string, ErrorCode>([
  ['keep alive timeout', 'keep-alive-timeout'],
  ['connect did not arrive in time', 'connect-timeout'],
  ['publish-denied', 'publish-denied'],
  ['topic-reserved', 'topic-reserved'],
  ['payload-too-large', 'payload-too-large'],
  ['read ECONNRESET', 'connection-lost'],
  ['Premature close', 'connection-lost'],
  ['drain timeout', 'outbound-too-slow'],
]);
