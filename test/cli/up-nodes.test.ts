/**
 * A cluster on one machine, `flotilla up --nodes`: real processes, which the test kills.
 *
 * @module
 */
import {
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import test from 'ava';
import { z } from 'zod';
import { ExactClient } from '../../bench/kill/exact-client.ts';
import { partitionName, partitionOf } from '../../core/partition.ts';
import { nodeListSchema, type NodeList } from '../../cli/lib/node-list.ts';
import { statusSchema } from '../../core/protocol/enrollment-api.ts';
import { spawnNode } from '../support/child.ts';
import { anyPorts, flotilla, flotillaPath, startUp, type Ready } from '../support/cli.ts';
import { hasPostgres } from '../support/postgres-server.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

const limitMs = 600_000;
const devicesSchema = z.looseObject({ devices: z.array(z.looseObject({ id: z.string() })) });

function contextOf(folder: string): SecureContext {
  const read = (name: string): Buffer => readFileSync(join(folder, name));
  return createSecureContext({ ca: read('ca.pem'), cert: read('chain.pem'), key: read('key.pem') });
}

const pidOf = ({ nodes = [] }: Ready, wanted: string): number =>
  nodes.find(({ name }) => name === wanted)?.pid ?? 0;

const activeEnrollment = ({ nodes = [] }: Ready): number =>
  nodes.find(({ name, role }) => name.startsWith('enroll') && role === 'active')?.pid ?? 0;

/** Waits until every partition has a broker, and `holds` is true. */
function settled(state: string, holds: (list: NodeList) => boolean): Promise<NodeList> {
  return until('the partitions are where they should be', async () => {
    const { stdout } = await flotilla(['node', 'list', '--json', '--state', state]);
    const list = nodeListSchema.safeParse(JSON.parse(stdout));
    return list.success && list.data.ok && holds(list.data) ? list.data : undefined;
  });
}

const holderOf = ({ nodes }: NodeList, partition: string): string =>
  nodes.find(({ partitions }) => partitions.includes(partition))?.name ?? '';

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

test('after a broker and the active enrollment instance are killed, the others continue behind the same ports with everything that was acknowledged; a broker can be drained; a stop ends all processes, and the next start continues', async (t) => {
  if (!(await hasPostgres(t))) return;
  t.timeout(limitMs);
  const up = await startUp('--nodes', '2', '--devices', '3');
  const { ready, folder } = up;
  const at = (name: string): string => join(folder, name);
  const database = realpathSync(join(ready.state, 'cluster', 'database'));
  t.teardown(async () => {
    await up.child.stop();
    rmSync(database, { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
  });
  const names = ready.nodes?.map(({ name, role }) => `${name.split('-')[0] ?? ''} ${role}`).sort();
  const expected = ['broker active', 'broker active', 'enroll active', 'enroll standby'];
  t.deepEqual(names, expected);
  for (const name of ['PG_VERSION', '.s.PGSQL.5432']) {
    t.is(statSync(join(database, name)).mode & 0o077, 0, name);
  }
  t.is(statSync(database).mode & 0o777, 0o700);
  const anything = z.looseObject({});
  const service = ['service', 'create', '--name', 'backend', '--role', 'service'];
  await up.ask(anything, ...service, '--out', at('backend'));
  await up.ask(anything, 'device', 'enroll', '--id', 'd1', '--out', at('d1'));

  const received: string[] = [];
  const subscriber = new ExactClient({
    context: contextOf(at('backend')),
    clientId: 'backend',
    received: (_topic, text) => received.push(text),
  });
  const publisher = new ExactClient({ context: contextOf(at('d1')), clientId: 'd1' });
  await subscriber.connect(ready.mqtts);
  await subscriber.subscribe('devices/d1/#', 2);
  subscriber.drop();
  await publisher.connect(ready.mqtts);
  for (let number = 1; number <= 20; number++) {
    publisher.publish('devices/d1/x', `${number}`, number % 2 === 0 ? 2 : 1);
  }
  await until('all are acknowledged', () => publisher.outstanding === 0);

  const first = await settled(ready.state, () => true);
  const home = partitionName(partitionOf('backend', first.partitions));
  const holder = holderOf(first, home);
  process.kill(pidOf(ready, holder), 'SIGKILL');
  publisher.drop();
  for (let number = 21; number <= 40; number++) publisher.publish('devices/d1/x', `${number}`, 1);
  const connects = (client: ExactClient): Promise<true | undefined> =>
    client.connect(ready.mqtts).then(
      () => true,
      () => undefined,
    );
  await until('a broker accepts the publisher', () => connects(publisher));
  await until('all are acknowledged again', () => publisher.outstanding === 0);
  await until('a broker accepts the subscriber', () => connects(subscriber));
  await until('everything arrives', () => new Set(received).size === 40);
  t.is(subscriber.sessionsLost, 0);
  t.is(publisher.sessionsLost, 0);
  await up.child.errorLine((line) => line.includes('is started again'));

  const moved = await settled(ready.state, ({ nodes }) =>
    nodes.every(({ name, state }) => name !== holder || state === 'alive'),
  );
  const successor = holderOf(moved, home);
  const drained = await flotilla(['node', 'drain', successor, '--json', '--state', ready.state]);
  t.is(drained.code, 0, drained.stderr);
  const after = await settled(ready.state, () => true);
  t.not(holderOf(after, home), successor);
  publisher.publish('devices/d1/x', '41', 2);
  await until('the message arrives at the devices that connect again', async () => {
    for (const client of [publisher, subscriber]) if (!client.isReady) await connects(client);
    return publisher.outstanding === 0 && received.includes('41');
  });
  t.is(subscriber.sessionsLost + publisher.sessionsLost, 0);
  t.is((await flotilla(['node', 'resume', successor, '--state', ready.state])).code, 0);
  subscriber.drop();
  publisher.drop();

  process.kill(activeEnrollment(ready), 'SIGKILL');
  await until('the standby enrolls', async () => {
    const out = ['--out', at('d2'), '--state', ready.state];
    const { code } = await flotilla(['device', 'enroll', '--id', 'd2', ...out]);
    return code === 0 || undefined;
  });
  const status = await until('the killed processes run again', async () => {
    const { stdout } = await flotilla(['status', '--json', '--state', ready.state]);
    const { checks } = statusSchema.parse(JSON.parse(stdout));
    const nodes = checks.filter(({ name }) => name.startsWith('cluster: '));
    return nodes.every(({ ok }) => ok) ? nodes : undefined;
  });
  const pids = status.map(({ detail }) => Number(/process (\d+)/.exec(detail)?.[1]));
  t.is(new Set(pids).size, 4);

  const stopped = await up.child.stop();
  t.is(stopped.code, 0, stopped.stderr);
  const { pid = 0 } = ready.database ?? {};
  t.deepEqual([...pids, pid].filter(isAlive), []);
  t.false(readdirSync(database).includes('postmaster.pid'), 'the database was closed in order');

  const args = [flotillaPath, 'up', '--json', '--state', ready.state, ...anyPorts];
  const withoutNodes = await flotilla(['up', '--state', ready.state]);
  t.is(withoutNodes.code, 2);
  t.regex(withoutNodes.stderr, /cluster-state/);
  const again = spawnNode(t, [...args, '--nodes', '2'], { timeoutMs: limitMs });
  const second = JSON.parse(await again.line(() => true, 90_000)) as Ready;
  t.is(second.ca.fingerprint, ready.ca.fingerprint);
  const listed = await flotilla(['device', 'list', '--json', '--state', ready.state]);
  const { devices } = devicesSchema.parse(listed.json());
  t.true(devices.some(({ id }) => id === 'd2'));
  await until('the broker accepts the subscriber', () =>
    subscriber.connect(second.mqtts).then(
      () => true,
      () => undefined,
    ),
  );
  t.is(subscriber.sessionsLost, 0);
  subscriber.drop();
  t.is((await again.stop('SIGINT')).code, 0);
});

test('up --nodes without PostgreSQL says what to install', async (t) => {
  const state = join(tempFolder(t), 'state');
  // No machine has this version.
  mkdirSync(join(state, 'cluster', 'database'), { recursive: true, mode: 0o700 });
  writeFileSync(join(state, 'cluster', 'database', 'PG_VERSION'), '9999\n');
  const { code, stderr } = await flotilla(['up', '--nodes', '2', '--state', state], {
    PATH: '/nonexistent',
  });
  t.is(code, 2);
  t.regex(stderr, /apt install postgresql.*\[cluster-postgres-missing\]/);
});

test('up --nodes refuses the state folder of services with files, and does not change it', async (t) => {
  const state = join(tempFolder(t), 'state');
  t.is((await flotilla(['init', '--state', state])).code, 0);
  const before = readdirSync(state).sort();
  const { code, stderr } = await flotilla(['up', '--nodes', '2', '--state', state]);
  t.is(code, 2);
  t.regex(stderr, /cluster-needs-folder/);
  t.deepEqual(readdirSync(state).sort(), before);
});

test('options that do not work with a cluster are refused', async (t) => {
  const state = join(tempFolder(t), 'state');
  for (const [more, reason] of [
    [['--nodes', '1'], /2 to 5/],
    [['--nodes', '6'], /2 to 5/],
    [['--nodes', '2', '--demo'], /--demo does not work/],
    [['--database', 'postgres://a@b/c'], /--database needs --nodes/],
  ] as const) {
    const { code, stderr } = await flotilla(['up', '--state', state, ...more]);
    t.is(code, 2, stderr);
    t.regex(stderr, reason);
  }
});
