/**
 * A whole Flotilla broker as a process to measure: admission, policy, limits and metrics on. Its
 * arguments are the run's folder and the port; it prints its port as a line of JSON.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startBroker } from '../broker/broker-service.ts';
import { checkConfig } from '../core/config/config.ts';
import { createLog } from '../core/log.ts';
import { stateFolder } from '../core/state-folder.ts';
import { inflightWindow } from './brokers.ts';

const [, , folder = '', port = '0'] = process.argv;
const config = checkConfig({
  broker: { mqttsPort: Number(port), wssPort: 0, metricsPort: 0 },
  limits: {
    broker: {
      connectionsPerDeviceMax: 1000,
      connectsPerDevicePerMinuteMax: 1_000_000,
      inflightOutMax: inflightWindow,
      // A receiver that is away while a benchmark runs.
      queuePerSessionMaxMessages: 1_000_000,
      queuePerSessionMaxBytes: 512 * 1024 * 1024,
    },
  },
});
const broker = await startBroker(config, {
  state: stateFolder(join(folder, 'state')),
  // Unless told, nobody is there: the broker works with the directory that it has.
  enrollUrl: process.env['FLOTILLA_BENCH_ENROLL_URL'] ?? 'https://127.0.0.1:9',
  log: createLog({ level: 'error' }),
});
const version = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  }
).version;
process.stdout.write(`${JSON.stringify({ port: broker.addresses.mqtts.port, version })}\n`);
const stop = (): void => void broker.close().then(() => process.exit(0));
process.on('SIGTERM', stop);
process.stdin.on('end', stop).resume();
