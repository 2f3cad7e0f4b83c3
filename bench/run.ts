/**
 * `npm run bench`: compares Flotilla with other brokers, alternating, in one run.
 *
 * - `--quick`: short measurements
 * - `--peer NAME=PATH`, repeatable: another broker; the name begins with mosquitto, flashmq or nats.
 *   Mosquitto and nats-server are also found where Debian installs them
 * - `--brokers a,b`: default: all peers, and flotilla; also flotilla-N (N fronts), session and bare, see
 *   brokers.ts
 * - `--only load,latency,connects,idle,fleet,scaling,durable`
 * - `--qos 0,1`, `--shapes fan-in,fan-out`, `--payloads 100,4096`
 * - `--no-docs`: does not write docs/benchmarks.md
 *
 * @module
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { measureDurable, type DurableResult } from './durable.ts';
import { writeBenchState } from './bench-state.ts';
import { isOwn, startBenchBroker, type BenchBroker, type BrokerName } from './brokers.ts';
import { makeCertificates } from './certificates.ts';
import { clientNames, Clients } from './clients.ts';
import { measureConnects, measureIdle, type ConnectResult } from './connections.ts';
import { measureLatency, measureLoad, type DeliveryPlan, type Shape } from './delivery.ts';
import { measureFleet } from './fleet-row.ts';
import type { LoadQos } from './load/frames.ts';
import { peersOf, qosMaxOf, resumesSessions } from './peers.ts';
import { scalingNames, type ScalingRow } from './scaling.ts';
import { markdownOf, type DeliveryRow, type BenchReport } from './report.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    brokers: { type: 'string' },
    peer: { type: 'string', multiple: true, default: [] },
    only: { type: 'string', default: 'load,latency,connects,idle,fleet,scaling,durable' },
    qos: { type: 'string', default: '0,1,2' },
    shapes: { type: 'string', default: 'fan-in,fan-out' },
    payloads: { type: 'string', default: '100,4096' },
    docs: { type: 'boolean', default: true },
  },
  allowNegative: true,
});

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
const parts = new Set(values.only.split(','));
const peers = peersOf(values.peer);
const names: readonly BrokerName[] = values.brokers?.split(',') ?? [
  ...peers.map(({ name }) => name),
  'flotilla',
];
const { quick } = values;
const printLine = (line: string): void => void process.stderr.write(`${line}\n`);

const certificates = await makeCertificates(clientNames);
await writeBenchState(certificates);
const clients = new Clients(certificates);
const startedAt = new Date().toISOString();
const loadNow = (): number => Math.round((loadavg()[0] ?? 0) * 10) / 10;
const loadAtStart = loadNow();
const versions: Record<BrokerName, string> = {};
const deliveries: DeliveryRow[] = [];
const connects: Mutable<BenchReport['connects']> = {};
const idle: Mutable<BenchReport['idle']> = {};
const fleet: Mutable<BenchReport['fleet']> = {};
const scaling: ScalingRow[] = [];

async function withBrokers(
  run: (brokers: readonly BenchBroker[]) => Promise<void>,
  started: readonly BrokerName[] = names,
): Promise<void> {
  const brokers: BenchBroker[] = [];
  try {
    for (const name of started) {
      const broker = await startBenchBroker(name, certificates, 0, peers);
      if (started === names) versions[name] = broker.version;
      brokers.push(broker);
    }
    await run(brokers);
  } finally {
    await Promise.all(brokers.map((broker) => broker.stop()));
  }
}

try {
  await withBrokers(async (brokers) => {
    for (const payloadBytes of values.payloads.split(',').map(Number)) {
      for (const shape of values.shapes.split(',') as Shape[]) {
        for (const qos of values.qos.split(',').map(Number) as LoadQos[]) {
          deliveries.push(await measureRow(brokers, { shape, qos, payloadBytes }));
        }
      }
    }
    if (!parts.has('connects')) return;
    for (const broker of brokers) {
      const count = quick ? 300 : 2000;
      const full = await measureConnects(broker, clients, count, false);
      const resumed =
        isOwn(broker.name) || resumesSessions(broker.name)
          ? await measureConnects(broker, clients, count, true)
          : undefined;
      connects[broker.name] = { full, ...(resumed === undefined ? {} : { resumed }) };
      printLine(`${broker.name}: full ${connectText(full)}; resumed ${connectText(resumed)}`);
    }
  });
  if (parts.has('idle')) {
    // New processes: memory that an earlier load freed would hide the cost of a connection.
    await withBrokers(async (brokers) => {
      for (const broker of brokers) {
        const result = await measureIdle(broker, clients, quick ? 1000 : 5000);
        idle[broker.name] = result;
        printLine(
          `${broker.name}: ${(result.bytesPerConnection / 1024).toFixed(1)} KB per idle connection`,
        );
      }
    });
  }
  if (parts.has('fleet')) {
    await withBrokers(async (brokers) => {
      for (const broker of brokers) {
        const result = await measureFleet(
          broker,
          clients,
          quick ? 500 : 2000,
          quick ? 3000 : 10_000,
        );
        fleet[broker.name] = result;
        printLine(`${broker.name}: fleet ${JSON.stringify(result)}`);
      }
    });
  }
  if (parts.has('scaling')) {
    // One at a time: they have the same state folder.
    for (const name of scalingNames) {
      await withBrokers(
        async ([broker]) => {
          if (broker !== undefined) scaling.push(await measureScaling(broker));
        },
        [name],
      );
    }
  }
  let durable: DurableResult | undefined;
  const own = names.find((name) => isOwn(name) && name !== 'bare');
  if (parts.has('durable') && own !== undefined) {
    durable = await measureDurable(
      () => startBenchBroker(own, certificates),
      clients,
      quick ? 20_000 : 100_000,
    );
    printLine(JSON.stringify(durable));
  }
  const report: BenchReport = {
    startedAt,
    quick,
    machine: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: cpus().length,
      memoryGb: Math.round(totalmem() / 1024 ** 3),
      kernel: release(),
      load: [loadAtStart, loadNow()],
    },
    node: process.versions.node,
    openssl: process.versions.openssl,
    brokers: versions,
    deliveries,
    connects,
    idle,
    fleet,
    scaling,
    ...(durable === undefined ? {} : { durable }),
  };
  await publish(report);
} finally {
  await certificates.remove();
}

function connectText(result: ConnectResult | undefined): string {
  if (result === undefined) return 'not possible';
  const { perSecond, brokerCpuMsPerConnect, resumed, connects: count } = result;
  return `${perSecond.toFixed(0)}/s, ${brokerCpuMsPerConnect.toFixed(2)} ms (${resumed} of ${count} resumed)`;
}

/** The highest QoS that a broker has. */
function highestQos({ name, version }: BenchBroker): number {
  if (name === 'bare') return 0;
  return isOwn(name) ? 2 : qosMaxOf(name, version);
}

async function measureRow(
  brokers: readonly BenchBroker[],
  what: Pick<DeliveryPlan, 'shape' | 'qos' | 'payloadBytes'>,
): Promise<DeliveryRow> {
  const plan: DeliveryPlan = {
    ...what,
    warmUpMs: quick ? 1000 : 1500,
    measureMs: quick ? 2000 : 4000,
  };
  const row: {
    plan: typeof what;
    load: Mutable<DeliveryRow['load']>;
    latency: Mutable<DeliveryRow['latency']>;
  } = { plan: what, load: {}, latency: {} };
  for (const broker of brokers) {
    if (what.qos > highestQos(broker)) continue;
    const title = `${what.shape} QoS ${what.qos} ${what.payloadBytes} B ${broker.name}`;
    if (parts.has('load')) {
      const load = await measureLoad(broker, clients, plan);
      row.load[broker.name] = load;
      printLine(
        `${title}: ${load.cpuMicrosecondsPerDelivery.toFixed(2)} µs, ${load.deliveriesPerSecond.toFixed(0)}/s, broker ${load.brokerCpuPercent.toFixed(0)} %, generator ${load.generatorCpuPercent.toFixed(0)} %, missing ${load.missing}`,
      );
    }
    if (parts.has('latency')) {
      const rate = what.payloadBytes > 1000 ? 5000 : 20_000;
      const latency = await measureLatency(broker, clients, plan, rate);
      row.latency[broker.name] = latency;
      printLine(
        `${title} at ${rate}/s: p50 ${latency.p50Ms.toFixed(2)} p99 ${latency.p99Ms.toFixed(2)} max ${latency.maxMs.toFixed(1)} ms, ${latency.cpuMicrosecondsPerDelivery.toFixed(2)} µs, ${latency.deliveriesPerSecond.toFixed(0)}/s, generator ${latency.generatorCpuPercent.toFixed(0)} %, missing ${latency.missing}`,
      );
    }
  }
  return row;
}

/** The same work for a broker without fronts and with some. */
async function measureScaling(broker: BenchBroker): Promise<ScalingRow> {
  const measureMs = quick ? 1500 : 4000;
  const deliveriesOf: ScalingRow['deliveries'][number][] = [];
  for (const shape of ['fan-in', 'fan-out'] as const) {
    for (const qos of [0, 1] as const) {
      const plan: DeliveryPlan = { shape, qos, payloadBytes: 100, warmUpMs: 1000, measureMs };
      const load = await measureLoad(broker, clients, plan);
      const latency = await measureLatency(broker, clients, plan, 20_000);
      deliveriesOf.push({ shape, qos, load, latency });
    }
  }
  const count = quick ? 300 : 2000;
  const full = await measureConnects(broker, clients, count, false);
  const resumed = await measureConnects(broker, clients, count, true);
  const row = { name: broker.name, deliveries: deliveriesOf, full, resumed };
  printLine(JSON.stringify(row));
  return row;
}

async function publish(report: BenchReport): Promise<void> {
  const folder = new URL('results/', import.meta.url).pathname;
  await mkdir(folder, { recursive: true });
  const name = `${report.startedAt.replaceAll(/[:.]/g, '-')}${report.quick ? '-quick' : ''}`;
  await writeFile(join(folder, `${name}.json`), `${JSON.stringify(report, null, 2)}\n`);
  const page = markdownOf(report);
  process.stdout.write(`${page}\n`);
  if (!values.docs || report.quick) return;
  await writeFile(new URL('../docs/benchmarks.md', import.meta.url), page);
}
