/**
 * A broker under test: a CA, a state folder, the feed, the broker on free ports, and devices that connect
 * over real TLS.
 *
 * @module
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { ExecutionContext } from 'ava';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { startBroker, type BrokerService } from '../../broker/broker-service.ts';
import { checkConfig, type Config, type ConfigInput } from '../../core/config/config.ts';
import { LiveConfig } from '../../core/config/live-config.ts';
import type { DirectoryCertificate, DirectoryEntry } from '../../core/protocol/feed.ts';
import { parseDeviceId } from '../../core/device-id.ts';
import { identityFiles, stateFolder, type StateFolder } from '../../core/state-folder.ts';
import type { Clock } from '../../core/clock.ts';
import { TestFeed } from './broker-feed.ts';
import { testFronts } from './front-mode.ts';
import { captureLog, type LogCapture } from './log-capture.ts';
import { tempFolder } from './temp-folder.ts';
import { testCa, type TestCa, type TestIdentity } from './test-ca.ts';

export type { TestIdentity } from './test-ca.ts';

export interface WorldOptions {
  readonly config?: ConfigInput;
  readonly policy?: string;
  readonly clock?: Clock;
  readonly ca?: TestCa;
  /** Without the feed: the broker has only what is in its state folder. */
  readonly withoutFeed?: boolean;
}

export interface BrokerWorld {
  readonly ca: TestCa;
  readonly feed: TestFeed;
  readonly state: StateFolder;
  readonly capture: LogCapture;
  broker: BrokerService;
  /** Issues a certificate and adds the identity to the directory. */
  device(id: string, options?: DeviceOptions): TestIdentity;
  /** Changes an entry of the directory. */
  change(id: string, change: Partial<DirectoryEntry>): void;
  /** Sets the status of all certificates of an entry. */
  mark(id: string, status: DirectoryCertificate['status']): void;
  /** Connects with MQTT.js. */
  mqtt(identity: TestIdentity, options?: IClientOptions): Promise<MqttClient>;
  /** Opens a TLS connection without MQTT. */
  tls(identity: TestIdentity | undefined, options?: ConnectionOptions): Promise<TLSSocket>;
  /** The error codes in the log, in order; only of lines with this message, if one is given. */
  codes(text?: string): string[];
  /** Changes settings of the running broker, as SIGHUP does. */
  changeSettings(config: ConfigInput): void;
  /** Stops the broker and starts another one on the same state. */
  restart(options?: { config?: ConfigInput }): Promise<void>;
}

export interface DeviceOptions {
  readonly role?: string;
  readonly group?: string | null;
  readonly attributes?: Record<string, string>;
  readonly validityMs?: number;
  readonly notBeforeMs?: number;
  readonly status?: DirectoryEntry['status'];
}

/** Starts everything. It is closed at the end of the test. */
export async function brokerWorld(
  t: Pick<ExecutionContext, 'teardown'>,
  options: WorldOptions = {},
): Promise<BrokerWorld> {
  const ca = options.ca ?? testCa();
  const state = stateFolder(tempFolder(t));
  const names = ['localhost', '127.0.0.1'];
  const broker = ca.issue({ profile: 'broker', commonName: 'broker-1', names });
  writeIdentity(state.broker.identity, broker, ca.ca);
  if (options.policy !== undefined) writeFileSync(state.policy, options.policy);
  const server = ca.issue({ profile: 'server', commonName: 'enrollment', names });
  const feed = new TestFeed(ca, server);
  if (options.withoutFeed !== true) await feed.listen();
  t.teardown(() => feed.close());
  const capture = captureLog('debug');
  const settingsOf = (config: ConfigInput = options.config ?? {}): Config =>
    checkConfig({
      ...config,
      broker: {
        mqttsPort: 0,
        wssPort: 0,
        metricsPort: 0,
        store: 'memory',
        fronts: testFronts,
        ...config.broker,
      },
    });
  let live: LiveConfig;
  const startOne = (config?: ConfigInput): Promise<BrokerService> => {
    live = new LiveConfig(settingsOf(config));
    return startBroker(live.config, {
      state,
      enrollUrl: feed.url,
      log: capture.log,
      poisonsRings: true,
      ...(options.clock === undefined ? {} : { clock: options.clock }),
    });
  };
  const clients: MqttClient[] = [];
  const sockets: TLSSocket[] = [];
  const world: BrokerWorld = {
    ca,
    feed,
    state,
    capture,
    broker: await startOne(),
    device(id, device = {}) {
      const { role = 'device', group = null, attributes = {}, status = 'active' } = device;
      const identity = ca.issue({
        profile: role === 'device' ? 'device' : 'service',
        commonName: id,
        ...(device.validityMs === undefined ? {} : { validityMs: device.validityMs }),
        ...(device.notBeforeMs === undefined ? {} : { notBeforeMs: device.notBeforeMs }),
      });
      feed.set({
        id: parseDeviceId(id),
        role,
        status,
        group,
        attributes,
        certificates: [...(feed.entries.get(id)?.certificates ?? []), certificateFacts(identity)],
      });
      return identity;
    },
    change(id, change) {
      feed.set({ ...feed.entries.get(id)!, ...change });
    },
    mark(id, status) {
      const entry = feed.entries.get(id)!;
      const certificates = entry.certificates.map((one) => ({ ...one, status }));
      feed.set({ ...entry, certificates });
    },
    async mqtt(identity, more = {}) {
      const { wss, mqtts } = world.broker.addresses;
      const { host, port } = more.protocol === 'wss' ? wss : mqtts;
      const client = await connectAsync(
        `${more.protocol ?? 'mqtts'}://${host}:${port}`,
        {
          servername: 'localhost',
          ca: ca.ca,
          cert: identity.cert,
          key: identity.key,
          reconnectPeriod: 0,
          connectTimeout: 60_000,
          ...more,
        },
        false,
      );
      client.on('error', () => undefined);
      clients.push(client);
      return client;
    },
    tls(identity, more = {}) {
      return new Promise((resolve, reject) => {
        const { host, port } = world.broker.addresses.mqtts;
        const socket = connectTls({
          host,
          port,
          servername: 'localhost',
          ca: ca.ca,
          ...(identity === undefined ? {} : { cert: identity.cert, key: identity.key }),
          ...more,
        });
        sockets.push(socket);
        socket.once('secureConnect', () => resolve(socket));
        socket.once('error', reject);
      });
    },
    changeSettings(config) {
      live.apply(settingsOf(config));
    },
    codes: (text) =>
      capture.lines
        .filter(({ msg }) => text === undefined || msg === text)
        .map(({ code }) => code)
        .filter((code) => typeof code === 'string'),
    async restart(again = {}) {
      await world.broker.close();
      world.broker = await startOne(again.config);
    },
  };
  t.teardown(async () => {
    for (const client of clients) client.end(true);
    for (const socket of sockets) socket.destroy();
    await world.broker.close();
  });
  return world;
}

/** Writes the four files of an identity. */
export function writeIdentity(folder: string, identity: TestIdentity, ca: string): void {
  const files = identityFiles(folder);
  mkdirSync(dirname(files.key), { recursive: true, mode: 0o700 });
  writeFileSync(files.key, identity.key, { mode: 0o600 });
  writeFileSync(files.cert, identity.leaf);
  writeFileSync(files.chain, identity.cert);
  writeFileSync(files.ca, ca);
}

/** The directory entry of a certificate. */
export function certificateFacts(identity: TestIdentity): DirectoryCertificate {
  return {
    serial: identity.serial,
    fingerprint: identity.fingerprint,
    notBeforeMs: identity.notBeforeMs,
    notAfterMs: identity.notAfterMs,
    status: 'active',
  };
}

/** A CONNECT packet of MQTT 3.1.1, clean session, keep alive 60 s. */
export function connectPacket(clientId: string): Buffer {
  const id = Buffer.from(clientId);
  const body = Buffer.concat([
    Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, id.length >> 8, id.length & 255]),
    id,
  ]);
  const length: number[] = [];
  for (let left = body.length; ;) {
    const low = left & 127;
    left >>= 7;
    length.push(left > 0 ? low | 128 : low);
    if (left === 0) break;
  }
  return Buffer.concat([Buffer.from([0x10, ...length]), body]);
}

/** Returns everything that a socket receives until it closes. */
export function untilClosed(socket: TLSSocket, timeoutMs = 60_000): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const timer = setTimeout(() => reject(new Error('the socket did not close')), timeoutMs);
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(Buffer.concat(chunks));
    });
  });
}

/** Whether the broker has confirmed all changes of the feed. */
export function applied(world: BrokerWorld): boolean {
  const last = world.feed.reports.at(-1);
  return last?.epoch === world.feed.epoch && last.applied === world.feed.sequence;
}

/** Subscribes and returns the codes of the SUBACK, including rejections. */
export async function subscribe(
  client: MqttClient,
  filters: string[],
  qos: 0 | 1 | 2 = 0,
): Promise<number[]> {
  const codes = new Promise<number[]>((resolve) => {
    const onPacket = (packet: { cmd: string; granted?: unknown }): void => {
      if (packet.cmd !== 'suback') return;
      client.off('packetreceive', onPacket);
      resolve(packet.granted as number[]);
    };
    client.on('packetreceive', onPacket);
  });
  await client.subscribeAsync(filters, { qos }).catch(() => undefined);
  return codes;
}

/** Resolves when the connection of a client is closed. */
export function ended(client: MqttClient): Promise<void> {
  return new Promise((resolve) => {
    if (!client.connected) resolve();
    else client.once('close', () => resolve());
  });
}

/** Collects the messages that a client receives, as `topic payload`. */
export function collect(client: MqttClient): string[] {
  const seen: string[] = [];
  client.on('message', (topic, payload) => seen.push(`${topic} ${payload.toString()}`));
  return seen;
}
