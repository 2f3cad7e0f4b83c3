/**
 * A node of a cluster whose connection to the database does not work, under load: nothing that was acknowledged is lost,
 * nothing of QoS 2 arrives twice, and the order is kept.
 *
 * @module
 */
import test, { type ExecutionContext } from 'ava';
import { ExactClient } from '../../bench/kill/exact-client.ts';
import { clusterLoad, type ClusterLoad } from '../support/cluster-load.ts';
import { clusterWorld, type ClusterWorld } from '../support/cluster-world.ts';
import { postgresServer, skipsWithoutServer } from '../support/postgres-server.ts';
import { until } from '../support/until.ts';

const limitMs = 600_000;
const server = await postgresServer();
test.after.always(() => server?.close());

interface Faulty {
  readonly world: ClusterWorld;
  readonly load: ClusterLoad;
  /** The node whose database does not work. It serves the first partition. */
  readonly node: number;
}

async function loaded(t: ExecutionContext): Promise<Faulty> {
  t.timeout(limitMs);
  const world = await clusterWorld(t, server!, { nodes: 3, partitions: 3, hasFaults: true });
  await world.settled();
  const load = await clusterLoad(t, world);
  await load.goesOn();
  return { world, load, node: await world.holderOf(0) };
}

interface Probe {
  readonly client: ExactClient;
  readonly topic: string;
  readonly received: readonly string[];
  readonly completed: readonly string[];
}

/** A client of the first partition at the node that serves it, with a subscription to what it publishes. */
async function probeAt(t: ExecutionContext, world: ClusterWorld, node: number): Promise<Probe> {
  const id = world.idIn(0, 'probe');
  const [received, completed]: [string[], string[]] = [[], []];
  const client = new ExactClient({
    context: world.contextOf(world.device(id, 'service')),
    clientId: id,
    received: (_topic, text) => received.push(text),
    completed: (text) => completed.push(text),
  });
  t.teardown(() => client.drop());
  await client.connect(world.members[node]!.addresses.mqtts);
  const topic = `devices/${id}/commands/probe`;
  await client.subscribe(topic, 2);
  return { client, topic, received, completed };
}

test.serial(
  'a node that has no database for 3 s delivers QoS 0, and acknowledges the rest later',
  async (t) => {
    if (skipsWithoutServer(t, server) === undefined) return;
    const { world, load, node } = await loaded(t);
    const { client, topic, received, completed } = await probeAt(t, world, node);
    const { path } = world.network.portsOf(node).database;
    const startMs = performance.now();
    path.blackHole();
    client.publish(topic, 'waits', 1);
    client.publishOnce(topic, 'goes on');
    await until('QoS 0', () => received.includes('goes on'));
    await until('3 s', () => performance.now() - startMs > 3000);
    t.deepEqual(completed, []);
    path.pass();
    await until('the acknowledgement', () => completed.includes('waits'));
    await load.goesOn();
    t.is(await world.holderOf(0), node);
    await load.check(t);
  },
);

test.serial(
  'a node that has no database for longer loses its partitions, acknowledges nothing more, and ends at once',
  async (t) => {
    if (skipsWithoutServer(t, server) === undefined) return;
    const { world, load, node } = await loaded(t);
    const { client, topic, received, completed } = await probeAt(t, world, node);
    world.network.portsOf(node).database.path.blackHole();
    client.publish(topic, 'waits', 1);
    client.publishOnce(topic, 'goes on');
    await until('QoS 0', () => received.includes('goes on'));
    const others = [0, 1, 2].filter((other) => other !== node);
    await until('it is served elsewhere', async () => {
      const held = await Promise.all(others.map((other) => world.held(other)));
      return held.flat().includes(0);
    });
    const takenMs = performance.now();
    const { code } = await world.members[node]!.child.finished;
    t.is(code, 1);
    t.log(`it ended after ${Math.round(performance.now() - takenMs)} ms`);
    // By itself it would find out more than a minute later.
    t.true(performance.now() - takenMs < 60_000);
    t.deepEqual(completed, []);
    await until('the session at another node', () =>
      client.connect(world.members[others[0]!]!.addresses.mqtts).then(
        () => true,
        () => undefined,
      ),
    );
    await until('the acknowledgement', () => completed.length === 1);
    await until('the message', () => received.includes('waits'));
    t.is(client.sessionsLost, 0);
    world.network.heal();
    await world.members[node]!.start();
    await world.settled();
    await load.goesOn();
    await load.check(t);
  },
);
