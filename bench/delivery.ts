/**
 * Deliveries: how much CPU a broker spends on one, how many it makes a second, and how long they take
 * at a fixed rate.
 *
 * Fan-in is 20 devices that publish on topics of their own to 1 subscriber of `devices/#`; fan-out is 1
 * publisher to 200 subscribers of its topic. MQTT 3.1.1, clean sessions.
 *
 * At full load the generator keeps a bounded number of messages on their way, several in one write, so
 * that nothing is dropped and the broker is never idle. At a fixed rate every message is a write of
 * its own, and carries the time of its sending.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { RunningBroker } from './brokers.ts';
import { deviceCount, type Clients } from './clients.ts';
import type { Qos } from './load/frames.ts';
import { LoadClient } from './load/load-client.ts';
import { cpuMicroseconds } from './process-usage.ts';

export type Shape = 'fan-in' | 'fan-out';

export interface DeliveryPlan {
  readonly shape: Shape;
  readonly qos: Qos;
  readonly payloadBytes: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface DeliveryResult {
  readonly deliveries: number;
  readonly deliveriesPerSecond: number;
  /** Of the broker's process, all threads. */
  readonly cpuMicrosecondsPerDelivery: number;
  /** Of one core. */
  readonly brokerCpuPercent: number;
  readonly generatorCpuPercent: number;
  /** Deliveries of the whole run that never came, although nobody published any more. */
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

/** How long deliveries that are still owed may take after the last publish, in ms. */
const settleMaxMs = 5000;

/** Runs at full load. */
export async function measureLoad(
  broker: RunningBroker,
  clients: Clients,
  plan: DeliveryPlan,
): Promise<DeliveryResult> {
  const small = plan.payloadBytes <= 1000;
  const inOneWrite = small ? (plan.qos === 0 ? 25 : 10) : 4;
  const receivers = plan.shape === 'fan-in' ? 1 : fanOutReceivers;
  // Deliveries on their way: enough to keep the broker busy, less than any limit of its queues.
  const underWayMax = (small ? 2000 : 400) * (plan.shape === 'fan-in' ? 1 : 5);
  const unacknowledgedMax = 50;
  let published = 0;
  let delivered = 0;
  let scheduled = false;
  let turn = 0;
  let stopped = false;
  const pump = (): void => {
    scheduled = false;
    for (let idle = 0; idle < crowd.publishers.length && !stopped;) {
      if (published * receivers - delivered + inOneWrite * receivers > underWayMax) return;
      const publisher = crowd.publishers[turn++ % crowd.publishers.length];
      if (publisher === undefined || publisher.inflight + inOneWrite > unacknowledgedMax) {
        idle++;
        continue;
      }
      idle = 0;
      publisher.publish(inOneWrite);
      published += inOneWrite;
    }
  };
  const wake = (): void => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(pump);
  };
  const crowd = await connectCrowd(broker, clients, plan, {
    received() {
      delivered++;
      wake();
    },
    acknowledged: wake,
  });
  try {
    pump();
    await delay(plan.warmUpMs);
    const result = await measured(broker, plan.measureMs, () => delivered);
    stopped = true;
    return { ...result, missing: await missingOf(() => published * receivers - delivered) };
  } finally {
    stopped = true;
    await crowd.end();
  }
}

/** Runs at a fixed rate of deliveries. */
export async function measureLatency(
  broker: RunningBroker,
  clients: Clients,
  plan: DeliveryPlan,
  deliveriesPerSecond: number,
): Promise<LatencyResult> {
  const receivers = plan.shape === 'fan-in' ? 1 : fanOutReceivers;
  const perMs = deliveriesPerSecond / receivers / 1000;
  const samples: number[] = [];
  let delivered = 0;
  let sampling = false;
  const crowd = await connectCrowd(broker, clients, plan, {
    received(data, start) {
      delivered++;
      if (sampling) samples.push(performance.now() - data.readDoubleLE(start));
    },
  });
  let turn = 0;
  let sent = 0;
  const beganMs = performance.now();
  const ticker = setInterval(() => {
    const due = Math.floor((performance.now() - beganMs) * perMs);
    for (; sent < due; sent++) {
      crowd.publishers[turn++ % crowd.publishers.length]?.publish(1, performance.now());
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
    await crowd.end();
  }
}

interface Crowd {
  readonly publishers: readonly LoadClient[];
  readonly end: () => Promise<void>;
}

interface Listeners {
  readonly received: (data: Buffer, start: number, end: number) => void;
  readonly acknowledged?: () => void;
}

async function connectCrowd(
  broker: RunningBroker,
  clients: Clients,
  plan: DeliveryPlan,
  listeners: Listeners,
): Promise<Crowd> {
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
      // The broker sees them go before the next run begins.
      await delay(300);
    },
  };
}

/** Both brokers must have done the same work: what was published arrives, or is told. */
async function missingOf(owed: () => number): Promise<number> {
  const untilMs = performance.now() + settleMaxMs;
  while (owed() > 0 && performance.now() < untilMs) await delay(20);
  return owed();
}

async function measured(
  broker: RunningBroker,
  measureMs: number,
  delivered: () => number,
): Promise<Omit<DeliveryResult, 'missing'>> {
  const before = delivered();
  const brokerBefore = cpuMicroseconds(broker.pid);
  const ownBefore = process.cpuUsage();
  const beganMs = performance.now();
  await delay(measureMs);
  const elapsedMs = performance.now() - beganMs;
  const brokerCpu = cpuMicroseconds(broker.pid) - brokerBefore;
  const own = process.cpuUsage(ownBefore);
  const deliveries = delivered() - before;
  return {
    deliveries,
    deliveriesPerSecond: (deliveries * 1000) / elapsedMs,
    cpuMicrosecondsPerDelivery: brokerCpu / deliveries,
    brokerCpuPercent: brokerCpu / elapsedMs / 10,
    generatorCpuPercent: (own.user + own.system) / elapsedMs / 10,
  };
}
