/**
 * Two brokers with a PostgreSQL primary and its synchronous standby. Longer runs: `node bench/failover-bench.ts`.
 *
 * @module
 */
import test from 'ava';
import { freePort } from '../../bench/brokers.ts';
import { makeCertificates } from '../../bench/certificates.ts';
import { clientNames, Clients } from '../../bench/clients.ts';
import { runFailovers } from '../../bench/failover/failover-run.ts';
import { PostgresPair } from '../../bench/failover/postgres-pair.ts';
import { TwoMachines } from '../../bench/kill/two-machines.ts';
import { postgresServer, skipsWithoutServer } from '../support/postgres-server.ts';

const limitMs = 600_000;

test('when the primary of the database is killed and its synchronous standby is promoted, and the brokers are restarted in turn, nothing acknowledged is lost', async (t) => {
  t.timeout(limitMs);
  const installed = skipsWithoutServer(t, await postgresServer());
  if (installed === undefined) return;
  await installed.close();
  const certificates = await makeCertificates(clientNames.slice(0, 40));
  t.teardown(() => certificates.remove());
  const database = await PostgresPair.make();
  t.teardown(() => database.close());
  const ports = [await freePort(), await freePort()];
  const machines = await TwoMachines.make(certificates, ports, database.url);
  t.teardown(() => machines.close());
  const result = await runFailovers({
    ...{ rounds: ['database', 'restart', 'database', 'kill'], machines, database },
    targets: ports.map((port) => ({ host: '127.0.0.1', port })),
    clients: new Clients(certificates),
    random: () => 0,
    report: (line) => t.log(line),
  });
  t.deepEqual(result.lost, []);
  t.deepEqual(result.duplicatedQos2, []);
  t.is(result.outOfOrderQos2, 0);
  t.is(result.sessionsLost, 0);
  t.deepEqual(result.faults, []);
  t.true(result.acknowledged > 100, `${result.acknowledged} acknowledged`);
  t.true(result.deliveries >= 2 * result.acknowledged);
});
