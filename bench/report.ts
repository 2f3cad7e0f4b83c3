/**
 * The results of a benchmark run, as JSON and as a page of Markdown.
 *
 * @module
 */
import { isOwn, type BrokerName } from './brokers.ts';
import type { ConnectResult, IdleResult } from './connections.ts';
import type { DurableResult } from './durable.ts';
import type { DeliveryPlan, DeliveryResult, LatencyResult } from './delivery.ts';
import type { FleetResult } from './fleet-row.ts';
import { anchorOf, loadFault, rateFault } from './row-verdict.ts';
import { scalingTable, type ScalingRow } from './scaling.ts';

export interface DeliveryRow {
  readonly plan: Pick<DeliveryPlan, 'shape' | 'qos' | 'payloadBytes'>;
  readonly load: Readonly<Partial<Record<BrokerName, DeliveryResult>>>;
  readonly latency: Readonly<Partial<Record<BrokerName, LatencyResult>>>;
}

export interface BenchReport {
  readonly startedAt: string;
  readonly quick: boolean;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryGb: number;
    readonly kernel: string;
    /** Over the last minute, at the start and at the end of the run. */
    readonly load: readonly [number, number];
  };
  readonly node: string;
  readonly openssl: string;
  readonly brokers: Readonly<Partial<Record<BrokerName, string>>>;
  readonly deliveries: readonly DeliveryRow[];
  readonly connects: Readonly<
    Partial<Record<BrokerName, { readonly full: ConnectResult; readonly resumed?: ConnectResult }>>
  >;
  readonly idle: Readonly<Partial<Record<BrokerName, IdleResult>>>;
  readonly fleet: Readonly<Partial<Record<BrokerName, FleetResult>>>;
  readonly scaling: readonly ScalingRow[];
  readonly durable?: DurableResult;
}

/** Renders docs/benchmarks.md. Ratios compare with the best peer of each row. */
export function markdownOf(report: BenchReport): string {
  const page = new Page(report);
  return `# Benchmarks

${introduction(report)}

## CPU per delivered message

Each cell has three values: µs of CPU per delivery in bursts (full load), µs at a fixed rate (20,000 deliveries per second of
100 B, 5,000 of 4 KB), and the p99 of the latency at that rate in ms. A broker that stalls or loses messages in a measurement has
that word instead of a value, and no ratio is made with it.

${page.overview()}

## Deliveries per second, at full load

In this table, higher is better. The tables below it show the CPU usage of broker and load generator: where the generator
uses almost 100 %, the generator limits the result, not the broker; where neither does, they wait for each other.

${page.deliveries('deliveries/s', 0, (row, name) => row.load[name]?.deliveriesPerSecond, true)}

${page.deliveries('CPU of the broker, %', 0, (row, name) => row.load[name]?.brokerCpuPercent)}

${page.deliveries('CPU of the generator, %', 0, (row, name) => row.load[name]?.generatorCpuPercent)}

${missingText(report, page.names)}

## A realistic fleet

${page.fleet()}

## Latency at a fixed rate

${page.latencies()}

${page.deliveries('µs of CPU per delivery at this rate', 2, (row, name) => row.latency[name]?.cpuMicrosecondsPerDelivery)}

## Connections

${page.connections()}

${scalingText(report)}
Idle connections were ${Object.values(report.idle)[0]?.connections ?? 0}, each with one subscription and no traffic for twenty seconds.
${durableText(report)}
What else was measured is in [measurements.md](measurements.md): attacks, kills, long turns, large fleets, memory, threads.
`;
}

function introduction(report: BenchReport): string {
  const names = Object.keys(report.brokers);
  const versions = names.map((name) => `${name} ${report.brokers[name]}`).join(', ');
  const { machine } = report;
  return `Made by \`npm run bench\` on ${report.startedAt}${report.quick ? ' (quick run: short measurements)' : ''}.
${versions}; Node ${report.node} with OpenSSL ${report.openssl}.
Machine: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, Linux ${machine.kernel};
broker and load generator share the machine; its load average was ${machine.load[0]} at the start and
${machine.load[1]} at the end (an otherwise idle machine has lower and steadier latencies). All connections use
TLS 1.3, mutual authentication, P-256, and the same certificates for all brokers; policy, limits and metrics are
enabled. CPU is the CPU time of the broker's whole process (all threads, user and system). Ratios compare with the best of the
other brokers in the same row of the same run, whichever it is.`;
}

/** The tables of the page. */
class Page {
  readonly names: readonly BrokerName[];
  readonly #report: BenchReport;
  readonly #peers: readonly BrokerName[];
  /** The brokers that are compared with the best peer; none when no peer ran. */
  readonly #compared: readonly BrokerName[];

  constructor(report: BenchReport) {
    this.#report = report;
    this.names = Object.keys(report.brokers);
    this.#peers = this.names.filter((name) => !isOwn(name));
    this.#compared = this.#peers.length > 0 ? this.names.filter(isOwn) : [];
  }

  /** One row per scenario, one column per broker. */
  deliveries(
    unit: string,
    digits: number,
    value: (row: DeliveryRow, name: BrokerName) => number | undefined,
    most = false,
  ): string {
    return table(
      [unit, ...this.#head()],
      this.#report.deliveries.map((row) => [
        scenario(row),
        ...this.#cells((name) => value(row, name), digits, most),
      ]),
    );
  }

  /** Bursts, fixed rate and p99 side by side. */
  overview(): string {
    return table(
      ['bursts / fixed rate / p99', ...this.#head()],
      this.#report.deliveries.map((row) => {
        const load = (name: BrokerName): number | undefined => validLoad(row, name);
        const rate = (name: BrokerName): number | undefined => validRate(row, name);
        const ratio = (name: BrokerName, value: typeof load): string => {
          const [own, base] = [value(name), anchorOf(this.#peers.map(value), false)];
          return own === undefined || base === undefined ? '–' : (own / base).toFixed(2);
        };
        return [
          scenario(row),
          ...this.names.map((name) => overviewCell(row, name)),
          ...this.#compared.map((name) => `**${ratio(name, load)} / ${ratio(name, rate)}**`),
        ];
      }),
    );
  }

  fleet(): string {
    const { fleet } = this.#report;
    const row = (
      title: string,
      digits: number,
      value: (result: FleetResult | undefined) => number | undefined,
    ): string[] => {
      const valid = (name: BrokerName): number | undefined =>
        fleet[name]?.missing === 0 ? value(fleet[name]) : undefined;
      return [title, ...this.#cells(valid, digits)];
    };
    const devices = Object.values(fleet)[0]?.devices ?? 0;
    return `${devices} devices with one message of 100 B per second each at QoS 1, and one consumer. A broker that lost messages has no values.

${table(
  ['', ...this.#head()],
  [
    row('CPU, % of a core', 1, (result) => result?.cpuPercent),
    row('latency p50, ms', 2, (result) => result?.p50Ms),
    row('latency p99, ms', 2, (result) => result?.p99Ms),
    row('resident memory, MB', 0, (result) =>
      result === undefined ? undefined : result.residentBytes / 1024 / 1024,
    ),
  ],
)}`;
  }

  latencies(): string {
    return table(
      ['ms', 'deliveries/s', ...this.names.flatMap((name) => [`${name} p50`, 'p99', 'max'])],
      this.#report.deliveries
        .filter((row) => Object.keys(row.latency).length > 0)
        .map((row) => [
          scenario(row),
          numberText(Object.values(row.latency)[0]?.ratePerSecond, 0),
          ...this.names.flatMap((name) => {
            const one = row.latency[name];
            return [
              numberText(one?.p50Ms, 2),
              numberText(one?.p99Ms, 2),
              numberText(one?.maxMs, 1),
            ];
          }),
        ]),
    );
  }

  connections(): string {
    const { connects, idle } = this.#report;
    const row = (
      title: string,
      digits: number,
      value: (name: BrokerName) => number | undefined,
      most = false,
    ): string[] => [title, ...this.#cells(value, digits, most)];
    return table(
      ['', ...this.#head()],
      [
        row('connects/s, full', 0, (name) => connects[name]?.full.perSecond, true),
        row('connects/s, resumed', 0, (name) => connects[name]?.resumed?.perSecond, true),
        row('CPU ms per connect, full', 2, (name) => connects[name]?.full.brokerCpuMsPerConnect),
        row(
          'CPU ms per connect, full, the first of a process',
          2,
          (name) => connects[name]?.full.coldCpuMsPerConnect,
        ),
        row(
          'CPU ms per connect, resumed',
          2,
          (name) => connects[name]?.resumed?.brokerCpuMsPerConnect,
        ),
        [
          'of these actually resumed, %',
          ...this.names.map((name) => share(connects[name]?.resumed)),
          ...this.#compared.map(() => ''),
        ],
        row('KB of RSS per idle connection', 1, (name) =>
          kilobytes(idle[name]?.bytesPerConnection),
        ),
      ],
    );
  }

  #head(): string[] {
    return [...this.names, ...this.#compared.map((name) => `${name} ÷ best peer`)];
  }

  /** The value of each broker, then the ratios to the best peer. */
  #cells(value: (name: BrokerName) => number | undefined, digits: number, most = false): string[] {
    const base = anchorOf(this.#peers.map(value), most);
    const ratio = (name: BrokerName): string => {
      const own = value(name);
      return own === undefined || base === undefined ? '–' : `**${(own / base).toFixed(2)}**`;
    };
    return [
      ...this.names.map((name) => numberText(value(name), digits)),
      ...this.#compared.map(ratio),
    ];
  }
}

function validLoad(row: DeliveryRow, name: BrokerName): number | undefined {
  const load = row.load[name];
  return load === undefined || loadFault(load) !== undefined
    ? undefined
    : load.cpuMicrosecondsPerDelivery;
}

function validRate(row: DeliveryRow, name: BrokerName): number | undefined {
  const latency = row.latency[name];
  return latency === undefined || rateFault(latency) !== undefined
    ? undefined
    : latency.cpuMicrosecondsPerDelivery;
}

function overviewCell(row: DeliveryRow, name: BrokerName): string {
  const load = row.load[name];
  const latency = row.latency[name];
  const burst =
    (load === undefined ? undefined : loadFault(load)) ?? numberText(validLoad(row, name), 2);
  const fault = latency === undefined ? undefined : rateFault(latency);
  const rate = fault ?? `${numberText(validRate(row, name), 1)} / ${numberText(latency?.p99Ms, 1)}`;
  return `${burst} / ${rate}`;
}

function scalingText({ scaling }: BenchReport): string {
  const [head, ...rows] = scalingTable(scaling);
  if (head === undefined) return '';
  return `
## Threads

Flotilla without fronts, with one and with two: CPU time in the core thread + in the fronts.

${table(head, rows)}
`;
}

function scenario({ plan }: DeliveryRow): string {
  return `${plan.shape} QoS ${plan.qos}, ${plan.payloadBytes} B`;
}

/** Whether the brokers did the same work: a broker that drops messages spends less CPU on them. */
function missingText(report: BenchReport, names: readonly BrokerName[]): string {
  const sum = (name: BrokerName): number =>
    report.deliveries.reduce(
      (total, { load, latency }) =>
        total + (load[name]?.missing ?? 0) + (latency[name]?.missing ?? 0),
      0,
    );
  return `Deliveries that never arrived, in these runs and in those at a fixed rate: ${names
    .map((name) => `${name} ${sum(name)}`)
    .join(', ')}.`;
}

function durableText({ durable }: BenchReport): string {
  if (durable === undefined) return '';
  const rows: (readonly [string, number, number])[] = [
    ['stored and acknowledged, messages/s', durable.storedPerSecond, 0],
    ['CPU µs per message, all threads', durable.cpuMicrosecondsPerMessage, 2],
    ['PUBACK p50, ms', durable.acknowledgeP50Ms, 2],
    ['PUBACK p99, ms', durable.acknowledgeP99Ms, 2],
    ['CPU of the generator, %', durable.generatorCpuPercent, 0],
    ['restart to listening after kill -9, ms', durable.restartMs, 0],
    ['delivered from the store, messages/s', durable.drainedPerSecond, 0],
    ['lost', durable.lost, 0],
  ];
  return `
## Durable QoS 1 to an offline receiver

${durable.messages} messages of 100 B from 20 devices, with the durable store (WAL, synchronous FULL).

${table(
  ['what', 'value'],
  rows.map(([what, value, digits]) => [what, numberText(value, digits)]),
)}
`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, index) => (index === 0 ? '---' : '---:'));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

function numberText(value: number | undefined, digits: number): string {
  return value === undefined || Number.isNaN(value) ? '–' : value.toFixed(digits);
}

function kilobytes(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : bytes / 1024;
}

function share(result: ConnectResult | undefined): string {
  return result === undefined ? '–' : ((result.resumed / result.connects) * 100).toFixed(0);
}
