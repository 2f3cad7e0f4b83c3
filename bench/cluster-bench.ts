/**
 * `node bench/cluster-bench.ts --scenario NAME`: the acceptance of a cluster with several active brokers, which are
 * processes of their own with a PostgreSQL database (Debian's package postgresql). Options: `--nodes N`, `--partitions N`,
 * `--rounds N`, `--clients N` (devices), `--rate N` (messages per second of the load), `--seed S`. The scenarios are in
 * bench/cluster/scenario-table.ts. The result is JSON; the exit code is 1 when something happened that must not. Then, and
 * with `--keep-logs`, the folder with the logs of the nodes is kept.
 *
 * @module
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeCertificates } from './certificates.ts';
import { Clients } from './clients.ts';
import { BenchNodes, nodeNames } from './cluster/bench-nodes.ts';
import { fleetNames, namesIn } from './cluster/client-names.ts';
import { burstDevices, cpuPartitions } from './cluster/cpu-shares.ts';
import { scenarios } from './cluster/scenario-table.ts';
import { singlePostgres } from './failover/postgres-process.ts';
import { seededNumbers } from './kill/seeded-numbers.ts';

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', default: '' },
    nodes: { type: 'string', default: '3' },
    partitions: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '10' },
    clients: { type: 'string', default: '200' },
    rate: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    'keep-logs': { type: 'boolean', default: false },
  },
});
const scenario = scenarios[values.scenario];
if (scenario === undefined) {
  throw new Error(`--scenario is one of ${Object.keys(scenarios).join(', ')}`);
}
// The server of the database ends with this process.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
const shape = { nodes: Number(values.nodes), partitions: Number(values.partitions) };
const [devices, seed] = [Number(values.clients), Number(values.seed)];
const inPartitions = [0, 1].flatMap((partition) => [
  ...namesIn(partition, cpuPartitions, 'device', burstDevices),
  ...namesIn(partition, cpuPartitions, 'service', 1),
]);
const names = values.scenario === 'cpu' ? inPartitions : [];
const certificates = await makeCertificates(
  [...fleetNames(devices), ...names],
  nodeNames(Math.max(2, shape.nodes)),
);
const postgres = await singlePostgres();
let clusters = 0;
let isFine = false;
try {
  const result = await scenario({
    ...{ rounds: Number(values.rounds), devices, ratePerSecond: Number(values.rate), certificates },
    clients: new Clients(certificates),
    random: seededNumbers(seed),
    async start(other = {}) {
      const name = `cluster-${++clusters}`;
      const database = await postgres.database();
      return BenchNodes.start({ ...shape, ...other, certificates, database, name });
    },
    report: (line) => void process.stderr.write(`${line}\n`),
  });
  const { violations, figures } = result;
  isFine = violations.length === 0;
  const asked = { scenario: values.scenario, seed, ...shape, clients: devices, rate: values.rate };
  const shown = { ...asked, rounds: Number(values.rounds), ...figures, violations };
  process.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
} finally {
  await postgres.close();
  if (isFine && !values['keep-logs']) await certificates.remove();
  else process.stderr.write(`the logs are in ${join(certificates.folder, 'cluster-*')}\n`);
}
process.exit(isFine ? 0 : 1);
