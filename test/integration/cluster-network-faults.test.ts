/**
 * Faults of the network between the nodes of a cluster and of processes, under load: nothing that was acknowledged is
 * lost, nothing of QoS 2 arrives twice, and the order is kept.
 *
 * @module
 */
import test, { type ExecutionContext } from 'ava';
import { ExactClient } from '../../bench/kill/exact-client.ts';
import { seededNumbers } from '../../bench/kill/seeded-numbers.ts';
import { clusterLoad, type ClusterLoad } from '../support/cluster-load.ts';
import { clusterWorld, type ClusterWorld } from '../support/cluster-world.ts';
import { postgresServer, skipsWithoutServer } from '../support/postgres-server.ts';
import { until } from '../support/until.ts';

const limitMs = 600_000;
const nodes = [0, 1, 2];
const server = await postgresServer();
test.after.always(() => server?.close());

/** Three nodes with a partition each, and load at all of them. */
async function loaded(t: ExecutionContext): Promise<{ world: ClusterWorld; load: ClusterLoad }> {
  t.timeout(limitMs);
  const world = await clusterWorld(t, server!, { nodes: 3, partitions: 3, hasFaults: true });
  const load = await clusterLoad(t, world);
  await until('each node serves a partition', async () => {
    const held = await Promise.all(nodes.map((node) => world.held(node)));
    return held.every(({ length }) => length === 1);
  });
  await world.settled();
  await load.goesOn();
  return { world, load };
}

/** Whether a node misses links. */
async function missesLinks(world: ClusterWorld, member: number): Promise<boolean> {
  const checks = await world.members[member]!.checks();
  return checks.some(({ name, ok }) => name === 'links' && !ok);
}

/** A client at the node that serves its partition. */
async function clientAt(
  t: ExecutionContext,
  world: ClusterWorld,
  node: number,
): Promise<{ id: string; client: ExactClient }> {
  const [partition] = await world.held(node);
  const id = world.idIn(partition!, 'probe');
  const context = world.contextOf(world.device(id));
  const client = new ExactClient({ context, clientId: id });
  t.teardown(() => client.drop());
  await client.connect(world.members[node]!.addresses.mqtts);
  return { id, client };
}

const cuts: Readonly<Record<string, (world: ClusterWorld) => void>> = {
  'from one node to another': ({ network }) => network.cutOneWay(0, 1),
  'in both directions': ({ network }) => network.cut(0, 1),
};

for (const [direction, cut] of Object.entries(cuts)) {
  test.serial(
    `a network that is cut ${direction} loses nothing, disturbs no client of a third node, and is linked again by itself`,
    async (t) => {
      if (skipsWithoutServer(t, server) === undefined) return;
      const { world, load } = await loaded(t);
      const { id, client: third } = await clientAt(t, world, 2);
      cut(world);
      await until('links are missing', async () => {
        return (await missesLinks(world, 0)) && missesLinks(world, 1);
      });
      await load.goesOn();
      third.publish(`devices/${id}/x`, '1', 2);
      await until('the client of the third node', () => third.outstanding === 0);
      t.true(third.isReady);
      world.network.heal();
      await world.settled();
      await load.goesOn();
      await load.check(t);
    },
  );
}

test.serial('connections between nodes that are reset again and again lose nothing', async (t) => {
  if (skipsWithoutServer(t, server) === undefined) return;
  const { world, load } = await loaded(t);
  const random = seededNumbers(7);
  let resets = 0;
  for (let round = 0; round < 10; round++) {
    const [from, to] = [Math.floor(random() * 3), Math.floor(random() * 3)];
    resets += world.network.between(from, to).reset();
    await load.goesOn(Math.floor(random() * 50));
    await world.settled();
  }
  t.true(resets > 0);
  await load.check(t);
});

test.serial('nodes that are 100 ms away from each other work', async (t) => {
  if (skipsWithoutServer(t, server) === undefined) return;
  const { world, load } = await loaded(t);
  for (const from of nodes) for (const to of nodes) world.network.between(from, to).delay(100);
  await load.goesOn(200);
  const [partition] = await world.held(0);
  const id = world.idIn(partition!, 'far');
  const received: string[] = [];
  const client = await world.mqtt(world.device(id, 'service'), 0, { clientId: id }, received);
  let startMs = performance.now();
  await client.subscribeAsync('devices/+/far/#', { qos: 1 });
  t.true(performance.now() - startMs >= 200, 'all partitions know the filter');
  startMs = performance.now();
  await client.publishAsync(`devices/${id}/commands/x`, '1', { qos: 1, retain: true });
  t.true(performance.now() - startMs >= 200, 'all partitions have the retained message');
  await world.settled();
  await load.check(t);
});

test.serial(
  'devices whose node does not answer come back at another node with their sessions, and their old connections are closed',
  async (t) => {
    if (skipsWithoutServer(t, server) === undefined) return;
    const { world, load } = await loaded(t);
    // One of the partition of the node, and one of another partition.
    const ids = await Promise.all(
      [0, 1].map(async (node) => world.idIn((await world.held(node))[0]!, 'gone')),
    );
    const watched: string[] = [];
    const operator = world.device('operator', 'service');
    const watcher = await world.mqtt(operator, 2, { clientId: 'operator' }, watched);
    await watcher.subscribeAsync('$fleet/presence/#', { qos: 1 });
    const gone = await Promise.all(
      ids.map(async (id) => {
        const identity = world.device(id);
        const options = { ...{ clientId: id, clean: false }, keepalive: 1 };
        const client = await world.mqtt(identity, 0, options);
        await client.subscribeAsync(`devices/${id}/commands/#`, { qos: 2 });
        return { id, identity, options, client };
      }),
    );
    world.network.portsOf(0).devices.path.blackHole();
    for (const { id } of gone) {
      await until(`the connection of ${id} is closed`, () =>
        watched.some((text) => text.includes(`presence/${id} `) && text.includes('"offline"')),
      );
      await watcher.publishAsync(`devices/${id}/commands/x`, 'queued', { qos: 2 });
    }
    for (const { id, identity, options } of gone) {
      const received: string[] = [];
      await world.mqtt(identity, 1, options, received);
      await until('the queued message', () => received.includes(`devices/${id}/commands/x queued`));
    }
    world.network.heal();
    await load.goesOn();
    await load.check(t);
  },
);

test.serial(
  'a node that was stopped for longer than its partitions wait for it ends when it continues',
  async (t) => {
    if (skipsWithoutServer(t, server) === undefined) return;
    const { world, load } = await loaded(t);
    const { child } = world.members[0]!;
    child.process.kill('SIGSTOP');
    await until('the others serve all', async () => {
      const held = [await world.held(1), await world.held(2)];
      return held.flat().length === 3;
    });
    await load.goesOn();
    child.process.kill('SIGCONT');
    t.is((await child.finished).code, 1);
    await world.members[0]!.start();
    await world.settled();
    await load.goesOn();
    await load.check(t);
  },
);
