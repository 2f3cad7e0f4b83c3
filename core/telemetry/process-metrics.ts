/**
 * Metrics of the process: CPU time, memory, open files, garbage collection, and the version that runs. The
 * names are those of the Prometheus client libraries, so that existing dashboards show them.
 *
 * @module
 */
import { collectDefaultMetrics, Gauge, type Registry } from 'prom-client';
import { ownAllocator } from './loaded-allocator.ts';
import { packageVersion } from '../package-version.ts';

/** Gauges whose names end with `_total`, which is reserved for counters. */
const misnamed = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

/** How often the delay of the event loop is sampled, in ms. */
const eventLoopSampleMs = 20;

/** Registers `process_*`, `nodejs_*` and `flotilla_build_info`. */
export function registerProcessMetrics(
  registry: Registry,
  component: 'broker' | 'enrollment',
): void {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: eventLoopSampleMs });
  for (const name of misnamed) registry.removeSingleMetric(name);
  new Gauge({
    name: 'flotilla_memory_allocator_info',
    help: 'Always 1; the label is the library that allocates native memory.',
    labelNames: ['component', 'allocator'],
    registers: [registry],
  }).set({ component, allocator: ownAllocator }, 1);
  new Gauge({
    name: 'flotilla_build_info',
    help: 'Always 1; the labels are the versions that run.',
    labelNames: ['component', 'version', 'node'],
    registers: [registry],
  }).set({ component, version: packageVersion, node: process.version }, 1);
}
