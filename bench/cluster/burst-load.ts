/**
 * Devices publish in bursts to topics that one subscriber receives, as fast as the brokers pass them on, and the CPU time of
 * each broker process is measured.
 *
 * @module
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Clients } from '../clients.ts';
import { LoadClient, type LoadTarget } from '../load/load-client.ts';
import { cpuMicroseconds } from '../process-usage.ts';

const payloadBytes = 100;
const warmUpMs = 3000;
const measureMs = 8000;
const settleMaxMs = 5000;
const inFlightMax = 2000;
const unacknowledgedMax = 50;

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
  let published = 0;
  let delivered = 0;
  let isScheduled = false;
  let isOver = false;
  let turn = 0;
  const publishers: LoadClient[] = [];
  const pump = (): void => {
    isScheduled = false;
    for (let idle = 0; idle < publishers.length && !isOver;) {
      if (published - delivered + inOneWrite > inFlightMax) return;
      const publisher = publishers[turn++ % publishers.length];
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
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(pump);
  };
  const open = async (name: string, target: LoadTarget): Promise<LoadClient> => {
    const client = new LoadClient({
      ...{ target, context: clients.context(name), clientId: name, acknowledged: wake },
      received() {
        delivered++;
        wake();
      },
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
    pump();
    await pause(warmUpMs);
    const before = { ...usage(pids), delivered, atMs: performance.now() };
    await pause(measureMs);
    const after = { ...usage(pids), delivered, atMs: performance.now() };
    isOver = true;
    const deliveries = after.delivered - before.delivered;
    const untilMs = performance.now() + settleMaxMs;
    while (published > delivered && performance.now() < untilMs) await pause(20);
    return {
      deliveriesPerSecond: Math.round((deliveries * 1000) / (after.atMs - before.atMs)),
      microseconds: Object.fromEntries(
        Object.keys(pids).map((name) => {
          const us = (after.us[name] ?? 0) - (before.us[name] ?? 0);
          return [name, Number((us / deliveries).toFixed(2))];
        }),
      ),
      missing: published - delivered,
    };
  } finally {
    isOver = true;
    for (const client of all) client.destroy();
    await pause(300);
  }
}

function usage(pids: Readonly<Record<string, number>>): { us: Record<string, number> } {
  return {
    us: Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, cpuMicroseconds(pid)])),
  };
}
