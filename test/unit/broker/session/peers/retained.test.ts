/** Retained messages of several partitions: all partitions have them, in the same order. */
import { join } from 'node:path';
import test from 'ava';
import { openDurableStore } from '../../../../../broker/store/durable-store.ts';
import { storeLimits } from '../../../../../broker/store/open-store.ts';
import type { SessionStore } from '../../../../../broker/store/session-store.ts';
import { systemClock } from '../../../../../core/clock.ts';
import { checkConfig } from '../../../../../core/config/config.ts';
import { tempFolder } from '../../../../support/temp-folder.ts';
import { partitionOf } from '../../../../../core/partition.ts';
import type { AedesPersistence } from '../../../../../broker/session/aedes/aedes-persistence.ts';
import { ClientWithAcks } from '../../../../support/client-with-acks.ts';
import { startPartitions, type PartitionWorld } from '../../../../support/partition-world.ts';
import { identityOf, type RawClient } from '../../../../support/session-world.ts';
import { until } from '../../../../support/until.ts';

/** A topic that a partition owns. */
function topicOf(owner: number, count: number, prefix = 't'): string {
  for (let n = 0; ; n++) {
    const topic = `${prefix}/${n}`;
    if (partitionOf(topic, count) === owner) return topic;
  }
}

/** The retained messages of each partition, as text. */
async function retained({ worlds }: PartitionWorld, filter = '#'): Promise<string[][]> {
  return Promise.all(
    worlds.map(async ({ layer }) => {
      const found: string[] = [];
      for await (const { topic, payload } of layer.retained(filter)) {
        found.push(`${topic} ${String(payload)}`);
      }
      return found.sort();
    }),
  );
}

async function idle({ worlds }: PartitionWorld): Promise<void> {
  await until('nothing waits for another partition', () =>
    worlds.every(({ layer }) => layer.peers?.queued.every(({ messages }) => messages === 0)),
  );
}

/** Publishes a retained message and waits until it is acknowledged. */
async function retain(client: RawClient, topic: string, payload: string): Promise<void> {
  client.publish(topic, payload, { qos: 1, retain: true });
  await client.next('puback');
}

test('an acknowledged retained message is found by a SUBSCRIBE in each partition at once, a thousand times', async (t) => {
  const partitions = await startPartitions(t, 3);
  const clients = await Promise.all(
    partitions.worlds.map((world, index) => world.connect({ clientId: `c-${index}` })),
  );
  for (const { socket } of clients) socket.setNoDelay(true);
  for (let n = 0; n < 1000; n++) {
    const [pub, sub] = [clients[n % 3], clients[(n + 1 + (n % 2)) % 3]];
    const topic = `r/${n}`;
    await retain(pub!, topic, String(n));
    sub!.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 0 }] });
    const got = await sub!.next('publish');
    if (got.topic !== topic || got.retain !== true) return t.fail(`${got.topic} at ${topic}`);
    sub!.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: [topic] });
  }
  t.pass();
});

test('a retained message reaches each subscriber once, with its QoS, its properties and No Local', async (t) => {
  const partitions = await startPartitions(t, 3);
  for (const owner of [0, 1, 2]) {
    const topic = topicOf(owner, 3, `own-${owner}`);
    const subs: RawClient[] = [];
    for (const [index, world] of partitions.worlds.entries()) {
      const sub = await world.connect({ clientId: `sub-${owner}-${index}`, version: 5 });
      await sub.subscribe([{ topic, rap: true }, { topic: `own-${owner}/+` }], 2);
      subs.push(sub);
    }
    const pub = await partitions.at(0).connect({ clientId: `pub-${owner}`, version: 5 });
    await pub.subscribe([{ topic, nl: true }], 1);
    const userProperties = { $from: 'mine' };
    pub.publish(topic, 'x', { qos: 1, retain: true, properties: { userProperties } });
    await pub.next('puback');
    pub.publish(topic, 'y', { qos: 0, retain: true });
    for (const sub of subs) {
      const [x, y] = [await sub.next('publish'), await sub.next('publish')];
      t.deepEqual([String(x.payload), x.qos, x.retain], ['x', 1, true]);
      t.deepEqual({ ...(x.properties?.['userProperties'] as object) }, userProperties);
      t.deepEqual([String(y.payload), y.qos, y.retain], ['y', 0, true]);
      t.is(y.properties?.['userProperties'], undefined);
    }
    await idle(partitions);
    for (const sub of subs) t.deepEqual(await sub.received(), []);
    t.deepEqual(await pub.received(), [], 'No Local');
    // Also not when it subscribes again.
    await pub.subscribe([{ topic, nl: true }], 1);
    t.deepEqual(await pub.received(), [], 'No Local');
  }
});

test('two publishers in two partitions write one topic at the same time: all partitions end with the same value', async (t) => {
  const partitions = await startPartitions(t, 3);
  for (const owner of [0, 1, 2]) {
    const topic = topicOf(owner, 3);
    const writers = await Promise.all(
      [0, 1].map((index) =>
        ClientWithAcks.connect(partitions.at(index), { clientId: `w-${owner}-${index}` }),
      ),
    );
    const watchers = await Promise.all(
      [0, 1, 2].map(async (index) => {
        const clientId = `watch-${owner}-${index}`;
        const watcher = await ClientWithAcks.connect(partitions.at(index), { clientId });
        await watcher.client.subscribe(topic, 1);
        return watcher;
      }),
    );
    for (let n = 0; n < 500; n++) {
      for (const [index, { client }] of writers.entries()) {
        client.publish(topic, `${index} ${n}`, { qos: n % 2 === 0 ? 1 : 2, retain: true });
      }
      if (n % 50 === 49) await until('some', () => (writers[0]?.acknowledged ?? 0) >= n - 60);
    }
    for (const writer of writers) await until('all', () => writer.acknowledged === 500);
    const [first, ...others] = await retained(partitions, topic);
    t.is(first?.length, 1);
    for (const other of others) t.deepEqual(other, first);
    // Every subscriber saw the same order.
    for (const watcher of watchers) await until('all', () => watcher.payloads.length === 1000);
    for (const { payloads } of watchers) {
      t.is(payloads.at(-1), first?.[0]?.slice(topic.length + 1));
    }
  }
});

test('a retained message and a SUBSCRIBE at the same time: it comes live or retained, never not at all', async (t) => {
  const partitions = await startPartitions(t, 3);
  const clients = await Promise.all(
    partitions.worlds.map((world, index) => world.connect({ clientId: `c-${index}` })),
  );
  for (let n = 0; n < 300; n++) {
    const [pub, sub] = [clients[n % 3]!, clients[(n + 1) % 3]!];
    const topic = `r/${n}`;
    pub.publish(topic, 'x', { qos: n % 2 === 0 ? 0 : 1, retain: true });
    sub.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 0 }] });
    // It may come live and retained.
    await until(topic, async () => (await sub.next('publish')).topic === topic);
    sub.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: [topic] });
    if (n % 2 === 1) await pub.next('puback');
  }
  t.pass();
});

test('a message without RETAIN does not overtake the retained one before it', async (t) => {
  const partitions = await startPartitions(t, 3);
  for (const qos of [0, 1, 2] as const) {
    for (const owner of [0, 1, 2]) {
      const topic = topicOf(owner, 3, `q-${qos}`);
      const sub = await ClientWithAcks.connect(partitions.at(2), {
        clientId: `sub-${qos}-${owner}`,
      });
      await sub.client.subscribe(topic, 2);
      const pub = await ClientWithAcks.connect(partitions.at(0), {
        clientId: `pub-${qos}-${owner}`,
      });
      for (let n = 0; n < 40; n++) {
        pub.client.publish(topic, String(n), { qos, retain: n % 2 === 0 });
        // The next one is published when this one has arrived: only RETAIN then non-RETAIN is ordered.
        if (n % 2 === 1) await until('it arrived', () => sub.payloads.length === n + 1);
      }
      t.deepEqual(
        sub.payloads,
        Array.from({ length: 40 }, (_, n) => String(n)),
      );
    }
  }
});

test('partitions that write retained messages of each other do not wait for each other', async (t) => {
  const partitions = await startPartitions(t, 3);
  const count = 1500;
  const writers = await Promise.all(
    [0, 1, 2].map((index) =>
      ClientWithAcks.connect(partitions.at(index), { clientId: `w-${index}` }),
    ),
  );
  for (let n = 0; n < count; n++) {
    for (const [index, { client }] of writers.entries()) {
      client.publish(`w/${index}/${n % 300}`, String(n), {
        qos: (1 + (n % 2)) as 1 | 2,
        retain: true,
      });
    }
  }
  for (const writer of writers) await until('all', () => writer.acknowledged === count);
  const [first, ...others] = await retained(partitions);
  t.is(first?.length, 900);
  for (const other of others) t.deepEqual(other, first);
});

test('many more messages of each other than a link may have on its way do not block two partitions', async (t) => {
  const partitions = await startPartitions(t, 2);
  const count = 12_000;
  const published = partitions.worlds.map(({ layer }, index) => {
    // Each topic is owned by the other partition.
    const topics = Array.from({ length: 20 }, (_, n) => topicOf(1 - index, 2, `${index}-${n}`));
    const messages = Array.from({ length: count }, (_, n) => ({
      topic: topics[n % 20]!,
      payload: Buffer.from(String(n)),
      ...({ qos: 1, retain: true } as const),
    }));
    return layer.publish(...messages);
  });
  await Promise.all(published);
  const [first, second] = await retained(partitions);
  t.is(first?.length, 40);
  t.deepEqual(second, first);
  t.true(first?.every((line) => Number(line.split(' ')[1]) >= count - 20));
});

test('a restart keeps the retained messages that wait for the partition that owns them', async (t) => {
  const folder = tempFolder(t);
  const limits = storeLimits(checkConfig({}).limits.broker);
  const open = (index: number): Promise<SessionStore> =>
    openDurableStore({ path: join(folder, `p${index}.sqlite`), limits, clock: systemClock });
  const stores = [await open(0), await open(1), await open(2)];
  const partitions = await startPartitions(t, 3, { stores });
  const topics = [0, 1, 2].map((owner) => topicOf(owner, 3));
  partitions.cut(0, 1);
  partitions.cut(0, 2);
  partitions.cut(1, 2);
  const pub = await partitions.at(0).connect({ clientId: 'pub' });
  for (const topic of topics) pub.publish(topic, 'x', { qos: 2, retain: true });
  await pub.settle();
  t.false(pub.packets.some(({ cmd }) => cmd === 'pubrec'));
  for (const { layer } of partitions.worlds) await layer.close();
  for (const index of [0, 1, 2]) await partitions.start(index, await open(index));
  await partitions.linkAll();
  await idle(partitions);
  const expected = topics.map((topic) => `${topic} x`).sort();
  await until('all have them', async () =>
    (await retained(partitions)).every((found) => found.length === 3),
  );
  t.deepEqual(await retained(partitions), [expected, expected, expected]);
});

test('cuts of links lose no retained message, and the partitions agree in the end', async (t) => {
  const partitions = await startPartitions(t, 3);
  const count = 900;
  const writers = await Promise.all(
    [0, 1, 2].map((index) =>
      ClientWithAcks.connect(partitions.at(index), { clientId: `w-${index}`, clean: false }),
    ),
  );
  const pairs = [
    [0, 1],
    [0, 2],
    [1, 2],
  ] as const;
  for (let n = 0; n < count; n++) {
    for (const [index, { client }] of writers.entries()) {
      // A topic of its own, and one of all.
      const topic = n % 2 === 0 ? `w/${index}/${n % 30}` : `all/${n % 7}`;
      client.publish(topic, `${index} ${n}`, { qos: n % 3 === 0 ? 1 : 2, retain: true });
    }
    if (n % 30 !== 29) continue;
    const least = n / 2;
    await until('some', () => writers.every(({ acknowledged }) => acknowledged >= least));
    const [one, two] = pairs[((n / 30) % 3) | 0]!;
    partitions.cut(one, two);
    partitions.link(one, two);
  }
  for (const writer of writers) await until('all', () => writer.acknowledged === count);
  await idle(partitions);
  const [first, ...others] = await retained(partitions);
  t.is(first?.length, 45 + 7);
  for (const other of others) t.deepEqual(other, first);
});

test('a partition that is away delays the acknowledgement; the others have the message already', async (t) => {
  const partitions = await startPartitions(t, 3);
  const topic = topicOf(1, 3);
  partitions.cut(1, 2);
  const pub = await partitions.at(0).connect({ clientId: 'pub' });
  pub.publish(topic, 'x', { qos: 1, retain: true });
  const other = await partitions.at(0).connect({ clientId: 'other' });
  await until('it is there', async () => (await retained(partitions))[0]?.length === 1);
  await other.settle();
  t.deepEqual(await retained(partitions), [[`${topic} x`], [`${topic} x`], []]);
  t.false(pub.packets.some(({ cmd }) => cmd === 'puback'));
  partitions.link(1, 2);
  await pub.next('puback');
  t.is((await retained(partitions))[2]?.length, 1);
});

test('an empty payload, an expiry, a will, the broker and a plug-in reach all partitions', async (t) => {
  const partitions = await startPartitions(t, 3);
  const zero = partitions.at(0);
  const pub = await zero.connect({ clientId: 'pub', version: 5 });
  for (const owner of [0, 1, 2]) {
    const [kept, deleted] = [topicOf(owner, 3, 'kept'), topicOf(owner, 3, 'deleted')];
    await retain(pub, deleted, 'x');
    await retain(pub, deleted, '');
    pub.publish(topicOf(owner, 3, 'expired'), 'x', {
      ...{ qos: 1, retain: true },
      properties: { messageExpiryInterval: 0 },
    });
    await pub.next('puback');
    const plugIn = topicOf(owner, 3, 'plug-in');
    await (Reflect.get(zero.layer.core, 'persistence') as AedesPersistence).storeRetained({
      topic: plugIn,
      payload: 'p',
    });
    const message = { topic: kept, payload: Buffer.from('b'), qos: 0, retain: true } as const;
    await zero.layer.publish(message);
    const will = { topic: topicOf(owner, 3, 'will'), payload: Buffer.from('w'), retain: true };
    const dying = await zero.connect({ clientId: `dying-${owner}`, will });
    await dying.cut();
  }
  await until('all are there', async () =>
    (await retained(partitions)).every((found) => found.length === 9),
  );
  const [first, ...others] = await retained(partitions);
  for (const other of others) t.deepEqual(other, first);
  t.deepEqual(
    new Set(first?.map((line) => line.split(/[/ ]/)[0])),
    new Set(['kept', 'plug-in', 'will']),
  );
});

test('a retained message that expired while a partition was away deletes the older one there', async (t) => {
  const partitions = await startPartitions(t, 2);
  const topic = topicOf(0, 2);
  const pub = await partitions.at(0).connect({ clientId: 'pub', version: 5 });
  await retain(pub, topic, 'old');
  t.deepEqual(await retained(partitions), [[`${topic} old`], [`${topic} old`]]);
  partitions.cut(0, 1);
  pub.publish(topic, 'short', {
    ...{ qos: 1, retain: true },
    properties: { messageExpiryInterval: 1 },
  });
  await until('it has expired', async () => (await retained(partitions))[0]?.length === 0);
  t.deepEqual(await retained(partitions), [[], [`${topic} old`]]);
  partitions.link(0, 1);
  await pub.next('puback');
  t.deepEqual(await retained(partitions), [[], []]);
});

test('the share of an identity counts in its own partition, and a deleted identity loses its messages in all', async (t) => {
  const partitions = await startPartitions(t, 3);
  partitions.at(0).authorizer.own = { ...partitions.at(0).authorizer.own, retainedMax: 3 };
  const pub = await partitions.at(0).connect({ clientId: 'pub', version: 5 });
  for (let n = 0; n < 3; n++) await retain(pub, `t/${n}`, 'x');
  const sub = await partitions.at(1).connect({ clientId: 'sub', version: 5 });
  await sub.subscribe([{ topic: 't/#', rh: 2 }], 1);
  pub.publish('t/more', 'x', { qos: 1, retain: true });
  t.is((await pub.next('puback')).reasonCode, 0x97);
  t.is((await sub.next('publish')).topic, 't/more', 'subscribers get it all the same');
  const [first, ...others] = await retained(partitions);
  t.is(first?.length, 3);
  for (const other of others) t.deepEqual(other, first);
  await Promise.all(
    partitions.worlds.map(({ layer }) =>
      layer.forget(identityOf('pub').id, { withRetained: true }),
    ),
  );
  t.deepEqual(await retained(partitions), [[], [], []]);
});

test('what the broker itself has published is not waited for any more when the session layer closes', async (t) => {
  const partitions = await startPartitions(t, 2);
  const { layer } = partitions.at(0);
  partitions.cut(0, 1);
  await until('the link is cut', () => layer.peers?.connected.length === 0);
  const topic = topicOf(1, 2);
  const message = { topic, payload: Buffer.from('x'), qos: 1, retain: true } as const;
  const published = layer.publish(message);
  t.deepEqual(
    layer.peers?.queued.map(({ messages }) => messages),
    [1],
  );
  await layer.close();
  await published;
  t.pass();
});
