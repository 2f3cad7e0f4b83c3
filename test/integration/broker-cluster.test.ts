/**
 * Several active brokers on one PostgreSQL: devices connect to any node, and the session of each is in one partition.
 *
 * @module
 */
import { once } from 'node:events';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import test from 'ava';
import type { MqttClient } from 'mqtt';
import { ExactClient } from '../../bench/kill/exact-client.ts';
import { ended } from '../support/broker-world.ts';
import { clusterWorld, type ClusterWorld } from '../support/cluster-world.ts';
import { postgresServer, skipsWithoutServer } from '../support/postgres-server.ts';
import { until } from '../support/until.ts';

const limitMs = 600_000;
const server = await postgresServer();
test.after.always(() => server?.close());

/** A subscriber of everything that devices publish, as a service. */
async function backend(
  world: ClusterWorld,
  partition: number,
  member: number,
): Promise<{ client: MqttClient; seen: string[] }> {
  const id = world.idIn(partition, 'backend');
  const identity = world.device(id, 'service');
  const seen: string[] = [];
  const client = await world.mqtt(identity, member, { clientId: id }, seen);
  await client.subscribeAsync('devices/#', { qos: 2 });
  return { client, seen };
}

test('messages of all QoS reach subscribers at other nodes, a session is taken over and resumed at any node, retained messages and presence are the same at all, and a revoked device is disconnected wherever it is', async (t) => {
  if (skipsWithoutServer(t, server) === undefined) return;
  t.timeout(limitMs);
  const world = await clusterWorld(t, server!, { nodes: 3, partitions: 3 });
  await world.settled();
  const { seen } = await backend(world, 0, 0);
  // One device of each partition at each node.
  for (const partition of [0, 1, 2]) {
    for (const member of [0, 1, 2]) {
      const id = world.idIn(partition, `d${member}`);
      const client = await world.mqtt(world.device(id), member, { clientId: id });
      for (const qos of [0, 1, 2] as const) {
        const topic = `devices/${id}/q${qos}`;
        await client.publishAsync(topic, 'x', { qos, retain: qos === 1 });
      }
      await until(`all of ${id} arrive`, () =>
        [0, 1, 2].every((qos) => seen.includes(`devices/${id}/q${qos} x`)),
      );
    }
  }
  t.is(seen.length, 27);

  // Retained messages are at each node for a client of each partition, once.
  for (const member of [0, 1, 2]) {
    const { client, seen: retained } = await backend(world, member, (member + 1) % 3);
    await until('all retained messages', () => retained.length >= 9);
    t.is(new Set(retained).size, 9);
    await client.endAsync();
  }

  // Takeover: the same client id at another node.
  const id = world.idIn(2, 'taken');
  const identity = world.device(id);
  const options = { clientId: id, clean: false, protocolVersion: 5 as const };
  const properties = { sessionExpiryInterval: 3600 };
  const first = await world.mqtt(identity, 0, { ...options, properties });
  await first.subscribeAsync(`devices/${id}/commands/#`, { qos: 1 });
  const second = await world.mqtt(identity, 1, { ...options, properties });
  await ended(first);
  t.true(second.connected);
  await second.endAsync();
  const admin = await world.mqtt(world.device('operator', 'service'), 2, { clientId: 'operator' });
  await admin.publishAsync(`devices/${id}/commands/go`, 'queued', { qos: 1 });
  // Presence of a device at any node, seen at another one.
  const watcher = await world.mqtt(world.device('watcher', 'service'), 1, { clientId: 'watcher' });
  const presence = new Map<string, string>();
  watcher.on('message', (topic, payload) => {
    const { status } = JSON.parse(payload.toString()) as { status: string };
    presence.set(topic, status);
  });
  await watcher.subscribeAsync('$fleet/presence/#', { qos: 1 });
  const commands: string[] = [];
  const third = await world.mqtt(identity, 2, { ...options, properties }, commands);
  await until('the queued message', () => commands.includes(`devices/${id}/commands/go queued`));

  await until('online', () => presence.get(`$fleet/presence/${id}`) === 'online');
  await third.endAsync();
  await until('offline', () => presence.get(`$fleet/presence/${id}`) === 'offline');

  // Live effect: a revoked device is disconnected wherever it is connected.
  const revoked = world.idIn(1, 'revoked');
  const client = await world.mqtt(world.device(revoked), 0, { clientId: revoked });
  world.feed.set({ ...world.feed.entries.get(revoked)!, status: 'revoked' });
  await ended(client);

  // A device resumes its TLS session at any node.
  const { context, target } = { context: world.contextOf(identity), target: world.members };
  const connectTo = (member: number, session?: Buffer): Promise<TLSSocket> =>
    new Promise((resolve, reject) => {
      const { host, port } = target[member]!.addresses.mqtts;
      const socket = connectTls({
        host,
        port,
        servername: 'localhost',
        secureContext: context,
        session,
      });
      t.teardown(() => socket.destroy());
      socket.once('secureConnect', () => resolve(socket));
      socket.once('error', reject);
    });
  const full = await connectTo(0);
  t.false(full.isSessionReused());
  const [ticket] = (await once(full, 'session')) as [Buffer];
  t.true((await connectTo(1, ticket)).isSessionReused());
  t.true((await connectTo(2, ticket)).isSessionReused());
});

test('when a node is killed, the others serve its partitions with everything that was acknowledged', async (t) => {
  if (skipsWithoutServer(t, server) === undefined) return;
  t.timeout(limitMs);
  const world = await clusterWorld(t, server!, { nodes: 2, partitions: 2 });
  await world.settled();
  const received: string[] = [];
  const subscriberId = world.idIn(0, 'sub');
  const subscriber = new ExactClient({
    context: world.contextOf(world.device(subscriberId, 'service')),
    clientId: subscriberId,
    received: (_topic, text) => received.push(text),
  });
  const publisherId = world.idIn(1, 'pub');
  const publisher = new ExactClient({
    context: world.contextOf(world.device(publisherId)),
    clientId: publisherId,
  });
  const [one, other] = world.members;
  await subscriber.connect(one!.addresses.mqtts);
  await subscriber.subscribe(`devices/${publisherId}/#`, 2);
  await publisher.connect(one!.addresses.mqtts);
  const topic = `devices/${publisherId}/x`;
  for (let number = 1; number <= 50; number++) {
    publisher.publish(topic, `${number}`, number % 2 === 0 ? 2 : 1);
  }
  await until('the first are acknowledged', () => publisher.outstanding < 25);
  await one!.kill();
  subscriber.drop();
  publisher.drop();
  const connects = (client: ExactClient): Promise<true | undefined> =>
    client.connect(other!.addresses.mqtts).then(
      () => true,
      () => undefined,
    );
  await until('the publisher connects', () => connects(publisher));
  await until('the subscriber connects', () => connects(subscriber));
  await until('all are acknowledged', () => publisher.outstanding === 0);
  await until('all arrive', () => new Set(received).size === 50);
  t.is(subscriber.sessionsLost, 0);
  t.is(publisher.sessionsLost, 0);
  const even = received.filter((text) => Number(text) % 2 === 0);
  t.is(even.length, 25, 'QoS 2 exactly once');
  t.deepEqual(
    even,
    even.toSorted((first, second) => Number(first) - Number(second)),
  );
  await one!.start();
  await world.settled();
  subscriber.drop();
  publisher.drop();
});

test('when a node stops in order, the wills of its devices wait for those that come back at another node', async (t) => {
  if (skipsWithoutServer(t, server) === undefined) return;
  t.timeout(limitMs);
  const world = await clusterWorld(t, server!, { nodes: 2, partitions: 2 });
  await world.settled();
  const [partition = 0] = await world.held(0);
  const properties = { sessionExpiryInterval: 3600 };
  // One device of the partition of the node that stops, and one that it relays to the other node.
  const [back, relayed, gone] = ['back', 'relayed', 'gone'].map((name) => {
    const id = world.idIn(name === 'relayed' ? 1 - partition : partition, name);
    const will = {
      topic: `devices/${id}/lost`,
      payload: Buffer.from('x'),
      qos: 1 as const,
      retain: false,
    };
    const options = { clientId: id, clean: false, protocolVersion: 5 as const, properties, will };
    return { id, identity: world.device(id), options };
  });
  const { seen } = await backend(world, 1 - partition, 1);
  const clients = await Promise.all(
    [back!, relayed!, gone!].map(({ identity, options }) => world.mqtt(identity, 0, options)),
  );
  const reasons: (number | undefined)[] = [];
  for (const client of clients) {
    client.on('disconnect', ({ reasonCode }) => void reasons.push(reasonCode));
  }
  const closed = Promise.all(clients.map((client) => ended(client)));
  await Promise.all([world.members[0]!.stop(), closed]);
  t.deepEqual(reasons, [0x8b, 0x8b, 0x8b], 'each device gets the reason');
  for (const { identity, options } of [back!, relayed!]) {
    await until('the device is back at the other node', () =>
      world.mqtt(identity, 1, options).then(
        () => true,
        () => undefined,
      ),
    );
  }
  await until('the will of the device that is gone', () =>
    seen.includes(`devices/${gone!.id}/lost x`),
  );
  t.deepEqual(seen, [`devices/${gone!.id}/lost x`]);
});
