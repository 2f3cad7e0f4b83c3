/**
 * Devices publish in bursts to topics that one subscriber receives, as fast as the brokers pass them on, and the CPU time of
 * each broker process is measured.
 *
 * @module
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Clients } from '../clients.ts';
import { BurstPump } from '../load/burst-pump.ts';
import { LoadClient, type LoadTarget } from '../load/load-client.ts';
import { cpuMicroseconds } from '../process-usage.ts';

const payloadBytes = 100;
const warmUpMs = 3000;
const measureMs = 8000;
const settleMaxMs = 5000;
const inFlightMax = 2000;

export interface BurstPlan {
  readonly clients: Clients;
  readonly qos: 0 | 1;
  readonly publishers: readonly string[];
  readonly publishersAt: LoadTarget;
  readonly subscriber: string;
  readonly subscriberAt: LoadTarget;
  /** The processes to measure, by name. */
  readonly pids: Readonly<Record<string, number>>;
}

export interface BurstResult {
  readonly deliveriesPerSecond: number;
  /** CPU time of each process per delivery, in µs. */
  readonly microseconds: Readonly<Record<string, number>>;
  /** Deliveries that did not arrive. */
  readonly missing: number;
}

export async function measureBursts(plan: BurstPlan): Promise<BurstResult> {
  const { clients, qos, pids } = plan;
  const inOneWrite = qos === 0 ? 25 : 10;
  const all: LoadClient[] = [];
  const publishers: LoadClient[] = [];
  const pump = new BurstPump(() => publishers, { inOneWrite, receivers: 1, inFlightMax });
  const open = async (name: string, target: LoadTarget): Promise<LoadClient> => {
    const client = new LoadClient({
      ...{ target, context: clients.context(name), clientId: name },
      ...{ acknowledged: pump.wake, received: pump.received },
    });
    all.push(client);
    await client.connected();
    return client;
  };
  try {
    const subscriber = await open(plan.subscriber, plan.subscriberAt);
    await subscriber.subscribe('devices/+/burst', qos);
    for (const name of plan.publishers) {
      const publisher = await open(name, plan.publishersAt);
      publisher.prepare(`devices/${name}/burst`, qos, payloadBytes);
      publishers.push(publisher);
    }
    pump.start();
    await pause(warmUpMs);
    const before = { ...usage(pids), delivered: pump.delivered, atMs: performance.now() };
    await pause(measureMs);
    const after = { ...usage(pids), delivered: pump.delivered, atMs: performance.now() };
    pump.stop();
    const deliveries = after.delivered - before.delivered;
    const untilMs = performance.now() + settleMaxMs;
    while (pump.missing > 0 && performance.now() < untilMs) await pause(20);
    return {
      deliveriesPerSecond: Math.round((deliveries * 1000) / (after.atMs - before.atMs)),
      microseconds: Object.fromEntries(
        Object.keys(pids).map((name) => {
          const us = (after.us[name] ?? 0) - (before.us[name] ?? 0);
          return [name, Number((us / deliveries).toFixed(2))];
        }),
      ),
      missing: pump.missing,
    };
  } finally {
    pump.stop();
    for (const client of all) client.destroy();
    await pause(300);
  }
}

function usage(pids: Readonly<Record<string, number>>): { us: Record<string, number> } {
  return {
    us: Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, cpuMicroseconds(pid)])),
  };
}
