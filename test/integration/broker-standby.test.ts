/**
 * Two brokers with one PostgreSQL database, as programs that are killed and stopped.
 *
 * @module
 */
import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { writeBenchState } from '../../bench/bench-state.ts';
import { freePort, startBenchBroker, type BenchBroker } from '../../bench/brokers.ts';
import { makeCertificates, type RunCertificates } from '../../bench/certificates.ts';
import { clientNames, Clients } from '../../bench/clients.ts';
import { ExactClient } from '../../bench/kill/exact-client.ts';
import { runKills } from '../../bench/kill/kill-run.ts';
import { TwoMachines } from '../../bench/kill/two-machines.ts';
import { systemClock } from '../../core/clock.ts';
import { stateFolder, type StateFolder } from '../../core/state-folder.ts';
import { openDurableStore } from '../../broker/store/durable-store.ts';
import { spawnNode, type Child } from '../support/child.ts';
import { flotillaPath, type Ready } from '../support/cli.ts';
import {
  postgresServer,
  skipsWithoutServer,
  type PostgresServer,
} from '../support/postgres-server.ts';
import { sessionRecord, wideLimits } from '../support/store-samples.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

const limitMs = 240_000;

let server: PostgresServer | undefined;
let certificates: RunCertificates;
test.before(async (t) => {
  t.timeout(limitMs);
  server = await postgresServer();
  certificates = await makeCertificates(clientNames.slice(0, 40));
  await writeBenchState(certificates);
});
test.after.always(async () => {
  await server?.close();
  await certificates.remove();
});

/** A machine with the identity of a broker and the directory of the fleet. */
async function newMachine(t: ExecutionContext, settings: string): Promise<StateFolder> {
  const state = stateFolder(join(tempFolder(t), 'state'));
  await cp(join(certificates.folder, 'state'), state.root, { recursive: true });
  await writeFile(state.config, settings);
  return state;
}

function startOn(t: ExecutionContext, state: StateFolder): { child: Child; ready: Promise<Ready> } {
  const ports = ['--mqtts-port', '0', '--wss-port', '0', '--metrics-port', '0'];
  const url = ['--enroll-url', 'https://127.0.0.1:9'];
  const args = ['broker', 'serve', '--state', state.root, ...url, ...ports, '--json'];
  const child = spawnNode(t, [flotillaPath, ...args], { timeoutMs: limitMs });
  const ready = child
    .line((line) => line.includes('"ready"'))
    .then((line): Ready => JSON.parse(line) as Ready);
  ready.catch(() => undefined);
  return { child, ready };
}

test('when the active broker is killed under QoS 1 and 2 load, a standby without a local file has everything that was acknowledged, and repeats no QoS 2 message', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const machines = await TwoMachines.make(
    certificates,
    [await freePort()],
    await database.database(),
  );
  t.teardown(() => machines.close());
  const times = [0.1, 0.9, 0.4];
  const result = await runKills({
    kills: times.length,
    lifeMinMs: 50,
    lifeMaxMs: 400,
    start: machines.start,
    clients: new Clients(certificates),
    random: () => times.pop() ?? 0.5,
    report: () => undefined,
  });
  t.log(JSON.stringify(result));
  t.deepEqual(result.lost, []);
  t.deepEqual(result.duplicatedQos2, []);
  t.is(result.outOfOrderQos2, 0);
  t.is(result.sessionsLost, 0);
  t.true(result.acknowledged > 20, `${result.acknowledged} acknowledged`);
  t.true(result.deliveries >= 2 * result.acknowledged);
});

test('when the database is killed under QoS 1 and 2 load, the broker continues without a restart, and nothing acknowledged is lost', async (t) => {
  const database = skipsWithoutServer(t, await postgresServer());
  if (database === undefined) return;
  t.teardown(() => database.close());
  t.timeout(limitMs);
  const closing = new AbortController();
  t.teardown(() => closing.abort());
  const clients = new Clients(certificates);
  const env = { FLOTILLA_BENCH_DATABASE: await database.database() };
  const machine = { ...certificates, folder: tempFolder(t) };
  await writeBenchState(machine);
  const broker = await startBenchBroker('flotilla', machine, 0, [], {
    env,
    signal: closing.signal,
  });
  let isDown = false;
  /** The broker, of which a kill only ends the database. */
  const survivor: BenchBroker = {
    ...broker,
    async kill() {
      isDown = true;
      await database.kill();
    },
  };
  const times = [0.1, 0.9, 0.4];
  const result = await runKills({
    kills: times.length,
    lifeMinMs: 50,
    lifeMaxMs: 400,
    async start() {
      if (isDown) await database.start();
      // Until then, connections that need a session are refused.
      const probe = new ExactClient({
        context: clients.context('service-2'),
        clientId: 'service-2/probe',
      });
      await until('the broker continues', () =>
        probe.connect(broker.target).then(
          () => true,
          () => undefined,
        ),
      );
      probe.drop();
      return survivor;
    },
    clients,
    random: () => times.pop() ?? 0.5,
    report: () => undefined,
  });
  t.log(JSON.stringify(result));
  t.deepEqual(result.lost, []);
  t.deepEqual(result.duplicatedQos2, []);
  t.is(result.outOfOrderQos2, 0);
  t.is(result.sessionsLost, 0);
  t.true(result.acknowledged > 20, `${result.acknowledged} acknowledged`);
});

test('a standby does not listen and says so; it replaces an active broker that hangs, which ends when it continues', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const settings = `broker:\n  database: ${await database.database()}\n`;
  const first = startOn(t, await newMachine(t, settings));
  const target = (await first.ready).mqtts;
  const clients = new Clients(certificates);
  const received: string[] = [];
  const subscriber = new ExactClient({
    context: clients.context('service-0'),
    clientId: 'service-0/kept',
    received: (_topic, text) => received.push(text),
  });
  const publisher = new ExactClient({
    context: clients.context('device-0'),
    clientId: 'device-0',
  });
  await subscriber.connect(target);
  await subscriber.subscribe('devices/#', 2);
  subscriber.drop();
  await publisher.connect(target);
  for (let number = 1; number <= 20; number++) {
    publisher.publish('devices/device-0/x', `${number}`, number % 2 === 0 ? 2 : 1);
  }
  await until('all are acknowledged', () => publisher.outstanding === 0);
  publisher.drop();
  const { metrics: active } = await first.ready;
  const status = await (await fetch(`${active.url}/statusz`)).text();
  t.regex(status, /"database","ok":true,"detail":"connected, term 1,/);
  const metrics = await (await fetch(`${active.url}/metrics`)).text();
  t.regex(metrics, /^flotilla_journal_term\{store="main"\} 1$/m);
  t.regex(metrics, /^flotilla_journal_append_duration_seconds_count [1-9]/m);

  const second = startOn(t, await newMachine(t, settings));
  await second.child.errorLine((line) => line.startsWith('standby: '));
  const reported = await second.child.errorLine((line) => line.includes('reports its health'));
  const { url } = JSON.parse(reported) as { url: string };
  const readiness = await fetch(`${url}/readyz`);
  t.is(readiness.status, 503);
  t.regex(await readiness.text(), /standby: .+ is active/);
  t.is((await fetch(`${url}/healthz`)).status, 200);
  t.notRegex(second.child.stdout(), /ready/);

  first.child.process.kill('SIGSTOP');
  const { mqtts, metrics: next } = await second.ready;
  t.is((await fetch(`${next.url}/readyz`)).status, 200);
  await subscriber.connect(mqtts);
  await until('the queue arrives', () => new Set(received).size === 20);
  t.is(subscriber.sessionsLost, 0);
  first.child.process.kill('SIGCONT');
  const ended = await first.child.finished;
  t.is(ended.code, 1);
  t.regex(ended.stderr, /database-fenced/);
  const stopped = await second.child.stop();
  t.is(stopped.code, 0);
  t.notRegex(stopped.stderr, /"level":"(error|fatal)"/, 'the store is written until the end');
  subscriber.drop();
  // After an orderly end the next one does not wait.
  const third = startOn(t, await newMachine(t, settings));
  await subscriber.connect((await third.ready).mqtts);
  t.is(subscriber.sessionsLost, 0);
  subscriber.drop();
  t.is((await third.child.stop()).code, 0);
});

test('sessions in a file, or in a database that is not named any more, are not forgotten without a word', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const settings = `broker:\n  database: ${await database.database()}\n`;
  const state = await newMachine(t, settings);
  const errorOf = async (): Promise<string> => {
    const { code, stderr } = await startOn(t, state).child.finished;
    t.is(code, 1);
    return stderr;
  };
  const { store: path } = state.broker;
  const store = await openDurableStore({ path, limits: wideLimits, clock: systemClock });
  store.putSession(sessionRecord('a'));
  await store.close();
  t.regex(await errorOf(), /1 sessions.*store-not-imported/s);
  await rm(path);
  const broker = startOn(t, state);
  await broker.ready;
  await broker.child.stop();
  await writeFile(state.config, '');
  t.regex(await errorOf(), /store-in-database/);
  await writeFile(state.config, `${settings}  store: memory\n`);
  t.regex((await startOn(t, state).child.finished).stderr, /config-invalid/);
});
