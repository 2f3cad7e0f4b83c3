/**
 * `node bench/kill-bench.ts`: kills a broker (`kill -9`) 100 times under QoS 1 and 2 load. Options:
 * `--kills N`, `--seed S`, `--broker flotilla|session`, `--fronts N`, `--database postgres://…` (an empty database: the
 * sessions are there, each start is on another machine without a local file, and a standby waits). The exit code is 1
 * when an acknowledged message was lost or a QoS 2 message was delivered twice.
 *
 * @module
 */
import { parseArgs } from 'node:util';
import { writeBenchState } from './bench-state.ts';
import { freePort, startBenchBroker } from './brokers.ts';
import { makeCertificates } from './certificates.ts';
import { clientNames, Clients } from './clients.ts';
import { runKills } from './kill/kill-run.ts';
import { TwoMachines } from './kill/two-machines.ts';
import { seededNumbers } from './kill/seeded-numbers.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    broker: { type: 'string', default: 'flotilla' },
    fronts: { type: 'string', default: '0' },
    database: { type: 'string' },
  },
});
const certificates = await makeCertificates(clientNames.slice(0, 40));
const port = await freePort();
const { database } = values;
const machines =
  database === undefined ? undefined : await TwoMachines.make(certificates, [port], database);
try {
  await writeBenchState(certificates);
  const result = await runKills({
    kills: Number(values.kills),
    lifeMinMs: 50,
    lifeMaxMs: 500,
    start:
      machines?.start ??
      (() => startBenchBroker(`${values.broker}-${values.fronts}`, certificates, port)),
    clients: new Clients(certificates),
    random: seededNumbers(Number(values.seed)),
    report: (line) => void process.stderr.write(`${line}\n`),
  });
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  if (result.lost.length > 0 || result.duplicatedQos2.length > 0) process.exitCode = 1;
} finally {
  machines?.close();
  await certificates.remove();
}
