/** A store whose commits take as long as the test decides: what waits for them, and what does not. */
import test from 'ava';
import { fakeClock } from '../../../support/fake-clock.ts';
import { slowStore, type SlowStore } from '../../../support/slow-store.ts';
import { startWorld, type RawClient, type World } from '../../../support/session-world.ts';
import { until } from '../../../support/until.ts';

test('a slow commit delays only what must be durable', async (t) => {
  const slow = slowStore();
  const world = await startWorld(t, { store: slow.store });
  t.teardown(() => setImmediate(() => slow.commit()));
  const kept = await world.raw('kept');
  kept.connect({ clientId: 'kept', clean: false });
  await until('its CONNACK waits', () => slow.waiting() > 0);
  t.is(kept.packets.length, 0);
  slow.commit();
  await kept.next('connack');
  const done = kept.subscribe('k', 1);
  await until('its SUBACK waits', () => slow.waiting() > 0);
  slow.commit();
  await done;

  // Nothing of a session that is not kept waits while the commit is pending.
  const free = await world.connect({ clientId: 'free' });
  await free.subscribe([{ topic: 'f', qos: 2 }]);
  free.publish('f', 'zero');
  free.publish('f', 'one', { qos: 1 });
  free.publish('f', 'two', { qos: 2 });
  await free.next('puback');
  await free.next('pubrec');
  t.is((await free.received()).length, 3);

  // The QoS 1 message to a kept session is sent at once; its publisher waits.
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('k', 'kept', { qos: 1, id: 1 });
  pub.publish('f', 'after it', { qos: 1, id: 2 });
  t.is(String((await kept.next('publish')).payload), 'kept');
  await pub.settle();
  t.deepEqual(pub.packets, []);
  slow.commit();
  t.is((await pub.next('puback')).messageId, 1);
  await until('the second follows', () => {
    slow.commit();
    return pub.packets.length === 1;
  });
  t.is((await pub.next('puback')).messageId, 2);
  slow.commit();
});

test('messages that waited for CONNACK are not overtaken by those that are published after it', async (t) => {
  const slow = slowStore();
  const world = await startWorld(t, { store: slow.store });
  t.teardown(() => setImmediate(() => slow.commit()));
  const first = await keptClient(world, slow, 'kept', 4);
  const subscribed = first.subscribe('k', 1);
  await until('its SUBACK waits', () => slow.waiting() > 0);
  slow.commit();
  await subscribed;
  first.socket.destroy();
  const pub = await world.connect({ clientId: 'pub' });
  await until('it is offline', () => world.layer.connectionsOf('kept').length === 0);
  pub.publish('k', 'queued', { qos: 1, id: 1 });
  await until('it is queued', () => slow.waiting() > 0);
  slow.commit();
  await pub.next('puback');

  const kept = await world.raw('kept');
  kept.connect({ clientId: 'kept', clean: false });
  await until('CONNACK waits', () => slow.waiting() > 0);
  // The queue is read, and a new message arrives, before the commit.
  await pub.settle();
  pub.publish('k', 'before', { qos: 1, id: 2 });
  await until('a second commit waits', () => slow.waiting() > 1);
  slow.commitOldest();
  await kept.next('connack');
  pub.publish('k', 'after', { qos: 1, id: 3 });
  const texts: string[] = [];
  for (let count = 0; count < 3; count++) texts.push(String((await kept.next('publish')).payload));
  t.deepEqual(texts, ['queued', 'before', 'after']);
  slow.commit();
});

test('QoS 2 messages and PUBREL to a kept session wait for the commit, so that they cannot be delivered twice', async (t) => {
  const slow = slowStore();
  const world = await startWorld(t, { store: slow.store });
  t.teardown(() => setImmediate(() => slow.commit()));
  const kept = await world.raw('kept');
  kept.connect({ clientId: 'kept', clean: false });
  await until('its CONNACK waits', () => slow.waiting() > 0);
  slow.commit();
  await kept.next('connack');
  const done = kept.subscribe('k', 2);
  await until('its SUBACK waits', () => slow.waiting() > 0);
  slow.commit();
  await done;
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('k', 'two', { qos: 2, id: 1 });
  await pub.settle();
  await kept.settle();
  t.deepEqual(kept.packets, []);
  slow.commit();
  const { messageId } = await kept.next('publish');
  kept.ack('pubrec', messageId!);
  await kept.settle();
  t.deepEqual(kept.packets, []);
  slow.commit();
  t.is((await kept.next('pubrel')).messageId, messageId);
});

test('PUBREC and PUBCOMP to a kept session wait for the commit, even without a subscriber', async (t) => {
  const slow = slowStore();
  const world = await startWorld(t, { store: slow.store });
  t.teardown(() => setImmediate(() => slow.commit()));
  const pub = await world.raw('pub');
  pub.connect({ clientId: 'pub', clean: false });
  await until('its CONNACK waits', () => slow.waiting() > 0);
  slow.commit();
  await pub.next('connack');
  pub.publish('nobody/listens', 'x', { qos: 2, id: 1 });
  await pub.settle();
  t.deepEqual(pub.packets, []);
  slow.commit();
  await pub.next('pubrec');
  pub.ack('pubrel', 1);
  await pub.settle();
  t.deepEqual(pub.packets, []);
  slow.commit();
  await pub.next('pubcomp');
});

test('QoS 2 messages that wait for the commit count once against the Receive Maximum', async (t) => {
  const slow = slowStore();
  const world = await startWorld(t, {
    store: slow.store,
    config: { limits: { broker: { inflightInMax: 10 } } },
  });
  t.teardown(() => setImmediate(() => slow.commit()));
  const pub = await world.raw('pub');
  pub.connect({
    version: 5,
    clientId: 'pub',
    clean: false,
    properties: { sessionExpiryInterval: 100 },
  });
  await until('its CONNACK waits', () => slow.waiting() > 0);
  slow.commit();
  await pub.next('connack');
  for (let id = 1; id <= 10; id++) pub.publish('x', 'x', { qos: 2, id });
  await pub.settle();
  t.false(pub.ended);
  slow.commit();
  await until(
    'all PUBREC packets',
    () => pub.packets.filter((one) => one.cmd === 'pubrec').length === 10,
  );
  for (let id = 1; id <= 10; id++) pub.ack('pubrel', id);
  await pub.settle();
  for (let id = 11; id <= 20; id++) pub.publish('x', 'x', { qos: 2, id });
  await pub.settle();
  t.false(pub.ended);
  slow.commit();
});

test('PUBACK waits for the commit even if the delivery closes a connection whose will is published at once', async (t) => {
  const slow = slowStore();
  const world = await startWorld(t, { store: slow.store });
  t.teardown(() => setImmediate(() => slow.commit()));
  const kept = await world.raw('kept');
  kept.connect({ clientId: 'kept', clean: false });
  await until('its CONNACK waits', () => slow.waiting() > 0);
  slow.commit();
  await kept.next('connack');
  const subscribed = kept.subscribe('topic', 1);
  await until('its SUBACK waits', () => slow.waiting() > 0);
  slow.commit();
  await subscribed;
  const closing = await world.raw('closing');
  closing.connect({ clientId: 'closing', will: { topic: 'will', payload: Buffer.from('x') } });
  await until('its CONNACK waits', () => slow.waiting() > 0);
  slow.commit();
  await closing.next('connack');
  await closing.subscribe('topic', 0);
  // A plug-in closes the receiver during the delivery, so that its will is published at once.
  world.layer.core.authorizeForward = (client, packet) => {
    if (client.id === 'closing') client.close();
    return packet;
  };
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('topic', 'stored', { qos: 1 });
  await closing.end();
  await pub.settle();
  t.deepEqual(pub.packets, []);
  slow.commit();
  await pub.next('puback');
});

/** Opens a kept session while commits wait for the test. */
async function keptClient(
  world: World,
  slow: SlowStore,
  clientId: string,
  version: 4 | 5,
  properties: object = {},
): Promise<RawClient> {
  const client = await world.raw(clientId);
  client.connect({
    clientId,
    version,
    clean: false,
    ...(version === 5 ? { properties: { sessionExpiryInterval: 100, ...properties } } : {}),
  });
  await until('its CONNACK waits', () => slow.waiting() > 0);
  slow.commit();
  await client.next('connack');
  return client;
}

const acknowledged = (client: RawClient, cmd: 'puback' | 'pubrec'): (number | undefined)[] =>
  client.packets.filter((one) => one.cmd === cmd).map((one) => one.messageId);

test('a 3.1.1 client may have any number of QoS 2 messages in flight, also while the store is slow', async (t) => {
  const slow = slowStore();
  const world = await startWorld(t, {
    store: slow.store,
    config: { limits: { broker: { inflightInMax: 10 } } },
  });
  t.teardown(() => setImmediate(() => slow.commit()));
  const pub = await keptClient(world, slow, 'pub', 4);
  const subscribed = pub.subscribe('in', 2);
  for (let id = 101; id <= 400; id++) pub.publish('x', 'x', { qos: 2, id });
  await pub.settle();
  t.false(pub.ended);
  slow.commit();
  await subscribed;
  await until('all PUBREC packets', () => {
    slow.commit();
    return acknowledged(pub, 'pubrec').length === 300;
  });
  t.is(acknowledged(pub, 'pubrec')[299], 400);
});

test('what was accepted is acknowledged before the broker closes the connection, then DISCONNECT follows', async (t) => {
  const slow = slowStore();
  const world = await startWorld(t, {
    store: slow.store,
    config: { limits: { broker: { inflightInMax: 5 } } },
  });
  t.teardown(() => setImmediate(() => slow.commit()));
  const pub = await keptClient(world, slow, 'pub', 5);
  const old = await keptClient(world, slow, 'old', 4);
  for (let id = 1; id <= 6; id++) pub.publish('x', 'x', { qos: 2, id });
  old.publish('x', 'x', { qos: 2, id: 1 });
  old.write('3600'); // Both QoS bits: a malformed packet.
  await until('both are closed', () => world.count('disconnected') === 2);
  t.deepEqual([pub.packets, old.packets], [[], []]);
  await until('the commit was requested', () => slow.waiting() > 0);
  slow.commit();
  await Promise.all([pub.end(), old.end()]);
  t.deepEqual(acknowledged(pub, 'pubrec'), [1, 2, 3, 4, 5]);
  t.is(pub.packets.at(-1)?.reasonCode, 0x93);
  t.deepEqual(acknowledged(old, 'pubrec'), [1]);
  t.is(world.count('disconnected', 'receive-maximum-exceeded'), 1);
  t.is(world.count('disconnected', 'packet-malformed'), 1);
});

test('a closed connection waits for a commit 10 seconds at most, and a revoked one not at all', async (t) => {
  const clock = fakeClock();
  const slow = slowStore();
  const world = await startWorld(t, { store: slow.store, clock });
  t.teardown(() => setImmediate(() => slow.commit()));
  const late = await keptClient(world, slow, 'late', 5);
  const revoked = await keptClient(world, slow, 'revoked', 5);
  for (const client of [late, revoked]) client.publish('x', 'x', { qos: 2, id: 1 });
  await Promise.all([late.settle(), revoked.settle()]);
  for (const connection of world.layer.connectionsOf('revoked')) connection.close('device-revoked');
  await revoked.end();
  t.deepEqual(
    revoked.packets.map((one) => one.cmd),
    ['disconnect'],
  );
  for (const connection of world.layer.connectionsOf('late'))
    connection.close('connection-too-old');
  clock.advance(9000);
  t.deepEqual(late.packets, []);
  clock.advance(2000);
  await late.end();
  t.deepEqual(
    late.packets.map((one) => one.cmd),
    ['disconnect'],
  );
});

test('topic aliases to a client: a packet that waits for the commit introduces none, so that none is used before it is set', async (t) => {
  const slow = slowStore();
  const world = await startWorld(t, { store: slow.store });
  t.teardown(() => setImmediate(() => slow.commit()));
  const sub = await keptClient(world, slow, 'sub', 5, { topicAliasMaximum: 10 });
  const subscribed = sub.subscribe('t', 2);
  await until('its SUBACK waits', () => slow.waiting() > 0);
  slow.commit();
  await subscribed;
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('t', 'a', { qos: 2, id: 1 });
  pub.publish('t', 'b');
  pub.publish('t', 'c', { qos: 1, id: 2 });
  pub.publish('t', 'd', { qos: 2, id: 3 });
  await pub.settle();
  const shown = async (): Promise<unknown[][]> =>
    (await sub.received()).map((one) => [
      String(one.payload),
      one.topic,
      one.properties?.topicAlias,
    ]);
  t.deepEqual(await shown(), [
    ['b', 't', 1],
    ['c', '', 1],
  ]);
  slow.commit();
  await until('the messages at QoS 2', () => sub.packets.length === 2);
  t.deepEqual(await shown(), [
    ['a', 't', undefined],
    ['d', '', 1],
  ]);
});

test('a connection that is closed before CONNECT is reported as refused, with the reason', async (t) => {
  const world = await startWorld(t);
  const client = await world.raw('early');
  await until('it is accepted', () => world.layer.connectionsOf('early').length === 1);
  for (const connection of world.layer.connectionsOf('early')) connection.close('device-suspended');
  await client.end();
  t.is(world.count('refused', 'device-suspended'), 1);
});
