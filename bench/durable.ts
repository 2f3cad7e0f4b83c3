/**
 * The cost of durability: QoS 1 messages to an offline receiver, a restart after `kill -9` with all of
 * them in the store, and their delivery.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchBroker } from './brokers.ts';
import { deviceCount, type Clients } from './clients.ts';
import { LoadClient } from './load/load-client.ts';
import { cpuMicroseconds } from './process-usage.ts';

export interface DurableResult {
  readonly messages: number;
  /** Published, stored and acknowledged. */
  readonly storedPerSecond: number;
  readonly cpuMicrosecondsPerMessage: number;
  /** From writing a PUBLISH to its PUBACK. */
  readonly acknowledgeP50Ms: number;
  readonly acknowledgeP99Ms: number;
  readonly generatorCpuPercent: number;
  /** From the start of the process until it listens, with all messages in its store. */
  readonly restartMs: number;
  readonly drainedPerSecond: number;
  readonly lost: number;
}

const payloadBytes = 100;
const unacknowledgedMax = 50;

/** @param start starts the broker, always with the same state folder */
export async function measureDurable(
  start: () => Promise<BenchBroker>,
  clients: Clients,
  messages: number,
): Promise<DurableResult> {
  let broker = await start();
  const receiver = (received?: () => void): LoadClient =>
    new LoadClient({
      target: broker.target,
      context: clients.context('service-0'),
      clientId: 'service-0/away',
      clean: false,
      ...(received === undefined ? {} : { received }),
    });
  try {
    const first = receiver();
    await first.connected();
    await first.subscribe('devices/#', 1);
    first.end();
    await delay(300);
    const stored = await publishAll(broker, clients, messages);
    await broker.kill();
    const restartedMs = performance.now();
    broker = await start();
    const restartMs = performance.now() - restartedMs;
    let drained = 0;
    const second = receiver(() => drained++);
    const beganMs = performance.now();
    await second.connected();
    let lastMs = beganMs;
    for (let before = -1; drained < messages && (drained !== before || drained === 0);) {
      before = drained;
      await delay(drained === 0 ? 50 : 250);
      if (drained !== before) lastMs = performance.now();
      if (performance.now() - beganMs > 60_000) break;
    }
    second.destroy();
    return {
      messages,
      ...stored,
      restartMs,
      drainedPerSecond: (drained * 1000) / (lastMs - beganMs),
      lost: Math.max(0, messages - drained),
    };
  } finally {
    await broker.stop();
  }
}

async function publishAll(
  broker: BenchBroker,
  clients: Clients,
  messages: number,
): Promise<Omit<DurableResult, 'messages' | 'restartMs' | 'drainedPerSecond' | 'lost'>> {
  const done = Promise.withResolvers<undefined>();
  const waits: number[] = [];
  let acknowledged = 0;
  let published = 0;
  const publishers = Array.from({ length: deviceCount }, (_, index) => {
    const sentAtMs: number[] = [];
    const more = (): void => {
      const count = Math.min(unacknowledgedMax - publisher.inflight, messages - published);
      if (count < 5 && published + count < messages) return;
      if (count <= 0) return;
      published += count;
      publisher.publish(count);
      const nowMs = performance.now();
      for (let one = 0; one < count; one++) sentAtMs.push(nowMs);
    };
    const publisher = new LoadClient({
      target: broker.target,
      context: clients.context(`device-${index}`),
      clientId: `device-${index}`,
      acknowledged(count) {
        acknowledged += count;
        const nowMs = performance.now();
        for (const sent of sentAtMs.splice(0, count)) waits.push(nowMs - sent);
        if (acknowledged === messages) done.resolve(undefined);
        else more();
      },
    });
    publisher.prepare(`devices/device-${index}/telemetry`, 1, payloadBytes);
    return { publisher, more };
  });
  await Promise.all(publishers.map(({ publisher }) => publisher.connected()));
  const cpuBefore = cpuMicroseconds(broker.pid);
  const ownBefore = process.cpuUsage();
  const beganMs = performance.now();
  for (const { more } of publishers) more();
  await done.promise;
  const elapsedMs = performance.now() - beganMs;
  const cpu = cpuMicroseconds(broker.pid) - cpuBefore;
  const own = process.cpuUsage(ownBefore);
  for (const { publisher } of publishers) publisher.destroy();
  waits.sort((a, b) => a - b);
  return {
    storedPerSecond: (messages * 1000) / elapsedMs,
    cpuMicrosecondsPerMessage: cpu / messages,
    acknowledgeP50Ms: waits[Math.floor(waits.length / 2)] ?? NaN,
    acknowledgeP99Ms: waits[Math.floor(waits.length * 0.99)] ?? NaN,
    generatorCpuPercent: (own.user + own.system) / elapsedMs / 10,
  };
}
