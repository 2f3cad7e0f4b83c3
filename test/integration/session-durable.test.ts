/** The session layer on the durable store: what must survive a restart. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openDurableStore } from '../../broker/store/durable-store.ts';
import type { Identity } from '../../broker/contracts/identity.ts';
import type { SessionStore } from '../../broker/store/session-store.ts';
import { storeLimits } from '../../broker/store/open-store.ts';
import { systemClock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { checkConfig } from '../../core/config/config.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { identityOf, startWorld, TestAuthorizer } from '../support/session-world.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

function storage(t: ExecutionContext): () => Promise<SessionStore> {
  const folder = tempFolder(t);
  const limits = storeLimits(checkConfig({}).limits.broker);
  return () => openDurableStore({ path: join(folder, 'store.sqlite'), limits, clock: systemClock });
}

test('sessions, queues, packet ids, retained messages and wills survive a restart', async (t) => {
  const open = storage(t);
  const before = await startWorld(t, { store: await open() });
  const sub = await before.connect({
    version: 5,
    clientId: 'sub',
    clean: false,
    properties: { sessionExpiryInterval: 1000 },
  });
  await sub.subscribe('q/#', 2, { subscriptionIdentifier: 7 });
  const pub = await before.connect({ clientId: 'pub', clean: false });
  pub.publish('q/1', 'one', { qos: 1 });
  const two = pub.publish('q/2', 'two', { qos: 2 });
  pub.publish('q/3', 'three', { qos: 2 });
  await pub.next('puback');
  await pub.next('pubrec');
  await pub.next('pubrec');
  const got = [await sub.next('publish'), await sub.next('publish'), await sub.next('publish')];
  sub.ack('pubrec', got[1]!.messageId!);
  await sub.next('pubrel');
  await sub.cut();
  pub.publish('q/4', 'four', { qos: 1, retain: true });
  await pub.next('puback');
  await before.connect({
    clientId: 'dying',
    will: { topic: 'q/will', payload: Buffer.from('gone'), qos: 1 },
  });
  await before.close();

  const after = await startWorld(t, { store: await open() });
  t.is(after.layer.statistics().retained, 1);
  t.is(after.layer.statistics().subscriptions, 1);
  const again = await after.connect({
    version: 5,
    clientId: 'sub',
    clean: false,
    properties: { sessionExpiryInterval: 1000 },
  });
  t.true(again.connack?.sessionPresent);
  t.is((await again.next('pubrel')).messageId, got[1]?.messageId);
  const list = [
    await again.next('publish'),
    await again.next('publish'),
    await again.next('publish'),
  ];
  const shown = (qos: number): unknown[] =>
    list
      .filter((one) => one.qos === qos)
      .map(({ payload, dup, messageId, properties }) => [
        ...[String(payload), dup, messageId],
        properties?.subscriptionIdentifier,
      ]);
  // In order for each QoS [MQTT-4.6.0-6]: those with QoS 2 wait for one more commit.
  t.deepEqual(shown(1), [
    ['one', true, 1, 7],
    ['four', false, 4, 7],
  ]);
  t.deepEqual(shown(2), [['three', true, 3, 7]]);
  for (const one of list) again.ack(one.qos === 1 ? 'puback' : 'pubrec', one.messageId!);
  const back = await after.connect({ clientId: 'pub', clean: false });
  t.true(back.connack?.sessionPresent);
  back.publish('q/2', 'two', { qos: 2, id: two, dup: true });
  await back.next('pubrec');
  back.ack('pubrel', two);
  await back.next('pubcomp');
  const will = await again.next('publish', 10_000);
  t.deepEqual([will.topic, String(will.payload)], ['q/will', 'gone']);
});

test('a packet id that was released before a restart can be used for a new message after it', async (t) => {
  const open = storage(t);
  const before = await startWorld(t, { store: await open() });
  const pub = await before.connect({ clientId: 'pub', clean: false });
  for (const id of [7, 8]) pub.publish('x', 'old', { qos: 2, id });
  await pub.next('pubrec');
  await pub.next('pubrec');
  pub.ack('pubrel', 7);
  await pub.next('pubcomp');
  await before.close();

  const after = await startWorld(t, { store: await open() });
  const sub = await after.connect({ clientId: 'sub' });
  await sub.subscribe('x', 0);
  const again = await after.connect({ clientId: 'pub', clean: false });
  again.publish('x', 'old', { qos: 2, id: 8, dup: true });
  again.publish('x', 'new', { qos: 2, id: 7 });
  await again.next('pubrec');
  await again.next('pubrec');
  t.deepEqual(
    (await sub.received()).map(({ payload }) => String(payload)),
    ['new'],
  );
});

test('a shutdown publishes no wills; after the restart they wait five seconds, and are deleted if a kept session is resumed', async (t) => {
  const open = storage(t);
  const clock = fakeClock();
  const before = await startWorld(t, { store: await open(), clock });
  const sub = await before.connect({ clientId: 'sub', clean: false });
  await sub.subscribe('w/#', 1);
  await sub.disconnect();
  for (const clientId of ['kept', 'back', 'away']) {
    const will = { topic: `w/${clientId}`, payload: Buffer.from('gone'), qos: 1 as const };
    await before.connect({ clientId, will, clean: clientId !== 'kept' });
  }
  await before.close();

  const after = await startWorld(t, { store: await open(), clock });
  const again = await after.connect({ clientId: 'sub', clean: false });
  await after.connect({ clientId: 'kept', clean: false });
  await after.connect({ clientId: 'back' });
  clock.advance(4999);
  // The session of `back` ended with the broker, so its will is published. That of `away` still waits.
  t.deepEqual(
    (await again.received()).map(({ topic }) => topic),
    ['w/back'],
  );
  clock.advance(1);
  t.is((await again.next('publish')).topic, 'w/away');
  clock.advance(60_000);
  t.deepEqual(await again.received(), []);
});

test('a restored will of an identity that lost its right in the meantime is not published', async (t) => {
  const open = storage(t);
  const clock = fakeClock();
  const before = await startWorld(t, { store: await open(), clock });
  for (const clientId of ['kept', 'short', 'denied', 'good']) {
    const will = { topic: `w/${clientId}`, payload: Buffer.from('gone'), qos: 1 as const };
    await before.connect({ clientId, will, clean: clientId !== 'kept' });
  }
  await before.close();

  const authorizer = new TestAuthorizer();
  authorizer.lost.set('kept', 'device-suspended');
  authorizer.lost.set('short', 'device-removed');
  authorizer.deny.publish = (_identity, topic) => topic === 'w/denied';
  const after = await startWorld(t, { store: await open(), clock, authorizer });
  const sub = await after.connect({ clientId: 'sub' });
  await sub.subscribe('w/#', 1);
  // Also if its client id is used again: then the will is due at once.
  await after.connect({ clientId: 'short' });
  clock.advance(60_000);
  t.deepEqual(
    (await sub.received()).map(({ topic }) => topic),
    ['w/good'],
  );
  t.is(after.count('denied', 'publish-denied'), 1);
});

test('a session that was connected at a crash expires counted from the restart, also across further restarts', async (t) => {
  const open = storage(t);
  const clock = fakeClock();
  const crashed = await open();
  const before = await startWorld(t, { store: crashed, clock });
  const options = {
    version: 5,
    clientId: 'c',
    properties: { sessionExpiryInterval: 100 },
  } as const;
  await (await before.connect(options)).subscribe('x', 1);
  // The file after a crash: the session is recorded as connected.
  await crashed.close();
  clock.advance(1000);

  const first = await startWorld(t, { store: await open(), clock });
  t.is(first.layer.statistics().sessions, 1);
  clock.advance(60_000);
  await first.close();
  const second = await startWorld(t, { store: await open(), clock });
  clock.advance(39_000);
  t.is(second.layer.statistics().sessions, 1);
  clock.advance(1000);
  t.is(second.layer.statistics().sessions, 0);
});

test('thousands of queued messages are delivered in order, window by window, from the durable queue', async (t) => {
  const open = storage(t);
  const world = await startWorld(t, { store: await open() });
  const sub = await world.connect({ clientId: 'sub', clean: false });
  await sub.subscribe('q', 1);
  await sub.cut();
  const pub = await world.connect({ clientId: 'pub' });
  const count = 3000;
  for (let n = 0; n < count; n++) pub.publish('q', String(n), { qos: 1 });
  await until('all acknowledged', () => pub.packets.length === count);
  t.is(world.layer.statistics().queuedMessages, count);
  const again = await world.connect({ clientId: 'sub', clean: false });
  for (let n = 0; n < count; n++) {
    const one = await again.next('publish');
    if (String(one.payload) !== String(n)) return t.fail(`${String(one.payload)} instead of ${n}`);
    again.ack('puback', one.messageId!);
  }
  await again.settle();
  t.is(world.layer.statistics().queuedMessages, 0);
});

test('acknowledgements wait for the commit, in order; QoS 0 does not', async (t) => {
  const open = storage(t);
  const world = await startWorld(t, { store: await open() });
  const kept = await world.connect({ clientId: 'kept', clean: false });
  await kept.subscribe('k', 1);
  const pub = await world.connect({ clientId: 'pub' });
  const order: number[] = [];
  for (let id = 1; id <= 200; id++)
    pub.publish(id % 3 === 0 ? 'k' : 'free', 'x', { qos: id % 5 === 0 ? 2 : 1, id });
  await until('all acknowledgements', () => pub.packets.length === 200);
  for (const packet of pub.packets) order.push(packet.messageId!);
  t.deepEqual(
    order,
    Array.from({ length: 200 }, (_, n) => n + 1),
  );
  t.true(world.layer.statistics().storeCommits < 200);
});

test('a store that cannot write closes the waiting connections instead of acknowledging', async (t) => {
  const open = storage(t);
  const store = await open();
  const world = await startWorld(t, { store });
  const kept = await world.connect({ clientId: 'kept', clean: false });
  await kept.subscribe('k', 1);
  const pub = await world.connect({ version: 5, clientId: 'pub' });
  const failed = new FlotillaError('store-write-failed', { detail: 'disk full' });
  store.afterCommit = (call) => setImmediate(call, failed);
  pub.publish('k', 'x', { qos: 1 });
  await pub.end();
  t.is(pub.packets.filter((one) => one.cmd === 'puback').length, 0);
  t.is(world.count('disconnected', 'store-write-failed'), 1);
  t.is(world.count('store-failed', 'store-write-failed'), 1);
});

test('a device with the name of one that was deleted while the broker was down finds no session of it', async (t) => {
  const open = storage(t);
  const born = (createdAtMs: number): Identity => {
    const identity = identityOf('pump');
    return { ...identity, entry: { ...identity.entry, createdAtMs } };
  };
  const before = await startWorld(t, { store: await open() });
  for (const clientId of ['pump', 'pump/2']) {
    const client = await before.connect({
      clientId,
      identity: born(1),
      clean: false,
      will: { topic: 'w', payload: Buffer.from('of the deleted one'), qos: 1 },
    });
    await client.subscribe('secret', 1);
    await client.cut();
  }
  await before.layer.publish({ topic: 'secret', payload: Buffer.from('s'), qos: 1, retain: false });
  await before.close();

  const after = await startWorld(t, { store: await open() });
  const watcher = await after.connect({ clientId: 'watcher' });
  await watcher.subscribe('w', 0);
  t.is(after.layer.statistics().sessions, 3);
  const newcomer = await after.connect({ clientId: 'pump', identity: born(2), clean: false });
  t.false(newcomer.connack?.sessionPresent);
  t.is(after.layer.statistics().sessions, 2, 'the other session of the deleted one is gone, too');
  t.is(after.layer.statistics().queuedMessages, 0);
  await newcomer.cut();
  const again = await after.connect({ clientId: 'pump', identity: born(2), clean: false });
  t.true(again.connack?.sessionPresent, 'its own session');
  await watcher.settle();
  t.is(watcher.packets.filter(({ cmd }) => cmd === 'publish').length, 0, 'no will was published');
});

test('a SUBSCRIBE of a kept session on a full disk is rejected, and nothing of it remains', async (t) => {
  const path = join(tempFolder(t), 'store.sqlite');
  const store = await openDurableStore({
    path,
    limits: storeLimits(checkConfig({}).limits.broker),
    clock: systemClock,
    worker: new URL('../support/store-full-worker.ts', import.meta.url),
  });
  const world = await startWorld(t, { store });
  const expiry = { sessionExpiryInterval: 1000 };
  const kept = await world.connect({ version: 5, clientId: 'kept', properties: expiry });
  const old = await world.connect({ version: 4, clientId: 'old', clean: false });
  const live = await world.connect({ version: 5, clientId: 'live' });
  writeFileSync(`${path}.full`, '');
  t.teardown(() => rmSync(`${path}.full`, { force: true }));
  const ask = (messageId: number, topic: string): void =>
    kept.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic, qos: 1 }] });
  ask(1, 'before it is noticed');
  await until('the store has stalled', () => world.layer.storeStalled);
  ask(2, 'k');
  t.deepEqual((await live.subscribe('k', 1)).granted, [1], 'nothing has to be stored');
  t.deepEqual((await old.subscribe('k', 1)).granted, [0x80]);
  t.is(world.layer.statistics().subscriptions, 2);
  rmSync(`${path}.full`);
  t.deepEqual((await kept.next('suback')).granted, [1], 'the first one is durable now');
  t.deepEqual((await kept.next('suback')).granted, [0x97]);
  await until(
    'the store is written again',
    () => world.layer.storeStalled === undefined || undefined,
  );
  t.deepEqual((await kept.subscribe('k', 1)).granted, [1]);
});

test('on a full disk QoS 1, QoS 2 and sessions are rejected with a reason, QoS 0 goes on, and space ends it', async (t) => {
  const path = join(tempFolder(t), 'store.sqlite');
  const store = await openDurableStore({
    path,
    limits: storeLimits(checkConfig({}).limits.broker),
    clock: systemClock,
    worker: new URL('../support/store-full-worker.ts', import.meta.url),
  });
  const world = await startWorld(t, { store });
  const kept = await world.connect({ clientId: 'kept', clean: false });
  await kept.subscribe('k', 1);
  const live = await world.connect({ version: 5, clientId: 'live' });
  await live.subscribe('k', 0);
  const pub = await world.connect({ version: 5, clientId: 'pub' });
  const other = await world.connect({ version: 5, clientId: 'other' });
  writeFileSync(`${path}.full`, '');
  t.teardown(() => rmSync(`${path}.full`, { force: true }));
  pub.publish('k', 'before it is noticed', { qos: 1 });
  await live.next('publish');
  await until('the store has stalled', () => world.layer.storeStalled);
  for (const qos of [1, 2] as const) {
    other.publish('k', 'rejected', { qos });
    const { reasonCode } = await other.next(qos === 1 ? 'puback' : 'pubrec');
    t.is(reasonCode, 0x97);
  }
  const old = await world.connect({ clientId: 'old' });
  old.publish('k', 'not acknowledged', { qos: 1 });
  await old.end();
  t.is(old.packets.filter(({ cmd }) => cmd === 'puback').length, 0);
  other.publish('k', 'QoS 0', { qos: 0, retain: true });
  t.is(String((await live.next('publish')).payload), 'QoS 0');
  rmSync(`${path}.full`);
  t.is((await pub.next('puback')).reasonCode ?? 0, 0, 'the first message is durable now');
  await until(
    'the store is written again',
    () => world.layer.storeStalled === undefined || undefined,
  );
  pub.publish('k', 'accepted', { qos: 1 });
  t.is((await pub.next('puback')).reasonCode ?? 0, 0);
});
