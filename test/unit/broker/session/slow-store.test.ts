/** A store whose commits take as long as the test decides: what waits for them, and what does not. */
import test from 'ava';
import { openMemoryStore } from '../../../../broker/store/memory-store.ts';
import { storeLimits } from '../../../../broker/store/open-store.ts';
import type { SessionStore } from '../../../../broker/store/session-store.ts';
import { systemClock } from '../../../../core/clock.ts';
import { checkConfig } from '../../../../core/config/config.ts';
import { startWorld } from '../../../support/session-world.ts';
import { until } from '../../../support/until.ts';

interface SlowStore {
  readonly store: SessionStore;
  /** Commits everything that waits. */
  commit(): void;
  readonly waiting: () => number;
}

function slowStore(): SlowStore {
  const limits = storeLimits(checkConfig({}).limits.broker);
  const store = openMemoryStore({ limits, clock: systemClock });
  const calls: (() => void)[] = [];
  let open = false;
  Object.defineProperty(store, 'pending', { get: () => !open });
  store.afterCommit = (call) => {
    if (open) call();
    else calls.push(call);
  };
  return {
    store,
    commit() {
      for (const call of calls.splice(0)) call();
    },
    waiting: () => {
      open = false;
      return calls.length;
    },
  };
}

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
