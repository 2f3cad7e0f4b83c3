/** Partitions with links between them: messages reach the clients of all partitions. */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openDurableStore } from '../../../../../broker/store/durable-store.ts';
import { storeLimits } from '../../../../../broker/store/open-store.ts';
import type { SessionStore } from '../../../../../broker/store/session-store.ts';
import { systemClock } from '../../../../../core/clock.ts';
import { checkConfig } from '../../../../../core/config/config.ts';
import { startPartitions, type PartitionWorld } from '../../../../support/partition-world.ts';
import { ClientWithAcks } from '../../../../support/client-with-acks.ts';
import { identityOf, startWorld } from '../../../../support/session-world.ts';
import { tempFolder } from '../../../../support/temp-folder.ts';
import { until } from '../../../../support/until.ts';

function openStores(t: ExecutionContext): (index: number) => Promise<SessionStore> {
  const folder = tempFolder(t);
  const limits = storeLimits(checkConfig({}).limits.broker);
  return (index) =>
    openDurableStore({ path: join(folder, `p${index}.sqlite`), limits, clock: systemClock });
}

/** Waits until nothing waits for another partition. */
async function idle({ worlds }: PartitionWorld): Promise<void> {
  await until('nothing waits for another partition', () =>
    worlds.every(({ layer }) => layer.peers?.queued.every(({ messages }) => messages === 0)),
  );
}

test('messages of each QoS reach the subscribers of another partition once, with their properties', async (t) => {
  const partitions = await startPartitions(t, 2);
  const sub = await partitions.at(0).connect({ clientId: 'sub', version: 5 });
  const pub = await partitions.at(1).connect({ clientId: 'pub', version: 5 });
  await sub.subscribe('a/+', 2, { subscriptionIdentifier: 7 });
  for (const qos of [0, 1, 2] as const) {
    const properties = {
      contentType: 'text',
      userProperties: { k: 'v' },
      messageExpiryInterval: 9,
    };
    pub.publish('a/b', `qos ${qos}`, { qos, properties });
    const got = await sub.next('publish');
    t.is(String(got.payload), `qos ${qos}`);
    t.is(got.qos, qos);
    t.is(got.properties?.['subscriptionIdentifier'], 7);
    t.is(got.properties?.['contentType'], 'text');
    t.deepEqual({ ...(got.properties?.['userProperties'] as object) }, { k: 'v' });
    t.true(Number(got.properties?.['messageExpiryInterval']) <= 9);
    if (qos === 1) sub.ack('puback', got.messageId!);
    if (qos === 2) {
      sub.ack('pubrec', got.messageId!);
      sub.ack('pubcomp', (await sub.next('pubrel')).messageId!);
      pub.ack('pubrel', (await pub.next('pubrec')).messageId!);
      await pub.next('pubcomp');
    }
  }
  await idle(partitions);
  t.deepEqual(await sub.received(), []);
});

test('a message reaches all clients with matching filters once, in a triangle of partitions too', async (t) => {
  const partitions = await startPartitions(t, 3);
  const subs = await Promise.all(
    [0, 1, 2].map((index) =>
      ClientWithAcks.connect(partitions.at(index), { clientId: `sub-${index}` }),
    ),
  );
  for (const sub of subs) await sub.client.subscribe([{ topic: 'a/#' }, { topic: '+/b' }], 1);
  const pub = await partitions.at(1).connect({ clientId: 'pub' });
  for (let n = 0; n < 100; n++) pub.publish('a/b', String(n), { qos: n % 2 === 0 ? 1 : 0 });
  for (const sub of subs) await until('all', () => sub.payloads.length >= 100);
  await idle(partitions);
  for (const sub of subs) {
    await sub.client.settle();
    for (const odd of [0, 1]) {
      t.deepEqual(
        sub.payloads.filter((payload) => Number(payload) % 2 === odd),
        Array.from({ length: 50 }, (_, n) => String(2 * n + odd)),
      );
    }
  }
});

test('a PUBLISH in another partition directly after SUBACK is not missed, a thousand times', async (t) => {
  const partitions = await startPartitions(t, 3);
  const sub = await partitions.at(0).connect({ clientId: 'sub' });
  const pubs = [
    await partitions.at(1).connect({ clientId: 'pub-1' }),
    await partitions.at(2).connect({ clientId: 'pub-2' }),
  ];
  for (const { socket } of [sub, ...pubs]) socket.setNoDelay(true);
  for (let n = 0; n < 1000; n++) {
    const topic = `t/${n}`;
    await sub.subscribe(topic, 1);
    pubs[n % 2]?.publish(topic, String(n), { qos: n % 2 === 0 ? 0 : 1, id: (n % 100) + 1 });
    const got = await sub.next('publish');
    if (got.topic !== topic) return t.fail(`${got.topic} instead of ${topic}`);
    if (got.qos === 1) sub.ack('puback', got.messageId!);
    sub.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: [topic] });
  }
  t.pass();
});

test('SUBACK waits for a partition that is away, unless it knows the filter', async (t) => {
  const partitions = await startPartitions(t, 3);
  const sub = await partitions.at(0).connect({ clientId: 'sub' });
  await sub.subscribe('known', 1);
  partitions.cut(0, 2);
  await until('the link is closed', () => partitions.at(0).layer.peers?.connected.length === 1);
  const other = await partitions.at(0).connect({ clientId: 'other' });
  await other.subscribe('known', 1);
  sub.send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: 'new', qos: 0 }] });
  other.send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: 'known', qos: 2 }] });
  await sub.settle();
  await other.settle();
  t.false([...sub.packets, ...other.packets].some(({ cmd }) => cmd === 'suback'));
  partitions.link(0, 2);
  await sub.next('suback');
  await other.next('suback');
  const pub = await partitions.at(2).connect({ clientId: 'pub' });
  pub.publish('new', 'x');
  t.is((await sub.next('publish')).topic, 'new');
  pub.publish('known', 'y', { qos: 2 });
  t.is((await other.next('publish')).qos, 2);
});

test('messages wait for a partition that is away, and nothing is forwarded after UNSUBSCRIBE', async (t) => {
  const partitions = await startPartitions(t, 2);
  const [zero, one] = [partitions.at(0), partitions.at(1)];
  const sub = await zero.connect({ clientId: 'sub' });
  await sub.subscribe('q', 1);
  partitions.cut(0, 1);
  const pub = await one.connect({ clientId: 'pub' });
  await until('the link is closed', () => one.layer.peers?.connected.length === 0);
  for (let n = 0; n < 20; n++) {
    pub.publish('q', String(n), { qos: 1 });
    await pub.next('puback');
  }
  const [queued] = one.layer.peers?.queued ?? [];
  t.is(queued?.messages, 20);
  t.is(one.layer.statistics().queuedMessages, 0, 'not shown as a session of a client');
  partitions.link(0, 1);
  for (let n = 0; n < 20; n++) {
    const got = await sub.next('publish');
    t.is(String(got.payload), String(n));
    sub.ack('puback', got.messageId!);
  }
  sub.send({ cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['q'] });
  await sub.next('unsuback');
  await until('it is announced', () => one.layer.peers?.subscriptions === 0);
  pub.publish('q', 'nobody', { qos: 1 });
  await pub.next('puback');
  t.is(one.layer.peers?.queued[0]?.messages, 0);
});

test('what another partition cannot get any more is refused, and what was acknowledged arrives', async (t) => {
  const partitions = await startPartitions(t, 2, {
    config: { limits: { broker: { queuedTotalMaxMessages: 64 } } },
  });
  const [zero, one] = [partitions.at(0), partitions.at(1)];
  const sub = await zero.connect({ clientId: 'sub' });
  await sub.subscribe('q', 1);
  partitions.cut(0, 1);
  const pub = await one.connect({ clientId: 'pub', version: 5 });
  await until('the link is closed', () => one.layer.peers?.connected.length === 0);
  const accepted: string[] = [];
  for (let n = 0; n < 80; n++) {
    pub.publish('q', String(n), { qos: 1 });
    const { reasonCode } = await pub.next('puback');
    if (reasonCode === 0x97) continue;
    t.is(reasonCode, 0);
    accepted.push(String(n));
  }
  t.is(accepted.length, 60);
  // What needs no other partition is accepted.
  pub.publish('here', 'x', { qos: 1 });
  t.not((await pub.next('puback')).reasonCode, 0x97);
  partitions.link(0, 1);
  for (const expected of accepted) {
    const got = await sub.next('publish');
    t.is(String(got.payload), expected);
    sub.ack('puback', got.messageId!);
  }
  await until('the queue is empty', () => one.layer.peers?.queued[0]?.messages === 0);
  pub.publish('q', 'again', { qos: 1 });
  t.is((await pub.next('puback')).reasonCode, 0);
});

test('filters that are not needed any more after a link was away are removed', async (t) => {
  const partitions = await startPartitions(t, 2);
  const [zero, one] = [partitions.at(0), partitions.at(1)];
  const sub = await zero.connect({ clientId: 'sub' });
  await sub.subscribe([{ topic: 'a' }, { topic: 'b' }, { topic: 'c' }], 1);
  partitions.cut(0, 1);
  sub.send({ cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['a', 'b'] });
  await sub.next('unsuback');
  t.is(one.layer.peers?.subscriptions, 3);
  partitions.link(0, 1);
  await partitions.synced();
  t.is(one.layer.peers?.subscriptions, 1);
});

for (const qos of [1, 2] as const) {
  test(`with QoS ${qos}, cuts of a link lose no message and change no order`, async (t) => {
    const open = openStores(t);
    const stores = [await open(0), await open(1)];
    const partitions = await startPartitions(t, 2, { stores });
    const count = 1500;
    const subs = await Promise.all(
      [0, 1].map((index) =>
        ClientWithAcks.connect(partitions.at(index), { clientId: `sub-${index}`, clean: false }),
      ),
    );
    const pubs = await Promise.all(
      [0, 1].map((index) =>
        ClientWithAcks.connect(partitions.at(index), { clientId: `pub-${index}`, clean: false }),
      ),
    );
    // Each subscriber gets what the publisher of the other partition sends.
    await subs[0]?.client.subscribe('from/1', qos);
    await subs[1]?.client.subscribe('from/0', qos);
    let sent = 0;
    let cuts = 0;
    while (sent < count) {
      for (let n = 0; n < 50; n++, sent++) {
        for (const [index, pub] of pubs.entries()) {
          pub.client.publish(`from/${index}`, String(sent), { qos });
        }
      }
      const reached = Math.floor(Math.random() * sent);
      await until('some have arrived', () => (subs[cuts % 2]?.payloads.length ?? 0) >= reached / 2);
      partitions.cut(0, 1);
      cuts++;
      partitions.link(0, 1);
    }
    for (const pub of pubs) await until('all acknowledged', () => pub.acknowledged >= count);
    for (const sub of subs) {
      await until('all have arrived', () => new Set(sub.payloads).size === count);
    }
    await idle(partitions);
    for (const sub of subs) {
      await sub.client.settle();
      const expected = Array.from({ length: count }, (_, n) => String(n));
      // With QoS 1, a message may come again, and then all behind it.
      if (qos === 2) t.deepEqual(sub.payloads, expected);
      else t.deepEqual([...new Set(sub.payloads)], expected);
    }
    t.true(cuts >= 30);
  });
}

test('a restart of a partition keeps what is queued for it and by it', async (t) => {
  const open = openStores(t);
  const partitions = await startPartitions(t, 2, { stores: [await open(0), await open(1)] });
  const zero = partitions.at(0);
  const one = partitions.at(1);
  const there = await zero.connect({ clientId: 'there', clean: false });
  await there.subscribe('to/0', 2);
  await there.cut();
  const here = await one.connect({ clientId: 'here', clean: false });
  await here.subscribe('to/1', 1);
  partitions.cut(0, 1);
  await until('the link is closed', () => one.layer.peers?.connected.length === 0);
  const pub = await one.connect({ clientId: 'pub' });
  pub.publish('to/0', 'queued for the other one', { qos: 2, id: 7 });
  await pub.next('pubrec');
  const away = await zero.connect({ clientId: 'away' });
  away.publish('to/1', 'queued by the other one', { qos: 1 });
  await away.next('puback');
  await one.close();
  await zero.close();

  await partitions.start(0, await open(0));
  await partitions.start(1, await open(1));
  t.is(partitions.at(1).layer.statistics().sessions, 1);
  t.is(partitions.at(1).layer.statistics().subscriptions, 1);
  t.is(partitions.at(1).layer.peers?.subscriptions, 1, 'before there is a link');
  await partitions.linkAll();
  const again = await partitions.at(0).connect({ clientId: 'there', clean: false });
  t.is(String((await again.next('publish')).payload), 'queued for the other one');
  const hereAgain = await partitions.at(1).connect({ clientId: 'here', clean: false });
  t.is(String((await hereAgain.next('publish')).payload), 'queued by the other one');
});

test('a plug-in and an operator who looks at messages get those of other partitions', async (t) => {
  const partitions = await startPartitions(t, 2);
  const [zero, one] = [partitions.at(0), partitions.at(1)];
  const got: string[] = [];
  const listen = (packet: { topic: string }, done: () => void): void => {
    got.push(packet.topic);
    done();
  };
  zero.layer.core.subscribe('plug/#', listen, () => undefined);
  await until('it is announced', () => one.layer.peers?.subscriptions === 1);
  const pub = await one.connect({ clientId: 'pub' });
  pub.publish('plug/in', 'x', { qos: 1 });
  await until('the plug-in got it', () => got.length === 1);
  t.deepEqual(got, ['plug/in']);
  zero.layer.core.unsubscribe('plug/#', listen, () => undefined);
  await until('it is not needed', () => one.layer.peers?.subscriptions === 0);
  const shown: string[] = [];
  const stop = zero.layer.inspection.tail(identityOf('operator'), 'look/#', 'all', (make) => {
    shown.push(make().topic);
  });
  await until('it is announced', () => one.layer.peers?.subscriptions === 1);
  pub.publish('look/at', 'x', { qos: 0 });
  await until('it is shown', () => shown.length === 1);
  stop();
  await until('it is not needed', () => one.layer.peers?.subscriptions === 0);
});

test('operators who look at all partitions see each message once, with and without RETAIN', async (t) => {
  const partitions = await startPartitions(t, 3);
  const shown: string[] = [];
  for (const index of [0, 1, 2]) {
    const { layer } = partitions.at(index);
    layer.inspection.tail(identityOf('operator'), 'look/#', 'own', (make) => {
      shown.push(make().topic);
    });
    // So that messages for it are passed on to this partition.
    const sub = await partitions.at(index).connect({ clientId: `sub${index}` });
    await sub.subscribe('look/#', 0);
  }
  const expected: string[] = [];
  for (const index of [0, 1, 2]) {
    const pub = await partitions.at(index).connect({ clientId: `pub${index}` });
    for (let number = 0; number < 5; number++) {
      for (const retain of [false, true]) {
        const topic = `look/${index}/${number}/${retain}`;
        pub.publish(topic, 'x', { qos: 1, retain });
        expected.push(topic);
      }
    }
  }
  await until('all are shown', () => shown.length >= expected.length);
  await idle(partitions);
  t.deepEqual(shown.toSorted(), expected.toSorted());
});

test('operators and plug-ins see nothing of the other partitions', async (t) => {
  const partitions = await startPartitions(t, 2);
  const [zero, one] = [partitions.at(0), partitions.at(1)];
  const seen: string[] = [];
  one.layer.core.on('client', ({ id }) => void seen.push(`client ${id}`));
  one.layer.core.on('clientReady', ({ id }) => void seen.push(`clientReady ${id}`));
  one.layer.core.on('publish', ({ topic }) => void seen.push(`publish ${topic}`));
  const sub = await zero.connect({ clientId: 'sub' });
  await sub.subscribe('a', 1);
  const pub = await one.connect({ clientId: 'pub' });
  pub.publish('a', 'x', { qos: 1 });
  sub.ack('puback', (await sub.next('publish')).messageId!);
  await idle(partitions);
  t.deepEqual(seen, ['client pub', 'clientReady pub', 'publish a']);
  t.deepEqual(
    [...one.layer.connections()].map(({ clientId }) => clientId),
    ['pub'],
  );
  t.deepEqual(one.layer.connectionsOf('$peer/p0'), []);
  const { sessions, subscriptions, messagesIn, messagesOut } = one.layer.statistics();
  t.is(sessions, 1);
  t.is(subscriptions, 0);
  t.deepEqual(messagesIn, [0, 1, 0]);
  t.deepEqual(messagesOut, [0, 0, 0]);
  t.deepEqual(zero.layer.statistics().messagesIn, [0, 0, 0]);
  const { inspection } = one.layer;
  const listed = await inspection.sessions({ kind: 'sessions', sort: 'clientId', limit: 10 });
  t.deepEqual(
    listed.sessions.map(({ clientId }) => clientId),
    ['pub'],
  );
  t.is(inspection.session('$peer/p0'), undefined);
  partitions.cut(0, 1);
  await until('the link is closed', () => one.layer.peers?.connected.length === 0);
  t.deepEqual(
    [...one.events, ...zero.events].filter(({ id }) => id.startsWith('$')),
    [],
  );
});

test('no client can use the client id of a partition', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ clientId: '$peer/p1', identity: 'device-1', version: 5 });
  t.is(client.connack?.reasonCode, 0x85);
  t.is(world.count('refused', 'client-id-not-allowed'), 1);
});

test('a malformed announcement, and a packet that no partition sends, close the link', async (t) => {
  const partitions = await startPartitions(t, 2);
  const { layer } = partitions.at(1);
  const lines = [
    'no json\n',
    '{"n":1,"add":[{"filter":"a/#/b","qos":1}],"remove":[]}\n',
    '{"n":1,"add":[{"filter":"a","qos":3}],"remove":[]}\n',
    '{"n":1,"add":[{"filter":"a","qos":1,"more":1}],"remove":[]}\n',
    '{"ack":77}\n',
    'x'.repeat(300_000),
  ];
  for (const line of lines) {
    const { interest } = partitions.link(0, 1);
    await partitions.synced();
    interest.sendBuffer(Buffer.from(line), undefined, undefined);
    await until(`closed after ${line.slice(0, 60)}`, () => layer.peers?.connected.length === 0);
  }
  for (const packet of ['c000', '8206000100016100', '300100', '40020000']) {
    const { data } = partitions.link(0, 1);
    await partitions.synced();
    data.sendBuffer(Buffer.from(packet, 'hex'), undefined, undefined);
    await until(`closed after ${packet}`, () => layer.peers?.connected.length === 0);
  }
  partitions.link(0, 1);
  await partitions.synced();
  t.pass();
});
