/**
 * The clients of the cluster benchmark: devices, services, and clients of a chosen partition.
 *
 * @module
 */
import { partitionOf } from '../../core/partition.ts';

const serviceCount = 40;

/** The names that most scenarios use: `device-0` and so on, and `service-0` and so on. */
export function fleetNames(devices: number): readonly string[] {
  return [
    ...Array.from({ length: devices }, (_, index) => `device-${index}`),
    ...Array.from({ length: serviceCount }, (_, index) => `service-${index}`),
  ];
}

/** The first ids of a kind that belong to a partition. */
export function namesIn(
  partition: number,
  partitions: number,
  kind: 'device' | 'service',
  count: number,
): readonly string[] {
  const names: string[] = [];
  for (let number = 0; names.length < count; number++) {
    const name = `${kind}-in-partition-${number}`;
    if (partitionOf(name, partitions) === partition) names.push(name);
  }
  return names;
}
