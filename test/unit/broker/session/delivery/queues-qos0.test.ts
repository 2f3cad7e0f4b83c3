/** QoS 0 messages for offline sessions: queued only if the limits allow it, and dropped first. */
import test from 'ava';
import { fakeClock } from '../../../../support/fake-clock.ts';
import { leaveKept, payloadsOf } from '../../../../support/session-queues.ts';
import { startWorld, TestAuthorizer } from '../../../../support/session-world.ts';
import { until } from '../../../../support/until.ts';

const properties = { sessionExpiryInterval: 1000 };

test('QoS 0 messages are queued for offline sessions only if the limits allow it', async (t) => {
  for (const queueQos0 of [false, true]) {
    const authorizer = new TestAuthorizer();
    authorizer.own = { ...authorizer.own, queueQos0 };
    const world = await startWorld(t, { authorizer });
    const sub = await world.connect({ version: 5, clientId: 'sub', clean: false, properties });
    await sub.subscribe('q', 1, { subscriptionIdentifier: 3 });
    await sub.cut();
    const ephemeral = await world.connect({ clientId: 'gone' });
    await ephemeral.subscribe('q', 1);
    await ephemeral.cut();
    await until('released', () => world.count('disconnected') === 2);
    const pub = await world.connect({ clientId: 'pub' });
    pub.publish('q', 'zero');
    pub.publish('q', 'one', { qos: 1 });
    await pub.next('puback');
    t.is(world.layer.statistics().queuedMessages, queueQos0 ? 2 : 1);
    const again = await world.connect({ version: 5, clientId: 'sub', clean: false, properties });
    t.deepEqual(
      (await again.received()).map(({ payload, qos, properties: own }) => [
        String(payload),
        qos,
        own?.['subscriptionIdentifier'],
      ]),
      queueQos0
        ? [
            ['zero', 0, 3],
            ['one', 1, 3],
          ]
        : [['one', 1, 3]],
    );
    again.ack('puback', 1);
    await again.settle();
    t.is(world.layer.statistics().queuedMessages, 0);
    t.is(world.layer.statistics().queuedBytes, 0);
  }
});

for (const queueOverflow of ['drop-oldest', 'drop-newest'] as const) {
  test(`${queueOverflow}: a full queue drops its oldest QoS 0 message first, then the policy decides`, async (t) => {
    const authorizer = new TestAuthorizer();
    authorizer.own = { ...authorizer.own, queueMaxMessages: 4, queueQos0: true, queueOverflow };
    const world = await startWorld(t, { authorizer });
    await leaveKept(world, 'sub', 'q', 1);
    const pub = await world.connect({ clientId: 'pub' });
    const publish = async (payload: string, qos: 0 | 1): Promise<void> => {
      pub.publish('q', payload, { qos });
      await pub.settle();
    };
    for (const name of ['a0', 'b0', 'c0']) await publish(name, 0);
    await publish('d1', 1); // Full: a0 b0 c0 d1.
    await publish('e0', 0); // b0 c0 d1 e0
    t.is(world.count('dropped', 'queue-full'), 1);
    for (const name of ['f1', 'g1', 'h1']) await publish(name, 1); // d1 f1 g1 h1
    t.is(world.count('dropped', 'queue-full'), 4);
    await publish('i0', 0); // Dropped: a QoS 1 message is worth more.
    t.is(world.count('dropped', 'queue-full'), 5);
    await publish('j1', 1);
    t.is(world.count('dropped', 'queue-full'), 6);
    t.is(world.layer.statistics().queuedMessages, 4);
    const again = await world.connect({ clientId: 'sub', clean: false });
    t.deepEqual(
      await payloadsOf(again),
      queueOverflow === 'drop-oldest' ? ['f1', 'g1', 'h1', 'j1'] : ['d1', 'f1', 'g1', 'h1'],
    );
  });
}

test('queued QoS 0 messages are limited in bytes and in total, authorized at delivery, and deleted with their session', async (t) => {
  const clock = fakeClock();
  const authorizer = new TestAuthorizer();
  authorizer.own = { ...authorizer.own, queueMaxBytes: 3500, queueQos0: true };
  const world = await startWorld(t, {
    authorizer,
    clock,
    config: { limits: { broker: { queuedTotalMaxMessages: 4, sessionExpiryMaxSeconds: 100 } } },
  });
  for (const clientId of ['one', 'two']) await leaveKept(world, clientId, `${clientId}/#`, 1);
  const pub = await world.connect({ version: 5, clientId: 'pub' });
  for (const name of ['a', 'b', 'c']) {
    pub.publish(`one/${name}`, Buffer.alloc(1200));
  }
  await pub.settle();
  t.is(world.count('dropped', 'queue-full'), 1);
  for (const name of ['a', 'b', 'c']) pub.publish(`two/${name}`, 'x');
  await pub.settle();
  t.is(world.layer.statistics().queuedMessages, 4);
  t.is(world.count('dropped', 'store-full'), 1);
  authorizer.deny.receive = (_identity, topic) => topic === 'one/b';
  const again = await world.connect({ clientId: 'one', clean: false });
  t.deepEqual(
    (await again.received()).map(({ topic }) => topic),
    ['one/c'],
  );
  t.is(world.count('dropped', 'not-allowed'), 1);
  clock.advance(100_001);
  await until('the session ended', () => world.layer.statistics().sessions === 2);
  t.is(world.layer.statistics().queuedMessages, 0);
  t.is(world.layer.statistics().queuedBytes, 0);
});

test('queued QoS 0 messages are delivered in order, before the messages that are published meanwhile', async (t) => {
  const authorizer = new TestAuthorizer();
  authorizer.own = { ...authorizer.own, queueQos0: true };
  // So little room that the queue is sent in many parts.
  const world = await startWorld(t, {
    authorizer,
    config: { limits: { broker: { outboundPerConnectionMaxBytes: 16_384 } } },
  });
  await leaveKept(world, 'sub', 'q', 0);
  const pub = await world.connect({ clientId: 'pub' });
  const payload = (n: number): string => String(n).padEnd(1000);
  for (let n = 0; n < 500; n++) pub.publish('q', payload(n));
  await pub.settle();
  const again = await world.raw('sub');
  again.connect({ clientId: 'sub', clean: false });
  for (let n = 500; n < 520; n++) pub.publish('q', payload(n));
  await pub.settle();
  for (let n = 0; n < 500; n++) {
    const one = await again.next('publish');
    if (Number(String(one.payload)) !== n) return t.fail(`${String(one.payload)} instead of ${n}`);
  }
  // A new QoS 0 message is delivered in order, or dropped if the connection has no room.
  const later = (await payloadsOf(again)).map(Number);
  t.deepEqual(
    later,
    later.toSorted((a, b) => a - b),
  );
  t.true(later.every((n) => n >= 500));
  t.is(later.length + world.count('dropped', 'outbound-full'), 20);
  t.is(world.count('dropped'), world.count('dropped', 'outbound-full'));
});

test('a QoS 0 message that expired in the queue is not delivered', async (t) => {
  const clock = fakeClock();
  const authorizer = new TestAuthorizer();
  authorizer.own = { ...authorizer.own, queueQos0: true };
  const world = await startWorld(t, { authorizer, clock });
  await leaveKept(world, 'sub', 'q', 0);
  const pub = await world.connect({ version: 5, clientId: 'pub' });
  pub.publish('q', 'short', { properties: { messageExpiryInterval: 10 } });
  pub.publish('q', 'long', { properties: { messageExpiryInterval: 1000 } });
  await pub.settle();
  clock.advance(20_000);
  const again = await world.connect({ clientId: 'sub', clean: false });
  t.deepEqual(await payloadsOf(again), ['long']);
  t.is(world.count('dropped', 'expired'), 1);
});

test('what waits for connected clients in memory counts in the limit of all queues', async (t) => {
  const world = await startWorld(t, {
    config: { limits: { broker: { queuedTotalMaxMessages: 50, inflightOutMax: 1 } } },
  });
  const slow = await world.connect({ clientId: 'slow' });
  await slow.subscribe('x', 1);
  const publisher = await world.connect({ clientId: 'publisher' });
  for (let n = 0; n < 100; n++) publisher.publish('x', 'm', { qos: 1 });
  await publisher.settle();
  t.is(world.layer.statistics().queuedMessages, 50);
  t.is(world.count('dropped', 'store-full'), 49);
  await slow.disconnect();
  await until('the queue is empty', () => world.layer.statistics().queuedMessages === 0);
});
