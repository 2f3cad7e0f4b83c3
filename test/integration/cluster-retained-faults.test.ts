/**
 * Retained messages and shared subscriptions of a cluster while the network between its nodes has faults.
 *
 * @module
 */
import test, { type ExecutionContext } from 'ava';
import { RoamingClients } from '../../bench/cluster/roaming-clients.ts';
import { sharedViolationsOf } from '../../bench/cluster/ledger-check.ts';
import { ExactClient } from '../../bench/kill/exact-client.ts';
import { seededNumbers } from '../../bench/kill/seeded-numbers.ts';
import { clusterWorld, type ClusterWorld } from '../support/cluster-world.ts';
import { postgresServer, skipsWithoutServer } from '../support/postgres-server.ts';
import { until } from '../support/until.ts';

const limitMs = 600_000;
const nodes = [0, 1, 2];
const server = await postgresServer();
test.after.always(() => server?.close());

async function balanced(t: ExecutionContext): Promise<ClusterWorld> {
  t.timeout(limitMs);
  const world = await clusterWorld(t, server!, { nodes: 3, partitions: 3, hasFaults: true });
  await until('each node serves a partition', async () => {
    const held = await Promise.all(nodes.map((node) => world.held(node)));
    return held.every(({ length }) => length === 1);
  });
  await world.settled();
  return world;
}

/** Cuts the network between two nodes, and resets connections at random. */
async function disturb(world: ClusterWorld): Promise<void> {
  const { network } = world;
  network.cut(0, 1);
  await until('links are missing', async () => {
    const checks = await world.members[0]!.checks();
    return checks.some(({ name, ok }) => name === 'links' && !ok);
  });
  network.heal();
  await world.settled();
  const random = seededNumbers(3);
  for (let round = 0; round < 10; round++) {
    network.between(Math.floor(random() * 3), Math.floor(random() * 3)).reset();
    await world.settled();
  }
}

test.serial(
  'after faults of the network, all partitions have the retained messages that were acknowledged last',
  async (t) => {
    if (skipsWithoutServer(t, server) === undefined) return;
    const world = await balanced(t);
    const last = new Map<string, string>();
    let isOn = true;
    const publishers = await Promise.all(
      nodes.map(async (node) => {
        const [partition] = await world.held(node);
        const id = world.idIn(partition!, 'writer');
        const client = await world.mqtt(world.device(id), node, { clientId: id });
        const write = async (topic: string, qos: 1 | 2): Promise<void> => {
          for (let number = 1; isOn; number++) {
            await client.publishAsync(topic, `${number}`, { qos, retain: true });
            last.set(topic, `${number}`);
          }
        };
        return Array.from({ length: 6 }, (_, index) =>
          write(`devices/${id}/kept/${index}`, index % 2 === 0 ? 1 : 2),
        );
      }),
    );
    await disturb(world);
    isOn = false;
    await Promise.all(publishers.flat());
    t.is(last.size, 18);
    for (const node of nodes) {
      const [partition] = await world.held(node);
      const id = world.idIn(partition!, 'reader');
      const seen: string[] = [];
      const client = await world.mqtt(world.device(id, 'service'), node, { clientId: id }, seen);
      await client.subscribeAsync('devices/+/kept/#', { qos: 1 });
      await until('all retained messages', () => seen.length >= 18);
      t.deepEqual(seen.toSorted(), [...last].map(([topic, text]) => `${topic} ${text}`).sort());
    }
  },
);

test.serial(
  'during faults of the network, each message for a shared subscription has one receiver',
  async (t) => {
    if (skipsWithoutServer(t, server) === undefined) return;
    const world = await balanced(t);
    const received = new Map<string, number[]>();
    const members = nodes.map((node) => {
      const id = world.idIn(node, 'member');
      const numbers: number[] = [];
      received.set(id, numbers);
      return new ExactClient({
        context: world.contextOf(world.device(id, 'service')),
        clientId: id,
        received: (_topic, text) => numbers.push(Number(text)),
      });
    });
    const acknowledged = new Set<number>();
    const publishers = nodes.map((node) => {
      const id = world.idIn(node, 'source');
      const context = world.contextOf(world.device(id));
      const completed = (text: string): void => void acknowledged.add(Number(text));
      return {
        topic: `devices/${id}/up`,
        client: new ExactClient({ context, clientId: id, completed }),
      };
    });
    const clients = [...members, ...publishers.map(({ client }) => client)];
    const targets = world.members.map(({ addresses }) => addresses.mqtts);
    const roaming = new RoamingClients(clients, () => targets, seededNumbers(5));
    t.teardown(() => {
      roaming.close();
      for (const client of clients) client.drop();
    });
    await until('all clients', () => roaming.areConnected);
    for (const one of members) await one.subscribe('$share/g/devices/+/up', 2);
    let published = 0;
    const timer = setInterval(() => {
      for (const { client, topic } of publishers) {
        if (client.outstanding < 10) client.publish(topic, `${++published}`, 2);
      }
    }, 20);
    t.teardown(() => clearInterval(timer));
    await disturb(world);
    clearInterval(timer);
    const arrived = (): number => received.values().reduce((sum, { length }) => sum + length, 0);
    await until('all are acknowledged', () =>
      clients.every(({ outstanding }) => outstanding === 0),
    );
    await until('all arrive', () => arrived() >= published);
    const facts = { topic: 'up', qos: 2, published, acknowledged, received } as const;
    t.deepEqual(sharedViolationsOf(facts), { lost: [], twice: [] });
    t.is(arrived(), published);
  },
);
