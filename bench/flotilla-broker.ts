/**
 * A complete Flotilla broker as a process to measure, with admission, policy, limits and metrics. Its
 * arguments are the folder of the run and the port; it prints its port as a line of JSON. With
 * `FLOTILLA_BENCH_FRONTS=n` it has n fronts, and with `FLOTILLA_BENCH_STORE=memory` the memory store. With
 * `FLOTILLA_BENCH_DATABASE=postgres://…` its sessions are there, and it waits while another broker is active.
 * With `FLOTILLA_BENCH_PARTITIONS=n`, too, it is a node of a cluster with n partitions, and with
 * `FLOTILLA_BENCH_CLUSTER_ADDRESS=host:port` the other nodes connect there. `FLOTILLA_BENCH_LOG=info` or `debug` shows more than
 * errors.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openDatabaseStore } from '../broker/journal/database-store.ts';
import { startBroker } from '../broker/broker-service.ts';
import { systemClock } from '../core/clock.ts';
import { checkConfig } from '../core/config/config.ts';
import { ownAllocator } from '../core/telemetry/loaded-allocator.ts';
import { createLog } from '../core/log.ts';
import { stateFolder } from '../core/state-folder.ts';
import { inflightWindow } from './peers.ts';

const [, , folder = '', port = '0'] = process.argv;
const database = process.env['FLOTILLA_BENCH_DATABASE'];
const partitions = process.env['FLOTILLA_BENCH_PARTITIONS'];
const address = process.env['FLOTILLA_BENCH_CLUSTER_ADDRESS'];
const config = checkConfig({
  broker: {
    mqttsPort: Number(port),
    wssPort: 0,
    metricsPort: 0,
    fronts: Number(process.env['FLOTILLA_BENCH_FRONTS'] ?? '0'),
    store: process.env['FLOTILLA_BENCH_STORE'] === 'memory' ? 'memory' : 'durable',
    ...(database === undefined ? {} : { database }),
  },
  ...(partitions === undefined
    ? {}
    : { cluster: { partitions: Number(partitions), port: 0, ...(address && { address }) } }),
  limits: {
    broker: {
      connectionsPerDeviceMax: 1000,
      connectsPerDevicePerMinuteMax: 1_000_000,
      inflightOutMax: inflightWindow,
      // For a receiver that is offline during a benchmark.
      queuePerSessionMaxMessages: 1_000_000,
      queuePerSessionMaxBytes: 512 * 1024 * 1024,
    },
  },
});
const state = stateFolder(join(folder, 'state'));
const level = (['info', 'debug'] as const).find((one) => one === process.env['FLOTILLA_BENCH_LOG']);
const log = createLog({ level: level ?? 'error' });
const forever = new Promise(() => undefined);
const broker = await startBroker(config, {
  state,
  // A node takes partitions while it runs.
  database:
    partitions === undefined
      ? await openDatabaseStore(
          config,
          { state, clock: systemClock, log },
          { stop: forever, waiting: () => undefined },
        )
      : undefined,
  // By default nothing listens there, and the broker uses its stored directory.
  enrollUrl: process.env['FLOTILLA_BENCH_ENROLL_URL'] ?? 'https://127.0.0.1:9',
  log,
});
const version = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  }
).version;
const shown = ownAllocator === 'system' ? version : `${version} with ${ownAllocator}`;
const { mqtts, metrics, cluster } = broker.addresses;
process.stdout.write(
  `${JSON.stringify({ port: mqtts.port, version: shown, metrics: metrics.url, cluster: cluster?.port })}\n`,
);
const stop = (): void => void broker.close().then(() => process.exit(0));
process.on('SIGTERM', stop);
// Another broker has taken over, for example.
void broker.failed.then((error) => {
  log.error({ err: error }, 'the broker must not continue');
  process.exit(1);
});
process.stdin.on('end', stop).resume();
