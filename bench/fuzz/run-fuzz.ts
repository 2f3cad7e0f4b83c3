/**
 * Hostile connections against a session layer in this process, beside one healthy client that must
 * not notice.
 *
 * @module
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { generate, parser, type IPublishPacket } from 'mqtt-packet';
import type { Authorizer, SessionLimits, Verdict } from '../../broker/contracts/authorizer.ts';
import type { Identity } from '../../broker/contracts/identity.ts';
import { createSessionLayer } from '../../broker/session/mqtt-session-layer.ts';
import { systemClock } from '../../core/clock.ts';
import { checkConfig } from '../../core/config/config.ts';
import { parseDeviceId } from '../../core/device-id.ts';
import type { Logger } from '../../core/log.ts';
import { script, type Script } from './garbage.ts';
import { Random } from './random.ts';

export interface FuzzOptions {
  readonly seed: number;
  readonly durationMs: number;
  /** Hostile connections at a time. */
  readonly width: number;
  readonly log: Logger;
  /** Collects garbage, so that what is left is what is held. */
  readonly collect: () => void;
}

export interface FuzzResult {
  readonly connections: number;
  readonly packets: number;
  readonly bytes: number;
  /** Messages that the healthy client sent itself and got back. */
  readonly healthyMessages: number;
  readonly healthyWorstMs: number;
  readonly heapBeforeBytes: number;
  readonly heapAfterBytes: number;
  /** Faults of ours: exceptions that a packet caused. Must be empty. */
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

/** Runs it. Ends with everything closed; the heap is measured before and after. */
export async function runFuzz(options: FuzzOptions): Promise<FuzzResult> {
  const faults: string[] = [];
  const log = Object.assign(Object.create(options.log) as Logger, {
    error: (details: { err?: unknown }) => faults.push(String((details.err as Error).stack)),
  });
  const config = checkConfig({
    limits: { broker: { packetMaxBytes: 65_536, connectTimeoutMs: 2000, retainedMax: 500 } },
  });
  const layer = await createSessionLayer(config, {
    authorizer,
    clock: systemClock,
    log,
    intercept: () => false,
    events: {
      connected: () => undefined,
      disconnected: () => undefined,
      refused: () => undefined,
      denied: () => undefined,
      dropped: () => undefined,
    },
  });
  const names: string[] = [];
  const server = createServer((socket) => {
    layer.accept(socket, identity(names.shift() ?? 'fuzz-0'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const random = new Random(options.seed);
  let connections = 0;
  let packets = 0;
  let bytes = 0;

  const attack = async (): Promise<void> => {
    const one = script(random);
    names.push(one.clientId);
    connections++;
    packets += one.packets;
    for (const chunk of one.chunks) bytes += chunk.length;
    await play(one, connect(port, '127.0.0.1'));
  };
  const storm = async (untilMs: number): Promise<void> => {
    const worker = async (): Promise<void> => {
      while (performance.now() < untilMs) await attack();
    };
    await Promise.all(Array.from({ length: options.width }, worker));
  };

  names.push('healthy');
  const healthy = new Healthy(connect(port, '127.0.0.1'));
  await healthy.ready();
  // Warm up: caches, compiled code and pools are no leak.
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
    connections,
    packets,
    bytes,
    healthyMessages: healthy.received,
    healthyWorstMs: healthy.worstMs,
    heapBeforeBytes,
    heapAfterBytes,
    faults,
  };
}

/** Waits until only the healthy client is there, and short sessions have expired. */
async function settle(
  layer: Awaited<ReturnType<typeof createSessionLayer>>,
  collect: () => void,
): Promise<void> {
  const untilMs = performance.now() + 10_000;
  while ([...layer.connections()].length > 1 || layer.statistics().sessions > 1) {
    if (performance.now() > untilMs) throw new Error('connections or sessions are left over');
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

/** A client that publishes to itself and measures how long it takes. */
class Healthy {
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
        if (packet.cmd === 'publish') this.#heard(packet);
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
    this.#loop = this.#talk();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    this.#socket.destroy();
  }

  async #talk(): Promise<void> {
    while (!this.#stopped && this.worstMs !== Infinity) {
      const startMs = performance.now();
      const heard = new Promise<string>((resolve) => (this.#next = resolve));
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
      await Promise.race([heard, delay(5000)]);
      this.worstMs = Math.max(this.worstMs, performance.now() - startMs);
      await delay(20);
    }
  }

  #heard({ messageId = 0, payload }: IPublishPacket): void {
    this.received++;
    this.#socket.write(generate({ cmd: 'puback', messageId }));
    this.#next?.(String(payload));
  }
}

function identity(id: string): Identity {
  const deviceId = parseDeviceId(id);
  return {
    id: deviceId,
    entry: {
      id: deviceId,
      role: 'device',
      status: 'active',
      group: null,
      attributes: {},
      certificates: [],
    },
    standing: 'full',
    serial: '01',
    fingerprint: `sha256:${'0'.repeat(64)}`,
    notAfterMs: Number.MAX_SAFE_INTEGER,
    remoteAddress: '127.0.0.1',
    tlsVersion: 'TLSv1.3',
    tlsResumed: false,
  };
}
