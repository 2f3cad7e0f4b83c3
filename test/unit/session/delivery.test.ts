import test from 'ava';
import { fakeClock } from '../../support/fake-clock.ts';
import { startWorld, TestAuthorizer, type RawClient } from '../../support/session-world.ts';
import { until } from '../../support/until.ts';

test('QoS 2 in: a packet id that is not released is not published again', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe('x', 0);
  const pub = await world.connect({ clientId: 'pub', clean: false });
  pub.publish('x', 'once', { qos: 2, id: 7 });
  await pub.next('pubrec');
  pub.publish('x', 'once', { qos: 2, id: 7, dup: true });
  await pub.next('pubrec');
  await pub.cut();
  const again = await world.connect({ clientId: 'pub', clean: false });
  again.publish('x', 'once', { qos: 2, id: 7, dup: true });
  await again.next('pubrec');
  again.ack('pubrel', 7);
  await again.next('pubcomp');
  t.is((await sub.received()).length, 1);
  again.publish('x', 'new', { qos: 2, id: 7 });
  await again.next('pubrec');
  t.is((await sub.received()).length, 1);
});

test('QoS 2 out: PUBREC with an error ends the exchange and frees the window', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({
    version: 5,
    clientId: 'sub',
    properties: { receiveMaximum: 1 },
  });
  await sub.subscribe('x', 2);
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('x', 'one', { qos: 2 });
  pub.publish('x', 'two', { qos: 2 });
  await pub.settle();
  const first = await sub.next('publish');
  sub.ack('pubrec', first.messageId!, 0x80);
  t.is(String((await sub.next('publish')).payload), 'two');
});

test('PUBACK for a QoS 2 delivery, and PUBREC for a QoS 1 one, are protocol errors', async (t) => {
  const world = await startWorld(t);
  const pub = await world.connect({ clientId: 'pub' });
  for (const [qos, cmd] of [
    [2, 'puback'],
    [1, 'pubrec'],
    [2, 'pubcomp'],
  ] as const) {
    const sub = await world.connect({ version: 5, clientId: 'sub' });
    await sub.subscribe('x', qos);
    pub.publish('x', 'm', { qos: 2 });
    const got = await sub.next('publish');
    sub.ack(cmd, got.messageId!);
    t.is((await sub.next('disconnect')).reasonCode, 0x82);
    await sub.end();
  }
});

test('the queue of a kept session is bounded by count: the oldest gives way, and is counted', async (t) => {
  const world = await startWorld(t, {
    config: { limits: { broker: { queuePerSessionMaxMessages: 10 } } },
  });
  const sub = await world.connect({ clientId: 'sub', clean: false });
  await sub.subscribe('q', 1);
  await sub.cut();
  await until('released', () => world.count('disconnected') === 1);
  const pub = await world.connect({ clientId: 'pub' });
  for (let n = 0; n < 25; n++) pub.publish('q', String(n), { qos: 1 });
  await until('acknowledged', () => pub.packets.length === 25);
  t.is(world.count('dropped', 'queue-full'), 15);
  const again = await world.connect({ clientId: 'sub', clean: false });
  for (let n = 15; n < 25; n++) t.is(String((await again.next('publish')).payload), String(n));
});

test('the queue of a kept session is bounded by bytes', async (t) => {
  const world = await startWorld(t, {
    config: { limits: { broker: { queuePerSessionMaxBytes: 10_000 } } },
  });
  const sub = await world.connect({ clientId: 'sub', clean: false });
  await sub.subscribe('q', 1);
  await sub.cut();
  await until('released', () => world.count('disconnected') === 1);
  const pub = await world.connect({ clientId: 'pub' });
  for (let n = 0; n < 25; n++) pub.publish('q', Buffer.alloc(1000), { qos: 1 });
  await until('acknowledged', () => pub.packets.length === 25);
  t.true(world.layer.statistics().queuedBytes <= 10_000);
  t.true(world.count('dropped', 'queue-full') >= 15);
});

test('a connected client that does not acknowledge has a bounded queue too', async (t) => {
  const world = await startWorld(t, {
    config: { limits: { broker: { inflightOutMax: 5, queuePerSessionMaxMessages: 10 } } },
  });
  for (const clean of [true, false]) {
    const sub = await world.connect({ clientId: `sub-${clean}`, clean });
    await sub.subscribe('q', 1);
    const pub = await world.connect({ clientId: 'pub' });
    for (let n = 0; n < 40; n++) pub.publish('q', String(n), { qos: 1 });
    await until('acknowledged', () => pub.packets.length === 40);
    const got = (await sub.received()).map((one) => Number(String(one.payload)));
    t.deepEqual(got, [0, 1, 2, 3, 4]);
    sub.ack('puback', 1);
    const next = await sub.next('publish');
    t.true(Number(String(next.payload)) >= 30);
    await sub.disconnect();
  }
});

test('drop-newest keeps what waits: the new message gives way, its publisher is answered as ever', async (t) => {
  const authorizer = new TestAuthorizer();
  authorizer.own = { ...authorizer.own, queueMaxMessages: 10, queueOverflow: 'drop-newest' };
  const world = await startWorld(t, { authorizer });
  const sub = await world.connect({ clientId: 'sub', clean: false });
  await sub.subscribe('q', 2);
  await sub.cut();
  await until('released', () => world.count('disconnected') === 1);
  const pub = await world.connect({ version: 5, clientId: 'pub' });
  for (let n = 0; n < 25; n++) pub.publish('q', String(n), { qos: n % 2 === 0 ? 1 : 2 });
  await until('acknowledged', () => pub.packets.length === 25);
  t.true(pub.packets.every(({ reasonCode }) => (reasonCode ?? 0) === 0));
  t.is(world.count('dropped', 'queue-full'), 15);
  const again = await world.connect({ clientId: 'sub', clean: false });
  t.deepEqual(
    (await again.received()).map(({ payload }) => String(payload)),
    Array.from({ length: 10 }, (_, n) => String(n)),
  );
});

test('drop-newest holds for a connected client that does not acknowledge, kept or not', async (t) => {
  const authorizer = new TestAuthorizer();
  authorizer.own = { ...authorizer.own, inflightMax: 5, queueOverflow: 'drop-newest' };
  for (const clean of [true, false]) {
    // What is in flight counts where the queue is kept.
    authorizer.own = { ...authorizer.own, queueMaxMessages: clean ? 5 : 10 };
    const world = await startWorld(t, { authorizer });
    const sub = await world.connect({ clientId: 'sub', clean });
    await sub.subscribe('q', 1);
    const pub = await world.connect({ clientId: 'pub' });
    for (let n = 0; n < 40; n++) pub.publish('q', String(n), { qos: 1 });
    await until('acknowledged', () => pub.packets.length === 40);
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

test('QoS 0 waits for those who are away only where the limits say so', async (t) => {
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
const properties = { sessionExpiryInterval: 1000 };

for (const queueOverflow of ['drop-oldest', 'drop-newest'] as const) {
  test(`${queueOverflow}: of a full queue the oldest QoS 0 goes first, then the policy chooses`, async (t) => {
    const authorizer = new TestAuthorizer();
    authorizer.own = { ...authorizer.own, queueMaxMessages: 4, queueQos0: true, queueOverflow };
    const world = await startWorld(t, { authorizer });
    const sub = await world.connect({ clientId: 'sub', clean: false });
    await sub.subscribe('q', 1);
    await sub.cut();
    await until('released', () => world.count('disconnected') === 1);
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
    await publish('i0', 0); // Not worth one of QoS 1: gives way itself.
    t.is(world.count('dropped', 'queue-full'), 5);
    await publish('j1', 1);
    t.is(world.count('dropped', 'queue-full'), 6);
    t.is(world.layer.statistics().queuedMessages, 4);
    const again = await world.connect({ clientId: 'sub', clean: false });
    t.deepEqual(
      (await again.received()).map(({ payload }) => String(payload)),
      queueOverflow === 'drop-oldest' ? ['f1', 'g1', 'h1', 'j1'] : ['d1', 'f1', 'g1', 'h1'],
    );
  });
}

test('QoS 0 that waited is bounded by bytes and among all sessions, judged when it leaves, and forgotten with its session', async (t) => {
  const clock = fakeClock();
  const authorizer = new TestAuthorizer();
  authorizer.own = { ...authorizer.own, queueMaxBytes: 3000, queueQos0: true };
  const world = await startWorld(t, {
    authorizer,
    clock,
    config: { limits: { broker: { queuedTotalMaxMessages: 4, sessionExpiryMaxSeconds: 100 } } },
  });
  for (const clientId of ['one', 'two']) {
    const sub = await world.connect({ clientId, clean: false });
    await sub.subscribe(`${clientId}/#`, 1);
    await sub.cut();
  }
  await until('released', () => world.count('disconnected') === 2);
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

test('QoS 0 that waited comes in order, before what is published while it leaves', async (t) => {
  const authorizer = new TestAuthorizer();
  authorizer.own = { ...authorizer.own, queueQos0: true };
  // So little room that the queue leaves in many portions.
  const world = await startWorld(t, {
    authorizer,
    config: { limits: { broker: { outboundPerConnectionMaxBytes: 16_384 } } },
  });
  const sub = await world.connect({ clientId: 'sub', clean: false });
  await sub.subscribe('q', 0);
  await sub.cut();
  await until('released', () => world.count('disconnected') === 1);
  const pub = await world.connect({ clientId: 'pub' });
  const payload = (n: number): string => String(n).padEnd(1000);
  for (let n = 0; n < 500; n++) pub.publish('q', payload(n));
  await pub.settle();
  const again = await world.raw('sub');
  again.connect({ clientId: 'sub', clean: false });
  for (let n = 500; n < 520; n++) pub.publish('q', payload(n));
  await pub.settle();
  for (let n = 0; n < 520; n++) {
    const one = await again.next('publish');
    if (Number(String(one.payload)) !== n) return t.fail(`${String(one.payload)} instead of ${n}`);
  }
  t.is(world.count('dropped'), 0);
});

test('QoS 0 that expired while it waited is not delivered', async (t) => {
  const clock = fakeClock();
  const authorizer = new TestAuthorizer();
  authorizer.own = { ...authorizer.own, queueQos0: true };
  const world = await startWorld(t, { authorizer, clock });
  const sub = await world.connect({ clientId: 'sub', clean: false });
  await sub.subscribe('q', 0);
  await sub.cut();
  await until('released', () => world.count('disconnected') === 1);
  const pub = await world.connect({ version: 5, clientId: 'pub' });
  pub.publish('q', 'short', { properties: { messageExpiryInterval: 10 } });
  pub.publish('q', 'long', { properties: { messageExpiryInterval: 1000 } });
  await pub.settle();
  clock.advance(20_000);
  const again = await world.connect({ clientId: 'sub', clean: false });
  t.deepEqual(
    (await again.received()).map(({ payload }) => String(payload)),
    ['long'],
  );
  t.is(world.count('dropped', 'expired'), 1);
});

test('a long queue comes in order while new messages arrive', async (t) => {
  const world = await startWorld(t, { config: { limits: { broker: { inflightOutMax: 10 } } } });
  const sub = await world.connect({ clientId: 'sub', clean: false });
  await sub.subscribe('q', 1);
  await sub.cut();
  const pub = await world.connect({ clientId: 'pub' });
  for (let n = 0; n < 1000; n++) pub.publish('q', String(n), { qos: 1 });
  await until('acknowledged', () => pub.packets.length === 1000);
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

test('a flood is paced by pausing its socket: nothing is lost, a healthy client is not disturbed', async (t) => {
  const authorizer = new TestAuthorizer();
  authorizer.own = { ...authorizer.own, messagesPerSecond: 1000, messagesBurst: 50 };
  const clock = fakeClock();
  const world = await startWorld(t, { authorizer, clock });
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe('flood', 0);
  const pub = await world.connect({ clientId: 'pub' });
  for (let n = 0; n < 400; n++) pub.publish('flood', String(n));
  // The burst, and the one that is over it: more is not read before its time.
  await until('the burst', () => sub.packets.length === 51);
  t.is((await sub.received()).length, 51);
  let came = 51;
  for (let ms = 1; came < 400; ms++) {
    clock.advance(1);
    came += (await sub.received()).length;
    t.true(came <= 51 + ms, `${came} after ${ms} ms`);
  }
  clock.advance(1);
  await pub.settle();
  t.deepEqual(await sub.received(), []);
});

test('bytes a second are paced too', async (t) => {
  const authorizer = new TestAuthorizer();
  authorizer.own = { ...authorizer.own, bytesPerSecond: 100_000, bytesBurst: 10_000 };
  const clock = fakeClock();
  const world = await startWorld(t, { authorizer, clock });
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('flood', Buffer.alloc(60_000), { qos: 1 });
  // What came has come; what it owes is rested off before anything more is read.
  await pub.next('puback');
  pub.write('c000');
  const other = await world.connect({ clientId: 'other' });
  await other.settle();
  t.deepEqual(pub.packets, []);
  clock.advance(400);
  await other.settle();
  t.deepEqual(pub.packets, []);
  clock.advance(200);
  await pub.next('pingresp');
});

test('a publish seen before does not ask the policy again, until it changes', async (t) => {
  const world = await startWorld(t);
  const pub = await world.connect({ clientId: 'pub' });
  for (let n = 0; n < 100; n++) pub.publish('same', 'x', { qos: 1 });
  await until('acknowledged', () => pub.packets.length === 100);
  t.is(world.authorizer.asked, 1);
  pub.publish('same', 'a longer payload', { qos: 1 });
  await pub.settle();
  t.is(world.authorizer.asked, 2);
  world.authorizer.deny.publish = () => true;
  world.authorizer.version++;
  pub.publish('same', 'x', { qos: 1 });
  await pub.end();
  t.is(world.count('disconnected', 'publish-denied'), 1);
});

test('a denied publish on 3.1.1 closes, or is dropped and acknowledged, as configured', async (t) => {
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

test('reauthorise takes away what is no longer allowed, on a live connection and at the return', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ clientId: 'sub', clean: false });
  await sub.subscribe([
    { topic: 'a', qos: 1 },
    { topic: 'b', qos: 1 },
    { topic: 'c', qos: 1 },
  ]);
  world.authorizer.deny.subscribe = (_identity, filter) => filter === 'a';
  world.authorizer.version++;
  for (const connection of world.layer.connectionsOf('sub')) connection.reauthorise();
  t.is(world.layer.statistics().subscriptions, 2);
  await sub.disconnect();
  world.authorizer.deny.subscribe = (_identity, filter) => filter !== 'c';
  await world.connect({ clientId: 'sub', clean: false });
  t.is(world.layer.statistics().subscriptions, 1);
});

test('what the policy denies to receive is not routed, not sent from the queue, not sent as retained', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ clientId: 'sub', clean: false });
  await sub.subscribe('r/#', 1);
  await sub.cut();
  await until('released', () => world.count('disconnected') === 1);
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

test('keep alive: any packet counts, one and a half times the interval is the limit', async (t) => {
  const clock = fakeClock();
  const world = await startWorld(t, { clock });
  const client = await world.connect({ clientId: 'c', keepAlive: 10 });
  const none = await world.connect({ clientId: 'n', keepAlive: 0 });
  for (let n = 0; n < 5; n++) {
    clock.advance(9000);
    await client.settle();
  }
  clock.advance(14_400);
  t.is(world.count('disconnected'), 0);
  clock.advance(2000);
  t.is(world.count('disconnected', 'keep-alive-timeout'), 1);
  clock.advance(86_400_000);
  await none.settle();
});

test('a takeover keeps the session, and three at once leave one', async (t) => {
  const world = await startWorld(t);
  const first = await world.connect({ clientId: 'c', clean: false });
  await first.subscribe('x', 1);
  const raced = await Promise.all(
    [1, 2, 3].map(() => world.connect({ clientId: 'c', clean: false })),
  );
  await first.end();
  await until('one is left', () => raced.filter((one) => !one.ended).length === 1);
  const last = raced.find((one) => !one.ended)!;
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('x', 'm', { qos: 1 });
  t.is(String((await last.next('publish')).payload), 'm');
  t.is(world.layer.statistics().sessions, 2);
});

test('a new Clean Session ends the old one with its queue and subscriptions', async (t) => {
  const world = await startWorld(t);
  const first = await world.connect({ clientId: 'c', clean: false });
  await first.subscribe('x', 1);
  await first.disconnect();
  await world.layer.publish({ topic: 'x', payload: Buffer.from('m'), qos: 1, retain: false });
  t.is(world.layer.statistics().queuedMessages, 1);
  const clean = await world.connect({ clientId: 'c', clean: true });
  t.false(clean.connack?.sessionPresent);
  const { queuedMessages, subscriptions } = world.layer.statistics();
  t.deepEqual([queuedMessages, subscriptions], [0, 0]);
});

test('a silenced connection publishes no will; another end does', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe('w', 0);
  const will = { topic: 'w', payload: Buffer.from('gone') };
  for (const [code, wills] of [
    ['device-revoked', 0],
    ['connection-too-old', 1],
  ] as const) {
    const client = await world.connect({ clientId: 'd', will, version: 5 });
    for (const connection of world.layer.connectionsOf('d')) connection.close(code);
    await client.end();
    t.is((await sub.received()).length, wills);
  }
});

test('an empty retained payload removes, and is delivered live', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ clientId: 'c' });
  await client.subscribe('r', 0);
  client.publish('r', 'x', { retain: true });
  client.publish('r', '', { retain: true });
  t.deepEqual(
    (await client.received()).map((one) => [one.payload?.length, one.retain]),
    [
      [1, false],
      [0, false],
    ],
  );
  t.is(world.layer.statistics().retained, 0);
});

test('when there is no room for a retained message it is refused with 0x97 and counted', async (t) => {
  const world = await startWorld(t, { config: { limits: { broker: { retainedMax: 1 } } } });
  const client = await world.connect({ version: 5, clientId: 'c' });
  client.publish('a', 'x', { retain: true, qos: 1 });
  t.is((await client.next('puback')).reasonCode, 0);
  client.publish('b', 'x', { retain: true, qos: 1 });
  t.is((await client.next('puback')).reasonCode, 0x97);
  t.is(world.count('dropped', 'retained-full'), 1);
});

test('thousands of retained messages come in portions, all of them', async (t) => {
  const world = await startWorld(t);
  for (let n = 0; n < 3000; n++) {
    await world.layer.publish({
      topic: `many/${n}`,
      payload: Buffer.from('x'),
      qos: 0,
      retain: true,
    });
  }
  const client = await world.connect({ clientId: 'c' });
  await client.subscribe('many/#', 0);
  await until(
    'all came',
    () => client.packets.filter((one) => one.cmd === 'publish').length === 3000,
  );
  t.pass();
});

test('what the broker takes for itself is acknowledged and not routed', async (t) => {
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

test('forget ends the sessions of an identity, with queue, subscriptions and wills', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ clientId: 'd', clean: false });
  await sub.subscribe('x', 1);
  await sub.disconnect();
  await world.layer.publish({ topic: 'x', payload: Buffer.from('m'), qos: 1, retain: false });
  await world.layer.forget('d');
  const { sessions, subscriptions, queuedMessages } = world.layer.statistics();
  t.deepEqual([sessions, subscriptions, queuedMessages], [0, 0, 0]);
});

test('connections of one identity are bounded by its limits', async (t) => {
  const authorizer = new TestAuthorizer();
  authorizer.own = { ...authorizer.own, connectionsMax: 2 };
  const world = await startWorld(t, { authorizer });
  await world.connect({ identity: 'd', clientId: 'd/1' });
  await world.connect({ identity: 'd', clientId: 'd/2' });
  const third = await world.connect({ identity: 'd', clientId: 'd/3', version: 5 });
  t.is(third.connack?.reasonCode, 0x97);
  const same = await world.connect({ identity: 'd', clientId: 'd/2', version: 5 });
  t.is(same.connack?.reasonCode, 0);
});

test('kept sessions of one identity are bounded: the one that is away the longest ends', async (t) => {
  const world = await startWorld(t, {
    config: { limits: { broker: { sessionsPerDeviceMax: 3 } } },
  });
  const open = (n: number): Promise<RawClient> =>
    world.connect({ identity: 'd', clientId: `d/${n}`, clean: false });
  const stays = await open(0);
  for (let n = 1; n <= 2; n++) {
    const client = await open(n);
    await client.subscribe('x', 1);
    await client.disconnect();
  }
  await world.layer.publish({ topic: 'x', payload: Buffer.from('m'), qos: 1, retain: false });
  await (await open(1)).disconnect();
  await open(3);
  t.is(world.layer.statistics().sessions, 3);
  t.is(world.count('dropped', 'session-evicted'), 1);
  await stays.settle();
  t.true((await open(1)).connack?.sessionPresent);
  t.false((await open(2)).connack?.sessionPresent);
});
