/**
 * Measures deliveries: CPU per delivery, deliveries per second, and latency at a fixed rate.
 *
 * Fan-in means that 20 devices publish to topics of their own, with 1 subscriber of `devices/#`. Fan-out
 * means 1 publisher and 200 subscribers of its topic. All use MQTT 3.1.1 and clean sessions.
 *
 * At full load the generator keeps a bounded number of messages in flight, several per write, so that
 * nothing is dropped and the broker is never idle. At a fixed rate every message is written separately
 * and contains its send time.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchBroker } from './brokers.ts';
import { deviceCount, type Clients } from './clients.ts';
import { BurstPump } from './load/burst-pump.ts';
import type { LoadQos } from './load/frames.ts';
import { LoadClient } from './load/load-client.ts';
import { threadTimes } from './process-usage.ts';

export type Shape = 'fan-in' | 'fan-out';

export interface DeliveryPlan {
  readonly shape: Shape;
  readonly qos: LoadQos;
  readonly payloadBytes: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface DeliveryResult {
  readonly deliveries: number;
  readonly deliveriesPerSecond: number;
  /** CPU of the broker's process, all threads. */
  readonly cpuMicrosecondsPerDelivery: number;
  /** The part of it in the main thread, and in the fronts of Flotilla. */
  readonly coreMicrosecondsPerDelivery: number;
  readonly frontMicrosecondsPerDelivery: number;
  /** 100 is one core. */
  readonly brokerCpuPercent: number;
  readonly generatorCpuPercent: number;
  /** Deliveries that did not arrive within {@link settleMaxMs} after the last publish. */
  readonly missing: number;
}

export interface LatencyResult extends DeliveryResult {
  readonly ratePerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const fanOutReceivers = 200;
const commandTopic = 'devices/all/commands/go';

/** How long deliveries may take after the last publish, in ms. */
const settleMaxMs = 5000;

/** Runs at full load. */
export async function measureLoad(
  broker: BenchBroker,
  clients: Clients,
  plan: DeliveryPlan,
): Promise<DeliveryResult> {
  const small = plan.payloadBytes <= 1000;
  const inOneWrite = small ? (plan.qos === 0 ? 25 : 10) : 4;
  const receivers = plan.shape === 'fan-in' ? 1 : fanOutReceivers;
  // Deliveries in flight: enough to keep the broker busy, fewer than any limit of its queues.
  const inFlightMax = (small ? 2000 : 400) * (plan.shape === 'fan-in' ? 1 : 5);
  const pump = new BurstPump(() => connections.publishers, { inOneWrite, receivers, inFlightMax });
  const connections = await connectConnections(broker, clients, plan, {
    received: pump.received,
    acknowledged: pump.wake,
  });
  try {
    pump.start();
    await delay(plan.warmUpMs);
    const result = await measured(broker, plan.measureMs, () => pump.delivered);
    pump.stop();
    return { ...result, missing: await missingOf(() => pump.missing) };
  } finally {
    pump.stop();
    await connections.end();
  }
}

/** Runs at a fixed rate of deliveries. */
export async function measureLatency(
  broker: BenchBroker,
  clients: Clients,
  plan: DeliveryPlan,
  deliveriesPerSecond: number,
): Promise<LatencyResult> {
  const receivers = plan.shape === 'fan-in' ? 1 : fanOutReceivers;
  const perMs = deliveriesPerSecond / receivers / 1000;
  const samples: number[] = [];
  let delivered = 0;
  let sampling = false;
  const connections = await connectConnections(broker, clients, plan, {
    received(data, start) {
      delivered++;
      if (sampling) samples.push(performance.now() - data.readDoubleLE(start));
    },
  });
  let turn = 0;
  let sent = 0;
  const startMs = performance.now();
  const ticker = setInterval(() => {
    const due = Math.floor((performance.now() - startMs) * perMs);
    for (; sent < due; sent++) {
      connections.publishers[turn++ % connections.publishers.length]?.publish(1, performance.now());
    }
  }, 1);
  try {
    await delay(plan.warmUpMs);
    sampling = true;
    const result = await measured(broker, plan.measureMs, () => delivered);
    sampling = false;
    clearInterval(ticker);
    const missing = await missingOf(() => sent * receivers - delivered);
    samples.sort((a, b) => a - b);
    const at = (share: number): number => samples[Math.floor((samples.length - 1) * share)] ?? NaN;
    return {
      ...result,
      missing,
      ratePerSecond: deliveriesPerSecond,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      maxMs: at(1),
    };
  } finally {
    clearInterval(ticker);
    await connections.end();
  }
}

interface Connections {
  readonly publishers: readonly LoadClient[];
  readonly end: () => Promise<void>;
}

interface Listeners {
  readonly received: (data: Buffer, start: number, end: number) => void;
  readonly acknowledged?: () => void;
}

async function connectConnections(
  broker: BenchBroker,
  clients: Clients,
  plan: DeliveryPlan,
  listeners: Listeners,
): Promise<Connections> {
  const all: LoadClient[] = [];
  const open = async (name: string, clientId: string): Promise<LoadClient> => {
    const client = new LoadClient({
      target: broker.target,
      context: clients.context(name),
      clientId,
      received: listeners.received,
      ...(listeners.acknowledged === undefined ? {} : { acknowledged: listeners.acknowledged }),
    });
    all.push(client);
    await client.connected();
    return client;
  };
  const publishers: LoadClient[] = [];
  if (plan.shape === 'fan-in') {
    const subscriber = await open('service-0', 'service-0/subscriber');
    await subscriber.subscribe('devices/#', plan.qos);
    for (let index = 0; index < deviceCount; index++) {
      const publisher = await open(`device-${index}`, `device-${index}`);
      publisher.prepare(`devices/device-${index}/telemetry`, plan.qos, plan.payloadBytes);
      publishers.push(publisher);
    }
  } else {
    for (let index = 0; index < fanOutReceivers; index++) {
      const subscriber = await open(`service-${index}`, `service-${index}/subscriber`);
      await subscriber.subscribe(commandTopic, plan.qos);
    }
    const publisher = await open('service-0', 'service-0/publisher');
    publisher.prepare(commandTopic, plan.qos, plan.payloadBytes);
    publishers.push(publisher);
  }
  return {
    publishers,
    async end() {
      for (const client of all) client.destroy();
      // Give the broker time to notice before the next run starts.
      await delay(300);
    },
  };
}

/** Waits for deliveries that are still pending; resolves with the number that never arrived. */
async function missingOf(pending: () => number): Promise<number> {
  const untilMs = performance.now() + settleMaxMs;
  while (pending() > 0 && performance.now() < untilMs) await delay(20);
  return pending();
}

async function measured(
  broker: BenchBroker,
  measureMs: number,
  delivered: () => number,
): Promise<Omit<DeliveryResult, 'missing'>> {
  const before = delivered();
  const brokerBefore = threadTimes(broker.pid);
  const ownBefore = process.cpuUsage();
  const startMs = performance.now();
  await delay(measureMs);
  const elapsedMs = performance.now() - startMs;
  const brokerAfter = threadTimes(broker.pid);
  const core = brokerAfter.core - brokerBefore.core;
  const fronts = brokerAfter.fronts - brokerBefore.fronts;
  const brokerCpu = core + fronts + brokerAfter.others - brokerBefore.others;
  const own = process.cpuUsage(ownBefore);
  const deliveries = delivered() - before;
  return {
    deliveries,
    deliveriesPerSecond: (deliveries * 1000) / elapsedMs,
    cpuMicrosecondsPerDelivery: brokerCpu / deliveries,
    coreMicrosecondsPerDelivery: core / deliveries,
    frontMicrosecondsPerDelivery: fronts / deliveries,
    brokerCpuPercent: brokerCpu / elapsedMs / 10,
    generatorCpuPercent: (own.user + own.system) / elapsedMs / 10,
  };
}
