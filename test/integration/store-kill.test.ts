import test from 'ava';
import { writeBenchState } from '../../bench/bench-state.ts';
import { freePort, startBenchBroker } from '../../bench/brokers.ts';
import { makeCertificates } from '../../bench/certificates.ts';
import { clientNames, Clients } from '../../bench/clients.ts';
import { runKills } from '../../bench/kill/kill-run.ts';

// A hundred kills: `node bench/kill-bench.ts`.

test('a broker that is killed under QoS 1 and 2 load loses no acknowledged message and repeats no QoS 2 message', async (t) => {
  const certificates = await makeCertificates(clientNames.slice(0, 40));
  t.teardown(() => certificates.remove());
  await writeBenchState(certificates);
  const port = await freePort();
  const times = [0.1, 0.9, 0.4];
  const result = await runKills({
    kills: times.length,
    lifeMinMs: 50,
    lifeMaxMs: 400,
    start: () => startBenchBroker('flotilla', certificates, port),
    clients: new Clients(certificates),
    random: () => times.pop() ?? 0.5,
    report: () => undefined,
  });
  t.log(JSON.stringify(result));
  t.deepEqual(result.lost, []);
  t.deepEqual(result.duplicatedQos2, []);
  t.is(result.outOfOrderQos2, 0);
  t.is(result.sessionsLost, 0);
  t.true(result.acknowledged > 300, `${result.acknowledged} acknowledged`);
  t.true(result.deliveries >= 2 * result.acknowledged);
});
