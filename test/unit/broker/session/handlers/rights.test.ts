/** The policy denies actions or removes rights, and the broker handles its own topics. */
import test from 'ava';
import { leaveKept } from '../../../../support/session-queues.ts';
import { startWorld } from '../../../../support/session-world.ts';
import { until } from '../../../../support/until.ts';

test('the policy decides once for a topic, and again after it has changed', async (t) => {
  const world = await startWorld(t);
  const pub = await world.connect({ clientId: 'pub' });
  for (let n = 0; n < 100; n++) pub.publish('same', 'x', { qos: 1 });
  await until('acknowledged', () => pub.packets.length === 100);
  t.is(world.authorizer.publishDecisions, 1);
  pub.publish('same', 'a longer payload', { qos: 1 });
  await pub.settle();
  t.is(world.authorizer.publishDecisions, 2);
  world.authorizer.deny.publish = () => true;
  world.authorizer.version++;
  pub.publish('same', 'x', { qos: 1 });
  await pub.end();
  t.is(world.count('disconnected', 'publish-denied'), 1);
});

test('a denied PUBLISH on 3.1.1 closes the connection, or is dropped and acknowledged, as configured', async (t) => {
  const world = await startWorld(t);
  world.authorizer.deny.publish = () => true;
  const closes = await world.connect({ clientId: 'a' });
  closes.publish('x', 'x');
  await closes.end();
  world.authorizer.onDenied = 'drop';
  const drops = await world.connect({ clientId: 'b' });
  drops.publish('x', 'x', { qos: 1 });
  await drops.next('puback');
  const id = drops.publish('x', 'x', { qos: 2 });
  await drops.next('pubrec');
  drops.ack('pubrel', id);
  t.is((await drops.next('pubcomp')).messageId, id);
});

test('reauthorize removes subscriptions that are no longer allowed, on an open connection and after a reconnect', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ clientId: 'sub', clean: false });
  await sub.subscribe([
    { topic: 'a', qos: 1 },
    { topic: 'b', qos: 1 },
    { topic: 'c', qos: 1 },
  ]);
  world.authorizer.deny.subscribe = (_identity, filter) => filter === 'a';
  world.authorizer.version++;
  for (const connection of world.layer.connectionsOf('sub')) connection.reauthorize();
  t.is(world.layer.statistics().subscriptions, 2);
  await sub.disconnect();
  world.authorizer.deny.subscribe = (_identity, filter) => filter !== 'c';
  await world.connect({ clientId: 'sub', clean: false });
  t.is(world.layer.statistics().subscriptions, 1);
});

test('a message that the policy denies to receive is not sent live, from the queue, or as retained', async (t) => {
  const world = await startWorld(t);
  await leaveKept(world, 'sub', 'r/#', 1);
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('r/secret', 'queued', { qos: 1 });
  pub.publish('r/secret', 'kept', { retain: true });
  pub.publish('r/open', 'queued', { qos: 1 });
  await pub.settle();
  world.authorizer.deny.receive = (_identity, topic) => topic === 'r/secret';
  world.authorizer.version++;
  const again = await world.connect({ clientId: 'sub', clean: false });
  await again.subscribe('r/#', 1);
  pub.publish('r/secret', 'live', { qos: 1 });
  pub.publish('r/open', 'live', { qos: 1 });
  await pub.settle();
  t.deepEqual(
    (await again.received()).map((one) => one.topic),
    ['r/open', 'r/open'],
  );
});

test('a message that the broker handles itself is acknowledged and not routed', async (t) => {
  const taken: string[] = [];
  const world = await startWorld(t, {
    intercept: (_identity, topic, payload) => {
      if (!topic.startsWith('$fleet/certs/')) return false;
      taken.push(String(payload));
      return true;
    },
  });
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe('$fleet/#', 1);
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('$fleet/certs/pub/renew', 'csr', { qos: 1 });
  await pub.next('puback');
  pub.publish('$fleet/other', 'x', { qos: 1 });
  await pub.next('puback');
  t.deepEqual(taken, ['csr']);
  t.deepEqual(
    (await sub.received()).map((one) => one.topic),
    ['$fleet/other'],
  );
});
