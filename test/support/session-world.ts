/**
 * A session layer on real sockets: TCP for raw packets, mutual TLS for real clients.
 *
 * @module
 */
import { connect as connectTcp, createServer as createTcpServer, type Socket } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Duplex } from 'node:stream';
import type { ExecutionContext } from 'ava';
import { generate, parser, type Packet } from 'mqtt-packet';
import { uncheckedIdentity } from '../../bench/unchecked-identity.ts';
import { commonNameOf } from '../../certs/certificate.ts';
import { systemClock, type Clock } from '../../core/clock.ts';
import { checkConfig, type Config, type ConfigInput } from '../../core/config/config.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { silentLog } from '../../core/log.ts';
import type { Authorizer, SessionLimits } from '../../broker/contracts/authorizer.ts';
import type { Verdict } from '../../core/policy/policy-verdict.ts';
import type { Identity } from '../../broker/contracts/identity.ts';
import type { RightsNow } from '../../broker/contracts/identity-rights.ts';
import type { Connection } from '../../broker/contracts/session-layer.ts';
import { StreamWire } from '../../broker/listeners/stream-wire.ts';
import {
  createSessionLayer,
  type MqttSessionLayer,
} from '../../broker/session/mqtt-session-layer.ts';
import type { Partition } from '../../broker/session/peers/session-peers.ts';
import type { SessionStore } from '../../broker/store/session-store.ts';
import { BorrowedWire } from './borrowed-wire.ts';
import { testCa, type TestCa, type TestIdentity } from './test-ca.ts';
import { until } from './until.ts';

/** A policy that a test can change. By default it allows everything. */
export class TestAuthorizer implements Authorizer {
  version = 1;
  onDenied: 'close' | 'drop' = 'close';
  deny: {
    connect?: (identity: Identity, clientId: string) => boolean;
    publish?: (identity: Identity, topic: string, bytes: number) => boolean;
    subscribe?: (identity: Identity, filter: string) => boolean;
    receive?: (identity: Identity, topic: string) => boolean;
  } = {};
  /** The identities that lost their rights, with the reason. */
  readonly lost = new Map<string, ErrorCode>();
  /** How often a publish was authorized. */
  publishDecisions = 0;
  own: SessionLimits = {
    messagesPerSecond: 0,
    messagesBurst: 0,
    bytesPerSecond: 0,
    bytesBurst: 0,
    connectionsMax: 1000,
    subscriptionsMax: 100,
    inflightMax: 65_535,
    queueMaxMessages: 10_000,
    queueMaxBytes: 16_777_216,
    queueOverflow: 'drop-oldest',
    queueQos0: false,
    payloadMaxBytes: 1_048_576,
    retainedMax: 1_000_000,
    retainedMaxBytes: 536_870_912,
    sessionExpiryMaxSeconds: 604_800,
  };

  connect(identity: Identity, clientId: string): Verdict {
    return verdict(this.deny.connect?.(identity, clientId), 'client-id-not-allowed');
  }

  publish(
    identity: Identity,
    topic: string,
    _qos: 0 | 1 | 2,
    _retain: boolean,
    bytes: number,
  ): Verdict {
    this.publishDecisions++;
    if (topic.startsWith('$SYS/')) return verdict(true, 'topic-reserved');
    return verdict(this.deny.publish?.(identity, topic, bytes), 'publish-denied');
  }

  subscribe(identity: Identity, filter: string): Verdict {
    return verdict(this.deny.subscribe?.(identity, filter), 'subscribe-denied');
  }

  receive(identity: Identity, topic: string): boolean {
    return this.deny.receive?.(identity, topic) !== true;
  }

  limits(): SessionLimits {
    return this.own;
  }

  /** The rights of an identity without a connection. */
  rights(id: string, last: Identity | undefined): RightsNow {
    const code = this.lost.get(id);
    return code === undefined ? { identity: last ?? identityOf(id) } : { code };
  }
}

function verdict(denied: boolean | undefined, code: ErrorCode): Verdict {
  return denied === true
    ? { allowed: false, code, rule: undefined }
    : { allowed: true, rule: 'test', always: true };
}

export interface WorldOptions {
  readonly config?: ConfigInput;
  readonly clock?: Clock;
  readonly store?: SessionStore;
  readonly authorizer?: TestAuthorizer;
  readonly intercept?: (identity: Identity, topic: string, payload: Buffer) => boolean;
  readonly partition?: Partition;
}

export interface WorldEvent {
  readonly kind:
    | 'connected'
    | 'disconnected'
    | 'offline'
    | 'still-online'
    | 'refused'
    | 'denied'
    | 'dropped'
    | 'store-failed';
  readonly id: string;
  readonly code: string | undefined;
  readonly count: number;
}

/** A running session layer and the events that it reported. */
export class World {
  readonly layer: MqttSessionLayer;
  readonly authorizer: TestAuthorizer;
  readonly config: Config;
  readonly events: WorldEvent[];
  readonly port: number;
  readonly #server: Server;
  readonly #next: (() => Identity)[];
  #servers: { close(): void }[] = [];

  constructor(
    layer: MqttSessionLayer,
    authorizer: TestAuthorizer,
    config: Config,
    events: WorldEvent[],
    server: Server,
    next: (() => Identity)[],
  ) {
    this.layer = layer;
    this.authorizer = authorizer;
    this.config = config;
    this.events = events;
    this.#server = server;
    this.#next = next;
    this.port = (server.address() as AddressInfo).port;
  }

  count(kind: WorldEvent['kind'], code?: string): number {
    return this.events
      .filter((event) => event.kind === kind && (code === undefined || event.code === code))
      .reduce((sum, event) => sum + event.count, 0);
  }

  /** Opens a TCP connection with `id` as its identity. */
  async raw(id: string | Identity = 'device-1'): Promise<RawClient> {
    this.#next.push(() => (typeof id === 'string' ? identityOf(id) : id));
    const socket = connectTcp(this.port, '127.0.0.1');
    const client = new RawClient(socket);
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return client;
  }

  /** Opens a connection, sends CONNECT and waits for CONNACK. */
  async connect(options: ConnectOptions = {}): Promise<RawClient> {
    const client = await this.raw(options.identity ?? options.clientId ?? 'device-1');
    client.connect(options);
    const connack = await client.next('connack');
    client.connack = connack;
    return client;
  }

  /** Starts a mutual TLS listener. The identity is the common name of the certificate. */
  async tls(
    ca: TestCa = testCa(),
  ): Promise<{ port: number; ca: TestCa; device: (id: string) => TestIdentity }> {
    const own = ca.issue({
      profile: 'server',
      commonName: 'localhost',
      names: ['localhost', '127.0.0.1'],
    });
    const server = createTlsServer(
      { key: own.key, cert: own.cert, ca: ca.ca, requestCert: true, rejectUnauthorized: true },
      (socket) => {
        const certificate = socket.getPeerX509Certificate();
        const name = certificate === undefined ? undefined : commonNameOf(certificate);
        if (name?.ok !== true) socket.destroy();
        else this.layer.accept(new StreamWire(socket), identityOf(name.id));
      },
    );
    server.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.#servers.push(server);
    return {
      port: (server.address() as AddressInfo).port,
      ca,
      device: (id) => ca.issue({ profile: 'device', commonName: id }),
    };
  }

  accept(stream: Duplex, id: string): Connection {
    return this.layer.accept(new StreamWire(stream), identityOf(id));
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const server of this.#servers) server.close();
    await this.layer.close();
  }
}

/** Starts a session layer, and closes it after the test. */
export async function startWorld(
  t: Pick<ExecutionContext, 'teardown'>,
  options: WorldOptions = {},
): Promise<World> {
  const authorizer = options.authorizer ?? new TestAuthorizer();
  const config = checkConfig(options.config ?? {});
  const events: WorldEvent[] = [];
  const report = (
    kind: WorldEvent['kind'],
    id: string,
    code: string | undefined,
    count = 1,
  ): void => void events.push({ kind, id, code, count });
  const layer = await createSessionLayer(config, {
    authorizer,
    clock: options.clock ?? systemClock,
    log: silentLog,
    intercept: options.intercept ?? (() => false),
    rights: { of: (id, last) => authorizer.rights(id, last) },
    events: {
      connected: ({ identity }, takesOver) => {
        report('connected', identity.id, takesOver ? 'session-taken-over' : undefined);
      },
      disconnected: ({ identity }, code, other) => {
        report('disconnected', identity.id, code);
        report(other === undefined ? 'offline' : 'still-online', identity.id, code);
      },
      refused: ({ id }, code) => report('refused', id, code),
      denied: ({ id }, _action, _topic, code) => report('denied', id, code),
      storeFailed: (error) => report('store-failed', '', error.code),
      dropped: ({ id }, reason, messages) => report('dropped', id, reason, messages),
    },
    ...(options.store === undefined ? {} : { store: options.store }),
    ...(options.partition === undefined ? {} : { partition: options.partition }),
  });
  const next: (() => Identity)[] = [];
  const server = createTcpServer({ noDelay: true }, (socket) => {
    const identity = next.shift()?.() ?? identityOf('unknown');
    layer.accept(new BorrowedWire(socket, layer.scheduler), identity);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const world = new World(layer, authorizer, config, events, server, next);
  t.teardown(() => world.close());
  return world;
}

/** The identity of a client id: its device, without a suffix behind a slash. */
export function identityOf(id: string): Identity {
  const [device = id] = id.split('/');
  return uncheckedIdentity(device);
}

export interface ConnectOptions {
  readonly identity?: string | Identity;
  readonly clientId?: string;
  readonly version?: 3 | 4 | 5;
  readonly clean?: boolean;
  readonly keepAlive?: number;
  readonly will?: {
    readonly topic: string;
    readonly payload: Buffer;
    readonly qos?: 0 | 1 | 2;
    readonly retain?: boolean;
    readonly properties?: object;
  };
  readonly properties?: object;
}

/** A received packet as mqtt-packet decodes it. */
export type Received = Packet & {
  readonly returnCode?: number;
  readonly reasonCode?: number;
  readonly sessionPresent?: boolean;
  readonly topic?: string;
  readonly payload?: Buffer;
  readonly qos?: number;
  readonly dup?: boolean;
  readonly retain?: boolean;
  readonly granted?: number[];
  readonly properties?: Record<string, unknown>;
};

/** An MQTT client that sends any bytes, valid or not, and acknowledges nothing by itself. */
export class RawClient {
  readonly socket: Socket;
  readonly packets: Received[] = [];
  connack: Received | undefined = undefined;
  version: 3 | 4 | 5 = 4;
  ended = false;
  bytes = 0;
  #parser = parser();
  #lastId = 0;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      this.#parser.parse(chunk);
    });
    socket.on('close', () => (this.ended = true));
    socket.on('error', () => undefined);
    this.#listen();
  }

  connect(options: ConnectOptions): void {
    const version = options.version ?? 4;
    this.version = version;
    this.#parser = parser({ protocolVersion: version });
    this.#listen();
    const packet = {
      cmd: 'connect',
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
      protocolVersion: version,
      clientId: options.clientId ?? 'device-1',
      clean: options.clean ?? true,
      keepalive: options.keepAlive ?? 0,
      ...(options.will === undefined ? {} : { will: { qos: 0, retain: false, ...options.will } }),
      ...(options.properties === undefined ? {} : { properties: options.properties }),
    };
    this.send(packet as Packet);
  }

  /** Sends a packet that the codec encodes. */
  send(packet: Packet): void {
    this.socket.write(generate(packet, { protocolVersion: this.version }));
  }

  /** Sends raw bytes. */
  write(bytes: Buffer | string): void {
    this.socket.write(
      typeof bytes === 'string' ? Buffer.from(bytes.replaceAll(' ', ''), 'hex') : bytes,
    );
  }

  publish(
    topic: string,
    payload: string | Buffer,
    options: {
      readonly qos?: 0 | 1 | 2;
      readonly retain?: boolean;
      readonly dup?: boolean;
      readonly id?: number;
      readonly properties?: object;
    } = {},
  ): number {
    const { qos = 0, retain = false, dup = false } = options;
    const id = qos === 0 ? 0 : (options.id ?? ++this.#lastId);
    this.send({
      cmd: 'publish',
      topic,
      payload,
      qos,
      retain,
      dup,
      ...(qos === 0 ? {} : { messageId: id }),
      ...(options.properties === undefined ? {} : { properties: options.properties }),
    });
    return id;
  }

  /** Subscribes and waits for SUBACK. */
  async subscribe(
    filters:
      | string
      | readonly { topic: string; qos?: 0 | 1 | 2; nl?: boolean; rap?: boolean; rh?: number }[],
    qos: 0 | 1 | 2 = 0,
    properties?: object,
  ): Promise<Received> {
    const subscriptions =
      typeof filters === 'string'
        ? [{ topic: filters, qos }]
        : filters.map((one) => ({ ...one, qos: one.qos ?? qos }));
    this.send({
      cmd: 'subscribe',
      messageId: ++this.#lastId,
      subscriptions,
      ...(properties === undefined ? {} : { properties }),
    });
    return this.next('suback');
  }

  ack(cmd: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp', messageId: number, reasonCode = 0): void {
    this.send({ cmd, messageId, reasonCode });
  }

  /** Takes the next packet of a type. Packets of other types stay. */
  async next(cmd: Packet['cmd'], timeoutMs = 60_000): Promise<Received> {
    return until(
      `${cmd} (there is ${JSON.stringify(this.packets.map((packet) => packet.cmd))}, ended ${String(this.ended)})`,
      () => {
        const index = this.packets.findIndex((packet) => packet.cmd === cmd);
        return index < 0 ? undefined : this.packets.splice(index, 1)[0];
      },
      timeoutMs,
    );
  }

  /** Sends PINGREQ and waits for the answer: all packets sent before it have arrived. */
  async settle(): Promise<void> {
    this.write('c000');
    await this.next('pingresp');
  }

  /** Takes all PUBLISH packets that were received. */
  async received(): Promise<Received[]> {
    await this.settle();
    const found = this.packets.filter((packet) => packet.cmd === 'publish');
    this.packets.splice(
      0,
      this.packets.length,
      ...this.packets.filter((one) => one.cmd !== 'publish'),
    );
    return found;
  }

  /** Waits for the end of the connection. */
  async end(timeoutMs = 60_000): Promise<void> {
    await until('the end of the connection', () => this.ended, timeoutMs);
  }

  /** Cuts the connection without DISCONNECT. */
  async cut(): Promise<void> {
    this.socket.destroy();
    await this.end();
  }

  /** Sends DISCONNECT and waits for the end. */
  async disconnect(): Promise<void> {
    this.write('e000');
    await this.end();
  }

  #listen(): void {
    this.#parser.on('packet', (packet) => void this.packets.push(packet as Received));
    this.#parser.on('error', () => undefined);
  }
}
