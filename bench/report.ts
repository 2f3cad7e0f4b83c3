/**
 * The results of a run, as JSON and as a page of Markdown.
 *
 * @module
 */
import type { BrokerName } from './brokers.ts';
import type { ConnectResult, IdleResult } from './connections.ts';
import type { DurableResult } from './durable.ts';
import type { DeliveryPlan, DeliveryResult, LatencyResult } from './delivery.ts';

export interface DeliveryRow {
  readonly plan: Pick<DeliveryPlan, 'shape' | 'qos' | 'payloadBytes'>;
  readonly load: Readonly<Partial<Record<BrokerName, DeliveryResult>>>;
  readonly latency: Readonly<Partial<Record<BrokerName, LatencyResult>>>;
}

export interface Report {
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
    Partial<Record<BrokerName, { readonly full: ConnectResult; readonly resumed: ConnectResult }>>
  >;
  readonly idle: Readonly<Partial<Record<BrokerName, IdleResult>>>;
  readonly durable?: DurableResult;
}

/** The page for the docs. Ratios are against Mosquitto, where it ran; below 1 is better. */
export function markdownOf(report: Report): string {
  const names = Object.keys(report.brokers) as BrokerName[];
  const ours = names.filter((name) => name !== 'mosquitto');
  const versions = names.map((name) => `${name} ${report.brokers[name]}`).join(', ');
  const head = [
    ...names,
    ...ours.filter(() => names.includes('mosquitto')).map((n) => `${n} ÷ mosquitto`),
  ];
  const ratio = (value: (name: BrokerName) => number | undefined, digits: number): string[] => {
    const base = value('mosquitto');
    return [
      ...names.map((name) => numberText(value(name), digits)),
      ...(base === undefined
        ? []
        : ours.map((name) => {
            const own = value(name);
            return own === undefined ? '–' : `**${(own / base).toFixed(2)}**`;
          })),
    ];
  };
  const scenario = ({ plan }: DeliveryRow): string =>
    `${plan.shape} QoS ${plan.qos}, ${plan.payloadBytes} B`;
  const deliveryTable = (
    unit: string,
    digits: number,
    value: (row: DeliveryRow, name: BrokerName) => number | undefined,
  ): string =>
    table(
      [unit, ...head],
      report.deliveries.map((row) => [scenario(row), ...ratio((name) => value(row, name), digits)]),
    );
  return `# Benchmarks

Made by \`npm run bench\` on ${report.startedAt}${report.quick ? ' (quick run: short measurements)' : ''}.
${versions}; Node ${report.node} with OpenSSL ${report.openssl}.
Machine: ${report.machine.cpu}, ${report.machine.cores} cores, ${report.machine.memoryGb} GB, Linux ${report.machine.kernel};
broker and load generator share the machine; its load average was ${report.machine.load[0]} at the start and
${report.machine.load[1]} at the end (an otherwise idle machine has lower and steadier latencies). All connections use
TLS 1.3, mutual authentication, P-256, and the same certificates for all brokers; policy, limits and metrics are
enabled. CPU is the CPU time of the broker's whole process (all threads, user and system). A value below 1 in the last
column means that Flotilla is better than Mosquitto.

## CPU per delivered message, at full load

${deliveryTable('µs', 2, (row, name) => row.load[name]?.cpuMicrosecondsPerDelivery)}

## Deliveries per second, at full load

In this table, higher is better. The tables below it show the CPU usage of broker and load generator: where the generator
uses almost 100 %, the generator limits the result, not the broker; where neither does, they wait for each other.

${deliveryTable('deliveries/s', 0, (row, name) => row.load[name]?.deliveriesPerSecond)}

${deliveryTable('CPU of the broker, %', 0, (row, name) => row.load[name]?.brokerCpuPercent)}

${deliveryTable('CPU of the generator, %', 0, (row, name) => row.load[name]?.generatorCpuPercent)}

${missingText(report, names)}

## Latency at a fixed rate

${table(
  ['ms', 'deliveries/s', ...names.flatMap((name) => [`${name} p50`, 'p99', 'max'])],
  report.deliveries
    .filter((row) => Object.keys(row.latency).length > 0)
    .map((row) => [
      scenario(row),
      numberText(Object.values(row.latency)[0]?.ratePerSecond, 0),
      ...names.flatMap((name) => {
        const one = row.latency[name];
        return [numberText(one?.p50Ms, 2), numberText(one?.p99Ms, 2), numberText(one?.maxMs, 1)];
      }),
    ]),
)}

${deliveryTable('µs of CPU per delivery at this rate', 2, (row, name) => row.latency[name]?.cpuMicrosecondsPerDelivery)}
${floorText}
## Connections

${table(
  ['', ...head],
  [
    ['connects/s, full', ...ratio((name) => report.connects[name]?.full.perSecond, 0)],
    ['connects/s, resumed', ...ratio((name) => report.connects[name]?.resumed.perSecond, 0)],
    [
      'CPU ms per connect, full',
      ...ratio((name) => report.connects[name]?.full.brokerCpuMsPerConnect, 2),
    ],
    [
      'CPU ms per connect, full, the first of a process',
      ...ratio((name) => report.connects[name]?.full.coldCpuMsPerConnect, 2),
    ],
    [
      'CPU ms per connect, resumed',
      ...ratio((name) => report.connects[name]?.resumed.brokerCpuMsPerConnect, 2),
    ],
    [
      'of these actually resumed, %',
      ...names.map((name) => share(report.connects[name]?.resumed)),
      ...ours.filter(() => names.includes('mosquitto')).map(() => ''),
    ],
    [
      'KB of RSS per idle connection',
      ...ratio((name) => kilobytes(report.idle[name]?.bytesPerConnection), 1),
    ],
  ],
)}

Idle connections were ${Object.values(report.idle)[0]?.connections ?? 0}, each with one subscription and no traffic for twenty seconds.
${memoryText}${durableText(report)}${killsText}`;
}

/** Whether the brokers did the same work: one that drops what it cannot send spends less on it. */
function missingText(report: Report, names: readonly BrokerName[]): string {
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

/** Not measured by each run: how far below it can go. */
const floorText = `
### The minimum cost of a message

\`npm run bench -- --brokers mosquitto,flotilla,bare --qos 0\` measures a third process: a router on bare
\`node:tls\`, without topics, policy, limits and sessions. Its cost is that of Node.js: streams, TLS, system calls.
The values are medians of three alternating runs on a machine with other work, so you can compare the columns with
each other, but not the microseconds with other tables:

| µs of CPU per delivery, 4096 B | mosquitto | bare | flotilla | bare ÷ mosquitto | flotilla ÷ mosquitto |
| --- | ---: | ---: | ---: | ---: | ---: |
| fan-in QoS 0, full load | 10.8 | 6.0 | 9.8 | 0.56 | 0.91 |
| fan-out QoS 0, full load | 12.6 | 4.0 | 5.3 | 0.31 | 0.42 |
| fan-in QoS 1, full load | 24.6 | – | 14.7 | – | 0.60 |
| fan-out QoS 1, full load | 18.2 | – | 10.7 | – | 0.59 |
| fan-in QoS 0, 5,000/s | 17.6 | 19.7 | 26.3 | 1.12 | 1.49 |
| fan-out QoS 0, 5,000/s | 18.3 | 17.9 | 23.0 | 0.98 | 1.26 |

With payloads of 4 KB at QoS 0, the goals of 0.5 (fan-in) and 0.25 (fan-out) are therefore below the cost of \`node:tls\`
alone. With one message per write, Node.js costs about as much as Mosquitto: no messages can be combined, each message
is one TLS record and one system call for both, and Node.js adds the cost of its streams.

- Before output was collected in reusable buffers, each message of 4 KB allocated 16 KB outside V8's heap, and V8
  marked its whole heap for each 64 MB of that, which took up to half of the broker's CPU time (under the same
  conditions: fan-in QoS 0 9 to 29 µs, fan-out QoS 0 11.5, fan-out QoS 1 20.3). Full marks are now rare; garbage
  collection still takes about an eighth of Flotilla's CPU time.
- Encryption and decryption take 7 % of it. Both brokers negotiate TLS_AES_256_GCM_SHA384; on this
  processor AES-128 is not faster. Young generations of 1, 2, 4 and 8 MB make no measurable difference.
- Reading into a preallocated buffer would save one allocation per read, but the TLS sockets of a server have no public
  API for it, nor for bypassing the stream to the handle of the TLS socket.
- Flotilla checks its files for changes twenty times per second. This takes 1 % of a core when idle, or 2 µs per message
  at 5,000/s.
`;

/** Not measured by the run: what stands behind its number. */
const memoryText = `
### Where the memory of an idle connection goes

On a bare \`node:tls\` server without MQTT, a TCP connection takes about 5 KB, a TLS 1.3 connection takes 31 KB without
a client certificate and 54 to 64 KB with one (TLS 1.2 with one: 41 KB); 4 to 5 KB of this are JavaScript objects. The
session layer adds almost nothing. The following settings were tried (KB per connection):

| bare server, 2,000 connections | KB |
| --- | ---: |
| default settings | 64.4 |
| \`MALLOC_TRIM_THRESHOLD_=65536\` | 63.8 |
| \`MALLOC_ARENA_MAX=1\` | 65.5 |
| \`MALLOC_TOP_PAD_=0\` and trimming at 4 KB | 65.1 |
| glibc's thread cache off | 66.6 |
| no session tickets | 63.1 |
| \`--max-semi-space-size=1\` | 61.4 |
| \`MALLOC_MMAP_THRESHOLD_=32768\` | 59.8 |
| \`MALLOC_MMAP_THRESHOLD_=16384\` | 58.2 |

| session layer, 5,000 connections, one subscription each | KB |
| --- | ---: |
| default settings | 63.8 |
| \`MALLOC_MMAP_THRESHOLD_=8192\` | 58.8 |
| the same and \`--max-semi-space-size=4\` | 56.1 |

Node.js allocates a read buffer of 64 KB for each TLS connection, and the handshake touches one or two pages of it. If
the buffer has its own memory mapping, only these pages use memory; between other allocations, all pages do sooner or
later. \`MALLOC_MMAP_MAX_=30000\` keeps the number of mappings below the kernel's limit. Flotilla does not set this
itself, because every read buffer then becomes a mapping, which makes 4 KB messages 15 to 30 % more expensive.

| the whole broker, 5,000 connections, one subscription each | KB |
| --- | ---: |
| default settings | 71.8 |
| \`--max-semi-space-size=4\` (as \`flotilla up\` restarts itself) | 64 to 66 |
| the same and \`MALLOC_MMAP_THRESHOLD_=8192\` | 62.6 |
| \`--max-semi-space-size=4\`, with less state per idle connection | 61.8 |
| the same with \`--max-semi-space-size=2\` | 61.7 |
| with 4 again, twenty seconds later, after V8 collected the garbage of connecting | 60.7 |
| the same on a quiet machine, four runs | 59.7, 59.8, 59.8, 61.3 |

The same with 1,500 connections: 64.4 before, 61.3 with less state per connection (no list of protocols that Node.js
copies for each connection, no state of the handshake gate, topic caches created on first use), 57 after a while;
65 with \`MALLOC_TRIM_THRESHOLD_=65536\`, 60 to 64 with \`MALLOC_ARENA_MAX=1\`, 62.6 without the gate before TLS. None of
these settings is worthwhile. About 9 KB of the remaining memory are the JavaScript objects of a connection, most of
them created by Node.js (two sockets, four stream states, their handles). The rest belongs to OpenSSL and to the buffers
that Node.js keeps for it; JavaScript code cannot release it.
`;

const killsText = `
## A hundred kills

\`node bench/kill-bench.ts\` kills the whole broker (\`kill -9\`) a hundred times at random times, under QoS 1
and 2 load from four devices with the durable store. One subscriber is connected all the time, another one is offline
until the end. \`--seed\` selects the times. Results of 2026-11-21 on the machine above, which also did other work:

| seed | acknowledged | deliveries | acknowledged and lost | QoS 2 twice | QoS 2 out of order | sessions lost |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| 1 | 246992 | 496538 | 0 | 0 | 0 | 0 |
| 2 | 103806 | 210427 | 0 | 0 | 0 | 0 |

1597 and 1613 QoS 1 messages were delivered twice, which the protocol allows. Loading 100,000 queued messages takes the
store 0.3 to 0.4 s of CPU time; this is part of the restart time in the table above. A test runs three kills
(test/integration/store-kill.test.ts).
`;

function durableText({ durable }: Report): string {
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
