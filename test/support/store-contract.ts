/**
 * What every session store promises, as tests: broker/store/session-store.ts put to the proof.
 *
 * @module
 */
import type { ExecutionContext, TestFn } from 'ava';
import fc from 'fast-check';
import { topicMatches } from '../../core/topic.ts';
import {
  messageBytes,
  type Delivery,
  type QueuedMessage,
  type Recovered,
  type SessionRecord,
  type SessionStore,
  type StoredMessage,
  type StoreLimits,
  type SubscriptionRecord,
} from '../../broker/store/session-store.ts';
import { fakeClock, type FakeClock } from './fake-clock.ts';

/** One place where a store can be opened, closed and opened again. */
export interface StoreHome {
  open(): Promise<SessionStore>;
  readonly clock: FakeClock;
}

export type OpenHome = (
  t: ExecutionContext,
  options: { readonly limits: StoreLimits; readonly clock: FakeClock },
) => StoreHome;

/** Limits that no test meets by accident. */
export const wideLimits: StoreLimits = {
  queuedMaxMessages: 1_000_000,
  queuedMaxBytes: 1024 * 1024 * 1024,
  retainedMax: 1_000_000,
  retainedMaxBytes: 1024 * 1024 * 1024,
  pendingMaxBytes: 32 * 1024 * 1024,
};

/** A message with the fields that a test cares for. */
export function storedMessage(
  topic: string,
  payload: string | Buffer = 'x',
  fields: Partial<StoredMessage> = {},
): StoredMessage {
  return {
    topic,
    payload: Buffer.from(payload),
    qos: 1,
    retain: false,
    properties: undefined,
    expiresAtMs: undefined,
    createdAtMs: 1000,
    publisher: 'publisher',
    ...fields,
  };
}

export function sessionRecord(
  clientId: string,
  fields: Partial<SessionRecord> = {},
): SessionRecord {
  return {
    clientId,
    identityId: clientId,
    protocolVersion: 4,
    expirySeconds: 3600,
    disconnectedAtMs: undefined,
    ...fields,
  };
}

export function deliveryOf(message: StoredMessage, fields: Partial<Delivery> = {}): Delivery {
  return { message, qos: 1, retain: false, identifiers: [], ...fields };
}

/** Resolves when all that was mutated is durable. */
export function committed(store: SessionStore): Promise<void> {
  return new Promise((resolve, reject) => {
    store.afterCommit((error) => (error === undefined ? resolve() : reject(error)));
  });
}

/** A whole queue, read in pages. */
export async function wholeQueue(
  store: SessionStore,
  clientId: string,
  pageMessages = 100,
): Promise<QueuedMessage[]> {
  const all: QueuedMessage[] = [];
  for (;;) {
    const page = await store.readQueue(clientId, all.at(-1)?.sequence ?? 0, pageMessages);
    if (page.length === 0) return all;
    all.push(...page);
  }
}

const topicsOf = (entries: Iterable<{ topic: string }>): string[] =>
  [...entries].map(({ topic }) => topic).sort();

/** Declares the suite for one kind of store. */
export function sessionStoreContract(
  test: TestFn,
  kind: string,
  durable: boolean,
  openHome: OpenHome,
): void {
  const open = async (
    t: ExecutionContext,
    limits: Partial<StoreLimits> = {},
  ): Promise<{ store: SessionStore; home: StoreHome; again: () => Promise<SessionStore> }> => {
    const home = openHome(t, { limits: { ...wideLimits, ...limits }, clock: fakeClock() });
    const opened: SessionStore[] = [];
    const openOne = async (): Promise<SessionStore> => {
      const store = await home.open();
      opened.push(store);
      return store;
    };
    t.teardown(() => Promise.all(opened.map((store) => store.close())));
    const store = await openOne();
    await store.load();
    return {
      store,
      home,
      again: async () => {
        await opened.at(-1)?.close();
        return openOne();
      },
    };
  };

  test(`${kind}: a new store is empty and has nothing to wait for`, async (t) => {
    const { store } = await open(t);
    t.is(store.durable, durable);
    t.false(store.pending);
    t.false(store.congested);
    t.is(store.retainedCount, 0);
    let called = false;
    store.afterCommit((error) => (called = error === undefined));
    t.true(called, 'called before it returns');
  });

  test(`${kind}: what waits for a commit is called in order, once, without an error`, async (t) => {
    const { store } = await open(t);
    const calls: number[] = [];
    store.putSession(sessionRecord('a'));
    store.afterCommit(() => calls.push(1));
    store.putSession(sessionRecord('b'));
    store.afterCommit(() => calls.push(2));
    store.afterCommit(() => calls.push(3));
    await committed(store);
    t.deepEqual(calls, [1, 2, 3]);
    t.false(store.pending);
  });

  test(`${kind}: a queue gives back what was queued, in order, with every field`, async (t) => {
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

  test(`${kind}: an entry goes from queued to sent to released to gone`, async (t) => {
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

  test(`${kind}: one message for many receivers comes to each, until the last let go`, async (t) => {
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

  test(`${kind}: a full store refuses by count and by bytes, and takes again when there is room`, async (t) => {
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
      t.not(store.enqueue('b', deliveryOf(message)), 0);
      store.deleteSession('b');
      t.is(store.statistics.queuedMessages, 0);
      t.is(store.statistics.queuedBytes, 0);
    }
  });

  test(`${kind}: what is unknown changes nothing`, async (t) => {
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

  test(`${kind}: a read from the middle goes on there, also when that entry is gone`, async (t) => {
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

  test(`${kind}: retained messages are found by every filter that matches, and by no other`, async (t) => {
    const { store } = await open(t);
    const topics = [
      'a',
      'a/b',
      'a/b/c',
      'a//c',
      '/a',
      'a/',
      '$s/x',
      '$s',
      'a/$x',
      'b/$x/y',
      '/',
      'q',
    ];
    for (const topic of topics) t.true(store.putRetained(storedMessage(topic, 'x')));
    const filters = [
      ...topics,
      ...['#', '+', '+/#', 'a/#', 'a/+', 'a/+/c', '+/+', '+/b/#', '/+', '+/', '$s/#', '$s/+', '/#'],
      ...['b/+/y', 'a/b/c/#', 'a/b/c/+', 'nothing', 'a/+/+/+', '+/+/#', '#'],
    ];
    for (const filter of filters) {
      t.deepEqual(
        topicsOf(store.retained(filter)),
        topics.filter((topic) => topicMatches(filter, topic)).sort(),
        filter,
      );
    }
  });

  test(`${kind}: retained messages are replaced, deleted by an empty payload, and counted`, async (t) => {
    const { store } = await open(t);
    store.putRetained(storedMessage('a/b', 'one'));
    store.putRetained(storedMessage('a/b', 'two', { qos: 2 }));
    store.putRetained(storedMessage('a', 'three'));
    t.is(store.retainedCount, 2);
    t.deepEqual(
      [...store.retained('a/b')].map(({ payload, qos }) => [payload.toString(), qos]),
      [['two', 2]],
    );
    t.true(store.putRetained(storedMessage('a/b', '')));
    t.is(store.retainedCount, 1);
    store.deleteRetained('a');
    t.is(store.retainedCount, 0);
    t.is(store.statistics.retainedBytes, 0);
    t.deepEqual([...store.retained('#')], []);
  });

  test(`${kind}: retained messages obey a model, whatever comes in which order`, async (t) => {
    const level = fc.constantFrom('a', 'b', '', '$c');
    const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
    const filter = fc
      .tuple(
        fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
      )
      .map(([levels, wild]) => [...levels, ...(wild ? ['#'] : [])].join('/'));
    const { store } = await open(t);
    const model = new Set<string>();
    fc.assert(
      fc.property(fc.array(fc.tuple(topic, fc.boolean())), fc.array(filter), (steps, filters) => {
        for (const [name, put] of steps) {
          if (put) {
            store.putRetained(storedMessage(name));
            model.add(name);
          } else {
            store.deleteRetained(name);
            model.delete(name);
          }
        }
        t.is(store.retainedCount, model.size);
        for (const one of filters) {
          const expected = [...model].filter((name) => topicMatches(one, name)).sort();
          t.deepEqual(topicsOf(store.retained(one)), expected);
        }
      }),
      { numRuns: 100 },
    );
    t.pass();
  });

  test(`${kind}: a retained message that expired is not found, and makes room`, async (t) => {
    const { store, home } = await open(t, { retainedMax: 2 });
    store.putRetained(storedMessage('a', 'x', { expiresAtMs: home.clock.now() + 1000 }));
    store.putRetained(storedMessage('b', 'x'));
    t.false(store.putRetained(storedMessage('c', 'x')), 'full');
    t.true(store.putRetained(storedMessage('b', 'y')), 'a known topic needs no room');
    home.clock.advance(1001);
    t.deepEqual(topicsOf(store.retained('#')), ['b']);
    t.true(store.putRetained(storedMessage('c', 'x')));
    t.deepEqual(topicsOf(store.retained('#')), ['b', 'c']);
  });

  test(`${kind}: a full retained set finds by itself what has expired`, async (t) => {
    const { store, home } = await open(t, { retainedMax: 1 });
    store.putRetained(storedMessage('a', 'x', { expiresAtMs: home.clock.now() + 1000 }));
    home.clock.advance(5000);
    t.true(store.putRetained(storedMessage('c', 'x')));
    t.is(store.retainedCount, 1);
  });

  test(`${kind}: what is given may be a slice of a chunk that changes afterwards`, async (t) => {
    const { store } = await open(t);
    store.putSession(sessionRecord('a'));
    const chunk = Buffer.alloc(64 * 1024, 'a');
    store.enqueue('a', deliveryOf(storedMessage('t', '', { payload: chunk.subarray(0, 5) })));
    store.putRetained(storedMessage('t', '', { payload: chunk.subarray(5, 10) }));
    chunk.fill('b');
    t.is((await wholeQueue(store, 'a'))[0]?.message.payload.toString(), 'aaaaa');
    t.is([...store.retained('t')][0]?.payload.toString(), 'aaaaa');
  });

  test(`${kind}: everything gives its place back: a store can be closed twice`, async (t) => {
    const { store } = await open(t);
    store.putSession(sessionRecord('a'));
    await Promise.all([store.close(), store.close()]);
    await t.notThrowsAsync(store.close());
  });

  if (!durable) return;

  test(`${kind}: everything is there again after a close`, async (t) => {
    const { store, again } = await open(t);
    const expected = fillStore(store);
    const second = await again();
    const recovered = await second.load();
    await assertFilled(t, second, recovered, expected);
    const third = await again();
    await assertFilled(t, third, await third.load(), expected);
  });

  test(`${kind}: what was deleted, and what belonged to it, is not there again`, async (t) => {
    const { store, again } = await open(t);
    fillStore(store);
    await committed(store);
    for (const id of ['a', 'b', 'c']) store.deleteSession(id);
    for (const id of ['a', 'gone']) store.deleteWill(id);
    for (const topic of ['r/1', 'r/2']) store.deleteRetained(topic);
    const second = await again();
    t.deepEqual(await second.load(), { sessions: [], wills: [] });
    t.is(second.retainedCount, 0);
    t.is(second.statistics.queuedMessages, 0);
    // A new session of the same name finds nothing of the old one.
    second.putSession(sessionRecord('a'));
    const third = await again();
    const { sessions } = await third.load();
    t.deepEqual(sessions, [
      { ...sessionRecord('a'), subscriptions: [], incoming: [], queue: { messages: 0, bytes: 0 } },
    ]);
  });

  test(`${kind}: sequences go on after a start: new messages come behind old ones`, async (t) => {
    const { store, again } = await open(t);
    store.putSession(sessionRecord('a'));
    store.enqueue('a', deliveryOf(storedMessage('t', 'old')));
    const second = await again();
    await second.load();
    second.enqueue('a', deliveryOf(storedMessage('t', 'new')));
    t.deepEqual(
      (await wholeQueue(second, 'a')).map(({ message }) => message.payload.toString()),
      ['old', 'new'],
    );
  });

  test(`${kind}: shared content lives over a start until its last receiver let go`, async (t) => {
    const { store, again } = await open(t);
    const shared = storedMessage('t', 'for all');
    for (const id of ['a', 'b']) {
      store.putSession(sessionRecord(id));
      store.enqueue(id, deliveryOf(shared));
    }
    const second = await again();
    await second.load();
    const [inA] = await wholeQueue(second, 'a');
    second.dequeue('a', inA!.sequence);
    const third = await again();
    await third.load();
    const [inB] = await wholeQueue(third, 'b');
    t.is(inB?.message.payload.toString(), 'for all');
    third.markReleased('b', inB!.sequence);
    const fourth = await again();
    await fourth.load();
    t.is((await wholeQueue(fourth, 'b'))[0]?.message.payload.length, 0);
  });

  test(`${kind}: any mutations, cut into batches anywhere, come back as a model says`, async (t) => {
    const id = fc.constantFrom('a', 'b');
    const nth = fc.nat(5);
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ do: fc.constant('enqueue' as const), id, nth }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('both' as const), id, nth }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('sent' as const), id, nth }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('released' as const), id, nth }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('dequeue' as const), id, nth }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('end' as const), id, nth }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('commit' as const), id, nth }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), id, nth }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const opened = await open(t);
        let { store } = opened;
        const model = new Map<string, Map<number, [string, string, number]>>();
        let packetId = 0;
        for (const name of ['a', 'b']) {
          store.putSession(sessionRecord(name));
          model.set(name, new Map());
        }
        const put = (name: string, message: StoredMessage): void => {
          const sequence = store.enqueue(name, deliveryOf(message, { qos: 2 }));
          model.get(name)?.set(sequence, ['queued', message.payload.toString(), 0]);
        };
        for (const [index, one] of steps.entries()) {
          const queue = model.get(one.id)!;
          const sequence = [...queue.keys()][one.nth] ?? 0;
          const entry = queue.get(sequence);
          const message = storedMessage('t', `${index}`, { qos: 2 });
          if (one.do === 'enqueue') put(one.id, message);
          else if (one.do === 'both') for (const name of ['a', 'b']) put(name, message);
          else if (one.do === 'commit') await committed(store);
          else if (one.do === 'restart') {
            store = await opened.again();
            await store.load();
          } else if (one.do === 'end') {
            store.deleteSession(one.id);
            store.putSession(sessionRecord(one.id));
            queue.clear();
          } else if (one.do === 'dequeue') {
            store.dequeue(one.id, sequence);
            queue.delete(sequence);
          } else if (entry !== undefined) {
            if (one.do === 'sent' && entry[0] === 'queued') {
              store.markSent(one.id, sequence, ++packetId);
              queue.set(sequence, ['sent', entry[1], packetId]);
            } else if (one.do === 'released' && entry[0] === 'sent') {
              store.markReleased(one.id, sequence);
              queue.set(sequence, ['released', '', entry[2]]);
            }
          }
        }
        store = await opened.again();
        await store.load();
        for (const [name, queue] of model) {
          const found = await wholeQueue(store, name, 3);
          t.deepEqual(
            found.map(({ sequence, state, message, packetId: given }) => [
              sequence,
              [state, message.payload.toString(), given ?? 0],
            ]),
            [...queue],
          );
        }
        await store.close();
      }),
      { numRuns: 25 },
    );
  });
}

function subscription(
  filter: string,
  fields: Partial<SubscriptionRecord> = {},
): SubscriptionRecord {
  return {
    filter,
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    identifier: undefined,
    ...fields,
  };
}

interface Expected {
  readonly sessions: Recovered['sessions'];
  readonly wills: Recovered['wills'];
  readonly queueOfA: readonly (readonly [string, string, number | undefined])[];
}

/** Puts something of everything. */
function fillStore(store: SessionStore): Expected {
  const a = sessionRecord('a', { identityId: 'device-a', protocolVersion: 5 });
  const b = sessionRecord('b', { expirySeconds: 0xffff_ffff, disconnectedAtMs: 1_700_000_000_123 });
  const subscriptions = [
    subscription('$share/g/x/+', {
      qos: 2,
      noLocal: false,
      retainHandling: 2,
      identifier: 268_435_455,
    }),
    subscription('x/#', { qos: 0, noLocal: true, retainAsPublished: true, retainHandling: 1 }),
  ];
  store.putSession(sessionRecord('a'));
  store.putSession(a);
  store.putSession(b);
  store.putSession(sessionRecord('c'));
  store.deleteSession('c');
  for (const one of subscriptions) store.putSubscription('a', one);
  store.putSubscription('a', subscription('y', { qos: 0 }));
  store.deleteSubscription('a', 'y');
  store.putSubscription('b', subscription('z', { qos: 0 }));
  store.putSubscription('b', subscription('z', { qos: 2 }));
  for (const packetId of [1, 2, 65_535]) store.putIncoming('a', packetId);
  store.deleteIncoming('a', 2);
  const sequences = ['1', '2', '3', '4'].map((payload) =>
    store.enqueue('a', deliveryOf(storedMessage('t', payload, { qos: 2 }), { qos: 2 })),
  );
  store.markSent('a', sequences[0]!, 10);
  store.markReleased('a', sequences[0]!);
  store.markSent('a', sequences[1]!, 11);
  store.dequeue('a', sequences[2]!);
  const size = store.queueOf('a');
  store.putRetained(storedMessage('r/1', 'one', { qos: 2, expiresAtMs: 2_000_000_000_000 }));
  store.putRetained(storedMessage('r/2', 'two', { retain: true, properties: Buffer.from([1, 2]) }));
  store.putRetained(storedMessage('r/3', 'three'));
  store.deleteRetained('r/3');
  const wills = [
    {
      clientId: 'a',
      identityId: 'device-a',
      message: storedMessage('w'),
      delaySeconds: 30,
      dueAtMs: undefined,
    },
    {
      clientId: 'gone',
      identityId: 'gone',
      message: storedMessage('w', 'bye'),
      delaySeconds: 0,
      dueAtMs: 5,
    },
  ];
  for (const will of wills) store.putWill(will);
  store.putWill({ ...wills[0]!, clientId: 'b' });
  store.deleteWill('b');
  return {
    sessions: [
      {
        ...a,
        subscriptions,
        incoming: [1, 65_535],
        queue: { messages: size.messages, bytes: size.bytes },
      },
      {
        ...b,
        subscriptions: [subscription('z', { qos: 2 })],
        incoming: [],
        queue: { messages: 0, bytes: 0 },
      },
    ],
    wills,
    queueOfA: [
      ['released', '', 10],
      ['sent', '2', 11],
      ['queued', '4', undefined],
    ],
  };
}

async function assertFilled(
  t: ExecutionContext,
  store: SessionStore,
  recovered: Recovered,
  expected: Expected,
): Promise<void> {
  t.deepEqual(recovered.sessions, expected.sessions);
  t.deepEqual(recovered.wills, expected.wills);
  t.deepEqual(
    (await wholeQueue(store, 'a')).map(({ state, message, packetId }) => [
      state,
      message.payload.toString(),
      packetId,
    ]),
    expected.queueOfA,
  );
  t.deepEqual(
    [...store.retained('r/#')]
      .map(({ topic, payload, qos }) => [topic, payload.toString(), qos])
      .sort(),
    [
      ['r/1', 'one', 2],
      ['r/2', 'two', 1],
    ],
  );
}
