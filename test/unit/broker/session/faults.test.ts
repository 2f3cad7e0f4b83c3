/** Faults that other brokers had, each tested against the specification. */
import test from 'ava';
import { fakeClock } from '../../../support/fake-clock.ts';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClientConnection } from '../../../../broker/session/connection/connection.ts';
import { startWorld, type RawClient } from '../../../support/session-world.ts';
import { until } from '../../../support/until.ts';

test('fault 1: Session Present is 1 for a kept session without subscriptions', async (t) => {
  const world = await startWorld(t);
  for (const version of [4, 5] as const) {
    const options = {
      version,
      clientId: `c${version}`,
      clean: false,
      ...(version === 5 ? { properties: { sessionExpiryInterval: 100 } } : {}),
    };
    const first = await world.connect(options);
    t.false(first.connack?.sessionPresent);
    await first.disconnect();
    t.true((await world.connect(options)).connack?.sessionPresent);
  }
});

test('fault 3: unacknowledged PUBLISH and PUBREL are sent again in order, with DUP and their packet ids', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ clientId: 'sub', clean: false });
  await sub.subscribe('f', 2);
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('f', 'one', { qos: 1 });
  const released = pub.publish('f', 'two', { qos: 2 });
  pub.publish('f', 'three', { qos: 2 });
  pub.publish('f', 'four', { qos: 1 });
  await pub.settle();
  t.is((await sub.received()).length, 4);
  sub.ack('pubrec', 2);
  await sub.next('pubrel');
  await sub.cut();
  pub.publish('f', 'five', { qos: 1 });
  await pub.settle();
  pub.ack('pubrel', released);
  const again = await world.connect({ clientId: 'sub', clean: false });
  await again.next('pubrel');
  const got = await again.received();
  t.deepEqual(
    got.map((one) => [String(one.payload), one.messageId, one.dup, one.qos]),
    [
      ['one', 1, true, 1],
      ['three', 3, true, 2],
      ['four', 4, true, 1],
      ['five', 5, false, 1],
    ],
  );
  again.ack('pubcomp', 2);
  for (const id of [1, 4, 5]) again.ack('puback', id);
  again.ack('pubrec', 3);
  await again.next('pubrel');
  again.ack('pubcomp', 3);
  await again.settle();
  t.is(world.layer.statistics().queuedMessages, 0);
});

test('fault 6: + matches an empty level, for retained messages too', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ clientId: 'c' });
  client.publish('foo//baz', 'kept', { retain: true });
  await client.subscribe('foo/+/baz', 0);
  t.is((await client.received()).length, 1);
  client.publish('foo//baz', 'live');
  t.deepEqual(
    (await client.received()).map((one) => String(one.payload)),
    ['live'],
  );
});

test('fault 7: a retained publish right before a subscribe arrives once, with RETAIN 1', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ clientId: 'c' });
  client.publish('r', 'kept', { retain: true });
  client.publish('other', 'x');
  await client.subscribe('r', 0);
  t.deepEqual(
    (await client.received()).map((one) => one.retain),
    [true],
  );
});

test('fault 8: a message is delivered once, at the granted QoS, and at the highest of overlapping subscriptions', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe([
    { topic: 'a/#', qos: 0 },
    { topic: 'a/+', qos: 1 },
    { topic: 'low/#', qos: 1 },
  ]);
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('a/b', 'x', { qos: 2 });
  pub.publish('low/x', 'y', { qos: 2 });
  await pub.settle();
  t.deepEqual(
    (await sub.received()).map((one) => [one.topic, one.qos]),
    [
      ['a/b', 1],
      ['low/x', 1],
    ],
  );
});

test('fault 9: no more messages in flight than the window, packet ids from 1, none reused in flight', async (t) => {
  const world = await startWorld(t, { config: { limits: { broker: { inflightOutMax: 20 } } } });
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe('w', 1);
  const pub = await world.connect({ clientId: 'pub' });
  for (let n = 0; n < 1000; n++) pub.publish('w', String(n), { qos: 1 });
  await until('acknowledged', () => pub.packets.length === 1000);
  const inFlight = new Set<number>();
  const got: number[] = [];
  for (let n = 0; n < 1000; n++) {
    const one = await sub.next('publish');
    t.false(inFlight.has(one.messageId!));
    inFlight.add(one.messageId!);
    t.true(inFlight.size <= 20);
    got.push(Number(String(one.payload)));
    if (inFlight.size === 20) {
      for (const id of [...inFlight].slice(3, 17)) {
        sub.ack('puback', id);
        inFlight.delete(id);
      }
    } else if (n >= 980) {
      for (const id of inFlight) sub.ack('puback', id);
      inFlight.clear();
    }
  }
  t.deepEqual(
    got,
    Array.from({ length: 1000 }, (_, n) => n),
  );
});

test('fault 10: retained $-topics are not delivered to # or +/…', async (t) => {
  const world = await startWorld(t);
  await world.layer.publish({ topic: '$SYS/x', payload: Buffer.from('s'), qos: 0, retain: true });
  await world.layer.publish({ topic: '$fleet/x', payload: Buffer.from('s'), qos: 0, retain: true });
  const client = await world.connect({ clientId: 'c' });
  await client.subscribe([{ topic: '#' }, { topic: '+/x' }]);
  await world.layer.publish({
    topic: '$fleet/x',
    payload: Buffer.from('live'),
    qos: 0,
    retain: false,
  });
  t.deepEqual(await client.received(), []);
  await client.subscribe('$fleet/#', 0);
  t.is((await client.received()).length, 1);
});

test('fault 11: no connection or session is left after sockets that sent garbage have closed', async (t) => {
  const world = await startWorld(t);
  for (let n = 0; n < 200; n++) {
    const client = await world.raw(`d${n}`);
    if (n % 2 === 0) client.connect({ clientId: `d${n}` });
    client.write(Buffer.from(`30${(n % 100).toString(16).padStart(2, '0')}`, 'hex'));
    if (n % 3 === 0) client.write('00');
    client.socket.destroySoon();
  }
  await until('all closed', () => [...world.layer.connections()].length === 0);
  const { sessions, subscriptions, queuedMessages } = world.layer.statistics();
  t.deepEqual([sessions, subscriptions, queuedMessages], [0, 0, 0]);
});

test('fault 12: a stalled subscriber affects only itself: publishers and other subscribers continue', async (t) => {
  const world = await startWorld(t, {
    config: { limits: { broker: { outboundPerConnectionMaxBytes: 65_536 } } },
  });
  const stalled = await world.connect({ clientId: 'stalled' });
  const healthy = await world.connect({ clientId: 'healthy' });
  await stalled.subscribe('big', 0);
  await healthy.subscribe('big', 0);
  stalled.socket.pause();
  const pub = await world.connect({ clientId: 'pub' });
  const payload = Buffer.alloc(60_000);
  for (let n = 0; n < 120; n++) {
    pub.publish('big', payload);
    await pub.settle();
  }
  t.is((await healthy.received()).length, 120);
  t.true(
    world.events.some(
      ({ kind, id, code }) => kind === 'dropped' && id === 'stalled' && code === 'outbound-full',
    ),
  );
  const held = [...world.layer.connections()].length;
  t.is(held, 3);
  stalled.socket.resume();
  await delay(10);
  t.true((await stalled.received()).length > 0);
});

test('fault 12: a client that does not read for too long is closed with outbound-too-slow', async (t) => {
  const clock = fakeClock();
  const world = await startWorld(t, {
    clock,
    config: { limits: { broker: { outboundPerConnectionMaxBytes: 65_536 } } },
  });
  const stalled = await world.connect({ clientId: 'stalled' });
  await stalled.subscribe('big', 0);
  stalled.socket.pause();
  const pub = await world.connect({ clientId: 'pub' });
  const payload = Buffer.alloc(60_000);
  // More bytes than the kernel buffers: the connection stalls when nothing is written for a while.
  const [connection] = world.layer.connectionsOf('stalled');
  const stream = (connection as ClientConnection).wire.stream();
  const full = async (): Promise<boolean> => {
    pub.publish('big', payload);
    await new Promise((resolve) => setImmediate(resolve));
    return stream.writableLength >= 65_536 && world.count('dropped') > 500;
  };
  // 30 MB and more: this takes a while on a busy machine.
  await until('its socket is full', full, 60_000);
  clock.advance(10_000);
  t.is(world.count('disconnected'), 0);
  clock.advance(21_000);
  t.is(world.count('disconnected', 'outbound-too-slow'), 1);
});

test('fault 12: what a full socket holds counts, and near the limit of all a client that reads nothing is closed at once', async (t) => {
  const clock = fakeClock();
  const limits = { outboundPerConnectionMaxBytes: 65_536, outboundTotalMaxBytes: 131_072 };
  const world = await startWorld(t, { clock, config: { limits: { broker: limits } } });
  const { outbound } = world.layer.context.rooms;
  const stalled = await world.connect({ clientId: 'stalled' });
  const healthy = await world.connect({ clientId: 'healthy' });
  for (const client of [stalled, healthy]) await client.subscribe('big', 0);
  stalled.socket.pause();
  const pub = await world.connect({ clientId: 'pub' });
  const droppedOfStalled = (): number =>
    world.events.filter(({ kind, id }) => kind === 'dropped' && id === 'stalled').length;
  const full = async (): Promise<boolean> => {
    pub.publish('big', Buffer.alloc(60_000));
    await pub.settle();
    return droppedOfStalled() > 5;
  };
  await until('the socket is full', full, 60_000);
  for (let sweep = 0; sweep < 4 && world.count('disconnected') === 0; sweep++) clock.advance(500);
  t.deepEqual(
    world.events.filter(({ kind }) => kind === 'disconnected').map(({ id, code }) => [id, code]),
    [['stalled', 'outbound-too-slow']],
  );
  clock.advance(2000);
  await until('its bytes are free again', () => outbound.bytes === 0);
  await healthy.received();
  pub.publish('big', 'after');
  const [after] = await Promise.all([healthy.next('publish'), pub.settle()]);
  t.is(String(after.payload), 'after');
});

test('a small outbound limit does not stop a client forever: reading and sending continue', async (t) => {
  const world = await startWorld(t, {
    config: { limits: { broker: { outboundPerConnectionMaxBytes: 16_384 } } },
  });
  const client = await world.connect({ clientId: 'c', clean: false });
  await client.subscribe('x', 1);
  for (let n = 0; n < 50; n++) client.publish('x', Buffer.alloc(5000), { qos: 1 });
  for (let n = 0; n < 50; n++) client.ack('puback', (await client.next('publish')).messageId!);
  await client.settle();
  t.is(client.packets.filter((one) => one.cmd === 'puback').length, 50);
});

test('reused write buffers never change what a slow or a fast reader gets', async (t) => {
  const world = await startWorld(t, {
    config: {
      limits: {
        broker: { inflightOutMax: 65_535, outboundPerConnectionMaxBytes: 64 * 1024 * 1024 },
      },
    },
  });
  const slow = await world.connect({ clientId: 'slow' });
  const fast = await world.connect({ clientId: 'fast' });
  const third = await world.connect({ clientId: 'third' });
  // At QoS 1 each receiver gets its own copy.
  await slow.subscribe('big', 1);
  await fast.subscribe('big', 1);
  await third.subscribe('big', 0);
  slow.socket.pause();
  const pub = await world.connect({ clientId: 'pub' });
  const [connection] = world.layer.connectionsOf('slow');
  const stream = (connection as ClientConnection).wire.stream();
  const got = new Map<RawClient, number>([
    [slow, 0],
    [fast, 0],
    [third, 0],
  ]);
  const take = async (client: RawClient): Promise<void> => {
    for (const packet of await client.received()) {
      const number = got.get(client) ?? 0;
      const { payload, messageId } = packet;
      if (!Buffer.isBuffer(payload) || !payload.equals(payloadOf(number))) {
        throw new Error(`message ${number} is not what was sent`);
      }
      got.set(client, number + 1);
      if (packet.qos === 1 && messageId !== undefined) client.ack('puback', messageId);
    }
  };
  let sent = 0;
  let beyond = 0;
  // Until the kernel buffers no more for the slow client, and some messages more.
  while (beyond < 30) {
    for (let one = 0; one < 7; one++) pub.publish('big', payloadOf(sent++), { qos: 1 });
    await pub.settle();
    pub.packets.length = 0;
    await take(fast);
    await take(third);
    if (stream.writableNeedDrain) beyond++;
    else if (sent > 20_000) throw new Error('the socket never fills up');
  }
  slow.socket.resume();
  while ((got.get(slow) ?? 0) < sent) await take(slow);
  t.deepEqual([...got.values()], [sent, sent, sent]);
});

/** A payload whose length and bytes show its number. */
function payloadOf(number: number): Buffer {
  return Buffer.alloc(3000 + (number % 5) * 1500, `${number},`);
}
