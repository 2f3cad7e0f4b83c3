/**
 * The table of docs/benchmarks.md that compares Flotilla without fronts and with one and two of them.
 *
 * @module
 */
import type { BrokerName } from './brokers.ts';
import type { ConnectResult } from './connections.ts';
import type { DeliveryResult, LatencyResult, Shape } from './delivery.ts';
import type { LoadQos } from './load/frames.ts';

export interface ScalingRow {
  readonly name: BrokerName;
  readonly deliveries: readonly {
    readonly shape: Shape;
    readonly qos: LoadQos;
    readonly load: DeliveryResult;
    readonly latency: LatencyResult;
  }[];
  readonly full: ConnectResult;
  readonly resumed: ConnectResult;
}

export const scalingNames: readonly BrokerName[] = ['flotilla', 'flotilla-1', 'flotilla-2'];

/** The rows of the table: what, then core and fronts of each broker. */
export function scalingTable(rows: readonly ScalingRow[]): readonly (readonly string[])[] {
  const [first] = rows;
  if (first === undefined) return [];
  const pair = (core: number, fronts: number): string =>
    `${core.toFixed(2)} + ${fronts.toFixed(2)}`;
  const shapes = first.deliveries.map(({ shape, qos }, at) => [
    ...(['load', 'latency'] as const).map((kind) => [
      `${shape} QoS ${qos}, ${kind === 'load' ? 'full load' : '20,000/s'}, µs per delivery`,
      ...rows.map(({ deliveries }) => {
        const one = deliveries[at]?.[kind];
        return pair(
          one?.coreMicrosecondsPerDelivery ?? NaN,
          one?.frontMicrosecondsPerDelivery ?? NaN,
        );
      }),
    ]),
  ]);
  const connects = (['full', 'resumed'] as const).map((kind) => [
    `${kind} handshake with CONNECT, ms`,
    ...rows.map((row) => {
      const { coreCpuMsPerConnect: core, brokerCpuMsPerConnect: all } = row[kind];
      return pair(core, all - core);
    }),
  ]);
  return [
    ['CPU time: core + fronts', ...rows.map(({ name }) => name)],
    ...shapes.flat(),
    ...connects,
  ];
}
