/**
 * Measures connections: full and resumed handshakes, and the memory of an idle connection.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchBroker } from './brokers.ts';
import { serviceCount, type Clients } from './clients.ts';
import { LoadClient } from './load/load-client.ts';
import { cpuMicroseconds, residentBytes, threadTimes } from './process-usage.ts';

export interface ConnectResult {
  readonly connects: number;
  readonly perSecond: number;
  readonly brokerCpuMsPerConnect: number;
  /** The part of it in the main thread. */
  readonly coreCpuMsPerConnect: number;
  /** The same for the first connects, while the broker's code is still compiled. */
  readonly coldCpuMsPerConnect: number;
  readonly generatorCpuPercent: number;
  /** Connections whose TLS session was actually resumed. */
  readonly resumed: number;
}

export interface IdleResult {
  readonly connections: number;
  readonly bytesPerConnection: number;
  readonly residentBytes: number;
}

/**
 * How long connections are idle before memory is read, in ms. V8 collects the garbage of connecting
 * when a process has been idle for about ten seconds.
 */
const idleMs = 20_000;
/** Concurrent handshakes. */
const concurrency = 16;

/**
 * Connects with TLS 1.3, mutual authentication and CONNECT, and disconnects. Half as many connects run
 * first and are reported separately, because they include compiling the broker's code.
 *
 * @param resumed whether to resume TLS sessions
 */
export async function measureConnects(
  broker: BenchBroker,
  clients: Clients,
  connects: number,
  resumed: boolean,
): Promise<ConnectResult> {
  const names = Array.from({ length: serviceCount }, (_, index) => `service-${index}`);
  const sessions = new Map<string, Buffer>();
  const visit = async (name: string, clientId: string): Promise<boolean> => {
    const session = resumed ? sessions.get(name) : undefined;
    const client = new LoadClient({
      target: broker.target,
      context: clients.context(name),
      clientId,
      ...(session === undefined ? {} : { session }),
    });
    client.socket.on('session', (ticket: Buffer) => sessions.set(name, ticket));
    await client.connected();
    const reused = client.socket.isSessionReused();
    client.end();
    return reused;
  };
  // Warm up and collect session tickets.
  await inParallel(names.length, (index) => visit(names[index] ?? '', `${names[index]}/first`));
  await delay(300);
  const coldBefore = cpuMicroseconds(broker.pid);
  const coldConnects = Math.ceil(connects / 2);
  await inParallel(coldConnects, (index) => {
    const name = names[index % names.length] ?? '';
    return visit(name, `${name}/w${index}`);
  });
  await delay(300);
  const coldCpu = cpuMicroseconds(broker.pid) - coldBefore;
  const cpuBefore = cpuMicroseconds(broker.pid);
  const coreBefore = threadTimes(broker.pid).core;
  const ownBefore = process.cpuUsage();
  const startMs = performance.now();
  let reused = 0;
  await inParallel(connects, async (index) => {
    const name = names[index % names.length] ?? '';
    if (await visit(name, `${name}/c${index}`)) reused++;
  });
  const elapsedMs = performance.now() - startMs;
  const own = process.cpuUsage(ownBefore);
  // Include the cost of the disconnects.
  await delay(300);
  const cpu = cpuMicroseconds(broker.pid) - cpuBefore;
  return {
    connects,
    perSecond: (connects * 1000) / elapsedMs,
    brokerCpuMsPerConnect: cpu / 1000 / connects,
    coreCpuMsPerConnect: (threadTimes(broker.pid).core - coreBefore) / 1000 / connects,
    coldCpuMsPerConnect: coldCpu / 1000 / coldConnects,
    generatorCpuPercent: (own.user + own.system) / elapsedMs / 10,
    resumed: reused,
  };
}

/** Resident memory per idle connection with one subscription. */
export async function measureIdle(
  broker: BenchBroker,
  clients: Clients,
  connections: number,
): Promise<IdleResult> {
  const open: LoadClient[] = [];
  const join = async (index: number): Promise<void> => {
    const name = `service-${index % serviceCount}`;
    const client = new LoadClient({
      target: broker.target,
      context: clients.context(name),
      clientId: `${name}/idle-${index}`,
    });
    open.push(client);
    await client.connected();
    await client.subscribe(`devices/idle-${index}/telemetry`, 0);
  };
  // Do not count memory that a process allocates once with its first connections.
  await inParallel(100, join);
  await delay(1000);
  const before = residentBytes(broker.pid);
  await inParallel(connections, (index) => join(index + 100));
  await delay(idleMs);
  const after = residentBytes(broker.pid);
  for (const client of open) client.destroy();
  await delay(1000);
  return {
    connections,
    bytesPerConnection: (after - before) / connections,
    residentBytes: after,
  };
}

async function inParallel(count: number, run: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await run(next++);
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, lane));
}
