/**
 * Opens hostile connections to a session layer in this process while one healthy client, which must
 * not be disturbed, publishes to itself.
 *
 * @module
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { generate, parser, type IPublishPacket } from 'mqtt-packet';
import type { Authorizer, SessionLimits } from '../../broker/contracts/authorizer.ts';
import { StreamWire } from '../../broker/listeners/stream-wire.ts';
import type { Verdict } from '../../core/policy/policy-verdict.ts';
import {
  createSessionLayer,
  type MqttSessionLayer,
} from '../../broker/session/mqtt-session-layer.ts';
import { systemClock } from '../../core/clock.ts';
import { checkConfig } from '../../core/config/config.ts';
import type { Logger } from '../../core/log.ts';
import { uncheckedIdentity, uncheckedRights } from '../unchecked-identity.ts';
import { script, type Script } from './garbage.ts';
import { FuzzRandom } from './random.ts';

export interface FuzzOptions {
  readonly seed: number;
  readonly durationMs: number;
  /** Concurrent hostile connections. */
  readonly width: number;
  readonly log: Logger;
  /** Runs the garbage collector, so that only memory still in use is measured. */
  readonly collect: () => void;
}

export interface FuzzResult {
  readonly connections: number;
  readonly packets: number;
  readonly bytes: number;
  /** Messages that the healthy client sent to itself and received. */
  readonly healthyMessages: number;
  readonly healthyWorstMs: number;
  readonly heapBeforeBytes: number;
  readonly heapAfterBytes: number;
  /** Exceptions that packets caused in the session layer. Must be empty. */
  readonly faults: readonly string[];
}

const limits: SessionLimits = {
  messagesPerSecond: 0,
  messagesBurst: 0,
  bytesPerSecond: 0,
  bytesBurst: 0,
  connectionsMax: 1000,
  subscriptionsMax: 50,
  inflightMax: 100,
  queueMaxMessages: 100,
  queueMaxBytes: 100_000,
  queueOverflow: 'drop-oldest',
  queueQos0: false,
  payloadMaxBytes: 100_000,
  retainedMax: 1000,
  retainedMaxBytes: 1_000_000,
  sessionExpiryMaxSeconds: 1,
};

const yes: Verdict = { allowed: true, rule: 'all', always: true };
const no: Verdict = { allowed: false, code: 'publish-denied', rule: undefined };
const healthTopic = 'health/1';

const authorizer: Authorizer = {
  version: 1,
  onDenied: 'drop',
  connect: () => yes,
  publish: ({ id }, topic) => (topic === healthTopic && id !== 'healthy' ? no : yes),
  subscribe: () => yes,
  receive: (_identity, topic) => !topic.startsWith('health/') || topic === healthTopic,
  limits: () => limits,
};

/** Runs the fuzz test and closes everything; the heap is measured before and after. */
export async function runFuzz(options: FuzzOptions): Promise<FuzzResult> {
  const { layer, faults } = await openLayer(options.log);
  const names: string[] = [];
  const server = createServer((socket) => {
    layer.accept(new StreamWire(socket), uncheckedIdentity(names.shift() ?? 'fuzz-0'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const random = new FuzzRandom(options.seed);
  const counts = { connections: 0, packets: 0, bytes: 0 };
  const attack = async (): Promise<void> => {
    const one = script(random);
    names.push(one.clientId);
    counts.connections++;
    counts.packets += one.packets;
    for (const chunk of one.chunks) counts.bytes += chunk.length;
    await play(one, connect(port, '127.0.0.1'));
  };
  const storm = async (untilMs: number): Promise<void> => {
    const worker = async (): Promise<void> => {
      while (performance.now() < untilMs) await attack();
    };
    await Promise.all(Array.from({ length: options.width }, worker));
  };

  names.push('healthy');
  const healthy = new HealthyClient(connect(port, '127.0.0.1'));
  await healthy.ready();
  // Warm up first: caches, compiled code and pools are not leaks.
  await storm(performance.now() + Math.min(2000, options.durationMs / 4));
  await settle(layer, options.collect);
  const heapBeforeBytes = process.memoryUsage().heapUsed;
  await storm(performance.now() + options.durationMs);
  await settle(layer, options.collect);
  const heapAfterBytes = process.memoryUsage().heapUsed;
  await healthy.stop();
  server.close();
  await layer.close();
  return {
    ...counts,
    healthyMessages: healthy.received,
    healthyWorstMs: healthy.worstMs,
    heapBeforeBytes,
    heapAfterBytes,
    faults,
  };
}

/** A session layer whose logged errors are collected as faults. */
async function openLayer(
  baseLog: Logger,
): Promise<{ layer: MqttSessionLayer; faults: readonly string[] }> {
  const faults: string[] = [];
  const log = Object.assign(Object.create(baseLog) as Logger, {
    error: (details: { err?: unknown }) => faults.push(String((details.err as Error).stack)),
  });
  const config = checkConfig({
    limits: { broker: { packetMaxBytes: 65_536, connectTimeoutMs: 2000, retainedMax: 500 } },
  });
  const ignore = (): void => undefined;
  const layer = await createSessionLayer(config, {
    authorizer,
    clock: systemClock,
    log,
    intercept: () => false,
    rights: uncheckedRights,
    events: {
      connected: ignore,
      disconnected: ignore,
      refused: ignore,
      denied: ignore,
      dropped: ignore,
    },
  });
  return { layer, faults };
}

/** Waits until only the healthy client is connected, and short sessions have expired. */
async function settle(layer: MqttSessionLayer, collect: () => void): Promise<void> {
  const untilMs = performance.now() + 10_000;
  while ([...layer.connections()].length > 1 || layer.statistics().sessions > 1) {
    if (performance.now() > untilMs) throw new Error('connections or sessions did not end');
    await delay(20);
  }
  collect();
  await delay(10);
  collect();
}

async function play(one: Script, socket: Socket): Promise<void> {
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => undefined);
  socket.resume();
  socket.once('connect', () => {
    for (const chunk of one.chunks) socket.write(chunk);
    if (one.cuts) socket.destroySoon();
  });
  const timer = setTimeout(() => socket.destroy(), 150);
  await closed;
  clearTimeout(timer);
}

/** A client that publishes to itself and measures the latency. */
class HealthyClient {
  received = 0;
  worstMs = 0;
  readonly #socket: Socket;
  #stopped = false;
  #next: ((payload: string) => void) | undefined;
  #loop: Promise<void> | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  async ready(): Promise<void> {
    const packets = parser();
    const up = new Promise<void>((resolve) => {
      packets.on('packet', (packet) => {
        if (packet.cmd === 'suback') resolve();
        if (packet.cmd === 'publish') this.#receive(packet);
      });
    });
    this.#socket.on('data', (chunk: Buffer) => packets.parse(chunk));
    this.#socket.on('close', () => {
      if (!this.#stopped) this.worstMs = Infinity;
    });
    this.#socket.write(
      generate({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 4,
        clientId: 'healthy',
        clean: true,
        keepalive: 0,
      }),
    );
    this.#socket.write(
      generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: healthTopic, qos: 1 }] }),
    );
    await up;
    this.#loop = this.#publishLoop();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    this.#socket.destroy();
  }

  async #publishLoop(): Promise<void> {
    while (!this.#stopped && this.worstMs !== Infinity) {
      const startMs = performance.now();
      const received = new Promise<string>((resolve) => (this.#next = resolve));
      this.#socket.write(
        generate({
          cmd: 'publish',
          topic: healthTopic,
          payload: 'fine',
          qos: 1,
          dup: false,
          retain: false,
          messageId: 7,
        }),
      );
      await Promise.race([received, delay(5000)]);
      this.worstMs = Math.max(this.worstMs, performance.now() - startMs);
      await delay(20);
    }
  }

  #receive({ messageId = 0, payload }: IPublishPacket): void {
    this.received++;
    this.#socket.write(generate({ cmd: 'puback', messageId }));
    this.#next?.(String(payload));
  }
}
