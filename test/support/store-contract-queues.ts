/**
 * Outgoing queues of every session store: order, states, limits.
 *
 * @module
 */
import type { ExecutionContext } from 'ava';
import { messageBytes, type StoreLimits } from '../../broker/store/session-store.ts';
import {
  committed,
  deliveryOf,
  openStore,
  sessionRecord,
  storedMessage,
  subscription,
  wholeQueue,
  type OpenedStore,
  type StoreKind,
} from './store-samples.ts';

/** Declares these tests for one kind of store. */
export function queueContract(kindOfStore: StoreKind): void {
  const { test, kind } = kindOfStore;
  const open = (t: ExecutionContext, limits?: Partial<StoreLimits>): Promise<OpenedStore> =>
    openStore(kindOfStore, t, limits);

  test(`${kind}: a queue returns its messages in order, with all fields`, async (t) => {
    const { store } = await open(t);
    store.putSession(sessionRecord('a'));
    const rich = storedMessage('päth/☃', Buffer.from([0, 255, 1]), {
      qos: 2,
      retain: true,
      properties: Buffer.from([0x26, 0, 1, 97, 0, 1, 98]),
      expiresAtMs: 1_999_999_999_999,
      createdAtMs: 1_888_888_888_888,
      publisher: undefined,
    });
    const one = store.enqueue('a', deliveryOf(rich, { qos: 2, retain: true, identifiers: [7, 9] }));
    const two = store.enqueue('a', deliveryOf(storedMessage('t', '')));
    t.true(one > 0 && two > one);
    const queue = await wholeQueue(store, 'a', 1);
    t.is(queue.length, 2);
    t.deepEqual(queue[0], {
      sequence: one,
      message: rich,
      qos: 2,
      retain: true,
      identifiers: [7, 9],
      state: 'queued',
      packetId: undefined,
    });
    t.deepEqual(queue[1]?.message, storedMessage('t', ''));
    const { messages, bytes } = store.queueOf('a');
    t.is(messages, 2);
    t.is(bytes, messageBytes(rich) + messageBytes(storedMessage('t', '')));
  });

  test(`${kind}: an entry is queued, sent, released and removed`, async (t) => {
    for (const commitBetween of [false, true]) {
      const { store } = await open(t);
      const step = async (): Promise<void> => {
        if (commitBetween) await committed(store);
      };
      store.putSession(sessionRecord('a'));
      const message = storedMessage('t', 'secret', { qos: 2 });
      const sequence = store.enqueue('a', deliveryOf(message, { qos: 2 }));
      await step();
      store.markSent('a', sequence, 65_535);
      await step();
      const [sent] = await wholeQueue(store, 'a');
      t.is(sent?.state, 'sent');
      t.is(sent?.packetId, 65_535);
      t.deepEqual(sent?.message.payload, Buffer.from('secret'));
      const before = store.queueOf('a').bytes;
      store.markReleased('a', sequence);
      await step();
      const [released] = await wholeQueue(store, 'a');
      t.is(released?.state, 'released');
      t.is(released?.packetId, 65_535);
      t.is(released?.message.payload.length, 0);
      t.true(store.queueOf('a').bytes < before);
      store.dequeue('a', sequence);
      t.deepEqual(await wholeQueue(store, 'a'), []);
      t.is(store.queueOf('a').messages, 0);
      t.is(store.queueOf('a').bytes, 0);
      t.is(store.statistics.queuedBytes, 0);
    }
  });

  test(`${kind}: a shared message is available until its last receiver dequeues it`, async (t) => {
    const { store } = await open(t);
    const receivers = Array.from({ length: 20 }, (_, index) => `r${index}`);
    const shared = storedMessage('t', 'for all');
    for (const id of receivers) store.putSession(sessionRecord(id));
    const sequences = receivers.map((id) => store.enqueue(id, deliveryOf(shared)));
    store.dequeue('r0', sequences[0]!); // In the same batch.
    await committed(store);
    store.dequeue('r1', sequences[1]!);
    store.deleteSession('r2');
    await committed(store);
    for (const id of receivers.slice(3)) {
      t.deepEqual((await wholeQueue(store, id))[0]?.message.payload, Buffer.from('for all'));
    }
    for (const id of ['r0', 'r1', 'r2']) t.deepEqual(await wholeQueue(store, id), []);
    t.is(store.statistics.queuedMessages, 17);
  });

  test(`${kind}: the oldest entry that is not in flight is dropped`, async (t) => {
    const { store } = await open(t);
    store.putSession(sessionRecord('a'));
    const [one, two, three] = ['1', '2', '3'].map((payload) =>
      store.enqueue('a', deliveryOf(storedMessage('t', payload))),
    );
    store.markSent('a', one!, 1);
    t.is(store.dropOldest('a'), two!);
    t.is(store.dropOldest('a'), three!);
    t.is(store.dropOldest('a'), 0);
    t.is(store.dropOldest('nobody'), 0);
    t.is(store.queueOf('a').messages, 1);
  });

  test(`${kind}: a queue continues after an entry whose successor was removed`, async (t) => {
    const { store } = await open(t);
    store.putSession(sessionRecord('a'));
    store.enqueue('a', deliveryOf(storedMessage('t', '1')));
    store.dequeue('a', store.enqueue('a', deliveryOf(storedMessage('t', '2'))));
    store.enqueue('a', deliveryOf(storedMessage('t', '3')));
    t.deepEqual(
      (await wholeQueue(store, 'a')).map(({ message }) => message.payload.toString()),
      ['1', '3'],
    );
  });

  test(`${kind}: a full store refuses messages by count and by bytes, until there is room`, async (t) => {
    const message = storedMessage('t', 'x'.repeat(100));
    const bytes = messageBytes(message);
    for (const limits of [{ queuedMaxMessages: 2 }, { queuedMaxBytes: 2 * bytes }]) {
      const { store } = await open(t, limits);
      store.putSession(sessionRecord('a'));
      store.putSession(sessionRecord('b'));
      const first = store.enqueue('a', deliveryOf(message));
      t.not(first, 0);
      t.not(store.enqueue('b', deliveryOf(message)), 0);
      t.is(store.enqueue('b', deliveryOf(message)), 0);
      t.is(store.queueOf('b').messages, 1);
      store.dequeue('a', first);
      t.not(store.enqueue('a', deliveryOf(message)), 0);
      store.deleteSession('a');
      store.deleteSession('b');
      t.is(store.statistics.queuedMessages, 0);
      t.is(store.statistics.queuedBytes, 0);
    }
  });

  test(`${kind}: the queues of one identity have a share, and others continue`, async (t) => {
    const message = storedMessage('t', 'x'.repeat(100));
    const bytes = messageBytes(message);
    for (const limits of [
      { queuedPerOwnerMaxMessages: 3 },
      { queuedPerOwnerMaxBytes: 3 * bytes },
    ]) {
      const { store, again } = await open(t, limits);
      store.putSession(sessionRecord('a/1', { identityId: 'a' }));
      store.putSession(sessionRecord('a/2', { identityId: 'a' }));
      store.putSession(sessionRecord('b'));
      const first = store.enqueue('a/1', deliveryOf(message));
      for (const session of ['a/1', 'a/2']) t.not(store.enqueue(session, deliveryOf(message)), 0);
      t.is(store.enqueue('a/2', deliveryOf(message)), 0, 'three in both sessions');
      t.not(store.enqueue('b', deliveryOf(message)), 0);
      store.dequeue('a/1', first);
      t.not(store.enqueue('a/2', deliveryOf(message)), 0);
      await committed(store);
      const restarted = store.durable ? await again() : store;
      t.is(restarted.enqueue('a/1', deliveryOf(message)), 0, 'also after a restart');
      restarted.deleteSession('a/1');
      t.not(restarted.enqueue('a/2', deliveryOf(message)), 0);
    }
  });

  test(`${kind}: unknown arguments change nothing`, async (t) => {
    const { store } = await open(t);
    t.is(store.enqueue('nobody', deliveryOf(storedMessage('t'))), 0);
    store.markSent('nobody', 1, 1);
    store.markReleased('nobody', 1);
    store.dequeue('nobody', 1);
    store.deleteSession('nobody');
    store.putSubscription('nobody', subscription('a'));
    store.deleteSubscription('nobody', 'a');
    store.putIncoming('nobody', 1);
    store.deleteIncoming('nobody', 1);
    store.deleteRetained('nothing');
    store.deleteWill('nobody');
    await committed(store);
    store.putSession(sessionRecord('a'));
    store.dequeue('a', 99);
    store.markSent('a', 99, 1);
    await committed(store);
    t.deepEqual(await wholeQueue(store, 'a'), []);
    t.deepEqual(await store.readQueue('nobody', 0, 10), []);
  });

  test(`${kind}: a read continues after a sequence, also when that entry was removed`, async (t) => {
    const { store } = await open(t);
    store.putSession(sessionRecord('a'));
    const sequences = Array.from({ length: 10 }, (_, index) =>
      store.enqueue('a', deliveryOf(storedMessage('t', `${index}`))),
    );
    const payloads = async (after: number): Promise<string[]> =>
      (await store.readQueue('a', after, 3)).map(({ message }) => message.payload.toString());
    t.deepEqual(await payloads(sequences[3]!), ['4', '5', '6']);
    store.dequeue('a', sequences[3]!);
    store.dequeue('a', sequences[4]!);
    t.deepEqual(await payloads(sequences[3]!), ['5', '6', '7']);
    t.deepEqual(await payloads(sequences[9]!), []);
  });
}
