/**
 * A realistic fleet: 2,000 devices that publish one message of 100 B per second each at QoS 1, and one
 * consumer. Messages are spread evenly over time.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchBroker } from './brokers.ts';
import { serviceCount, type Clients } from './clients.ts';
import { LoadClient, type LoadClientOptions } from './load/load-client.ts';
import { cpuMicroseconds, residentBytes } from './process-usage.ts';

export interface FleetResult {
  readonly devices: number;
  /** 100 is one core. */
  readonly cpuPercent: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly residentBytes: number;
  readonly missing: number;
}

const payloadBytes = 100;
/** How many devices connect at a time. */
const connecting = 16;
const settleMaxMs = 5000;

/** @param measureMs how long it is measured, after one round of all devices */
export async function measureFleet(
  broker: BenchBroker,
  clients: Clients,
  devices: number,
  measureMs: number,
): Promise<FleetResult> {
  const samples: number[] = [];
  let delivered = 0;
  let sampling = false;
  const open = async (
    index: number,
    received?: LoadClientOptions['received'],
  ): Promise<LoadClient> => {
    const name = `service-${index % serviceCount}`;
    const client = new LoadClient({
      target: broker.target,
      context: clients.context(name),
      clientId: `${name}/fleet-${index}`,
      ...(received === undefined ? {} : { received }),
    });
    await client.connected();
    return client;
  };
  const consumer = await open(devices, (data, start) => {
    delivered++;
    if (sampling) samples.push(performance.now() - data.readDoubleLE(start));
  });
  await consumer.subscribe('devices/#', 1);
  const fleet: LoadClient[] = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: connecting }, async () => {
      while (next < devices) {
        const index = next++;
        const device = await open(index);
        device.prepare(`devices/device-${index}/commands/state`, 1, payloadBytes);
        fleet.push(device);
      }
    }),
  );
  const startMs = performance.now();
  let sent = 0;
  const ticker = setInterval(() => {
    const due = Math.floor(((performance.now() - startMs) * devices) / 1000);
    for (; sent < due; sent++) fleet[sent % devices]?.publish(1, performance.now());
  }, 1);
  try {
    await delay(1000);
    sampling = true;
    const cpuBefore = cpuMicroseconds(broker.pid);
    const fromMs = performance.now();
    await delay(measureMs);
    const cpu = cpuMicroseconds(broker.pid) - cpuBefore;
    const elapsedMs = performance.now() - fromMs;
    sampling = false;
    clearInterval(ticker);
    const untilMs = performance.now() + settleMaxMs;
    while (delivered < sent && performance.now() < untilMs) await delay(20);
    samples.sort((a, b) => a - b);
    const at = (share: number): number => samples[Math.floor((samples.length - 1) * share)] ?? NaN;
    return {
      devices,
      cpuPercent: cpu / elapsedMs / 10,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      residentBytes: residentBytes(broker.pid),
      missing: sent - delivered,
    };
  } finally {
    clearInterval(ticker);
    for (const client of [consumer, ...fleet]) client.destroy();
    await delay(1000);
  }
}
