/** The queue of a session: its limits, which message is dropped when it is full, and its order. */
import test from 'ava';
import { leaveKept, payloadsOf, publishMany } from '../../../../support/session-queues.ts';
import { startWorld, TestAuthorizer } from '../../../../support/session-world.ts';
import { until } from '../../../../support/until.ts';

test('the queue of a kept session is limited in messages: the oldest is dropped and counted', async (t) => {
  const world = await startWorld(t, {
    config: { limits: { broker: { queuePerSessionMaxMessages: 10 } } },
  });
  await leaveKept(world, 'sub', 'q', 1);
  await publishMany(world, 25);
  t.is(world.count('dropped', 'queue-full'), 15);
  const again = await world.connect({ clientId: 'sub', clean: false });
  for (let n = 15; n < 25; n++) t.is(String((await again.next('publish')).payload), String(n));
});

test('the queue of a kept session is limited in bytes', async (t) => {
  const world = await startWorld(t, {
    config: { limits: { broker: { queuePerSessionMaxBytes: 10_000 } } },
  });
  await leaveKept(world, 'sub', 'q', 1);
  await publishMany(world, 25, () => Buffer.alloc(1000));
  t.true(world.layer.statistics().queuedBytes <= 10_000);
  t.true(world.count('dropped', 'queue-full') >= 15);
});

test('the queue of a connected client that does not acknowledge is limited too', async (t) => {
  const world = await startWorld(t, {
    config: { limits: { broker: { inflightOutMax: 5, queuePerSessionMaxMessages: 10 } } },
  });
  for (const clean of [true, false]) {
    const sub = await world.connect({ clientId: `sub-${clean}`, clean });
    await sub.subscribe('q', 1);
    await publishMany(world, 40);
    const got = (await sub.received()).map((one) => Number(String(one.payload)));
    t.deepEqual(got, [0, 1, 2, 3, 4]);
    sub.ack('puback', 1);
    const next = await sub.next('publish');
    t.true(Number(String(next.payload)) >= 30);
    await sub.disconnect();
  }
});

test('drop-newest drops the new message, and its publisher is acknowledged as usual', async (t) => {
  const authorizer = new TestAuthorizer();
  authorizer.own = { ...authorizer.own, queueMaxMessages: 10, queueOverflow: 'drop-newest' };
  const world = await startWorld(t, { authorizer });
  await leaveKept(world, 'sub', 'q', 2);
  const pub = await world.connect({ version: 5, clientId: 'pub' });
  for (let n = 0; n < 25; n++) pub.publish('q', String(n), { qos: n % 2 === 0 ? 1 : 2 });
  await until('acknowledged', () => pub.packets.length === 25);
  t.true(pub.packets.every(({ reasonCode }) => (reasonCode ?? 0) === 0));
  t.is(world.count('dropped', 'queue-full'), 15);
  const again = await world.connect({ clientId: 'sub', clean: false });
  t.deepEqual(
    await payloadsOf(again),
    Array.from({ length: 10 }, (_, n) => String(n)),
  );
});

test('drop-newest also applies to a connected client that does not acknowledge, kept or not', async (t) => {
  const authorizer = new TestAuthorizer();
  authorizer.own = { ...authorizer.own, inflightMax: 5, queueOverflow: 'drop-newest' };
  for (const clean of [true, false]) {
    // Messages in flight count in the queue of a kept session.
    authorizer.own = { ...authorizer.own, queueMaxMessages: clean ? 5 : 10 };
    const world = await startWorld(t, { authorizer });
    const sub = await world.connect({ clientId: 'sub', clean });
    await sub.subscribe('q', 1);
    await publishMany(world, 40);
    t.is(world.count('dropped', 'queue-full'), 30);
    const got: number[] = [];
    while (got.length < 10) {
      const one = await sub.next('publish');
      got.push(Number(String(one.payload)));
      sub.ack('puback', one.messageId!);
    }
    t.deepEqual(got, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    t.deepEqual(await sub.received(), []);
  }
});

test('a long queue is delivered in order while new messages arrive', async (t) => {
  const world = await startWorld(t, { config: { limits: { broker: { inflightOutMax: 10 } } } });
  const sub = await world.connect({ clientId: 'sub', clean: false });
  await sub.subscribe('q', 1);
  await sub.cut();
  const pub = await publishMany(world, 1000);
  const again = await world.connect({ clientId: 'sub', clean: false });
  let published = 1000;
  for (let n = 0; n < 2000; n++) {
    const one = await again.next('publish');
    if (Number(String(one.payload)) !== n) return t.fail(`${String(one.payload)} instead of ${n}`);
    again.ack('puback', one.messageId!);
    if (published < 2000) pub.publish('q', String(published++), { qos: 1 });
  }
  await again.settle();
  t.is(world.layer.statistics().queuedMessages, 0);
});
