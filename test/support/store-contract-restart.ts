/**
 * Tests that every durable session store restores its state after a start.
 *
 * @module
 */
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import type {
  Recovered,
  SessionStore,
  StoredMessage,
  StoreLimits,
} from '../../broker/store/session-store.ts';
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
export function restartContract(kindOfStore: StoreKind): void {
  const { test, kind } = kindOfStore;
  const open = (t: ExecutionContext, limits?: Partial<StoreLimits>): Promise<OpenedStore> =>
    openStore(kindOfStore, t, limits);

  test(`${kind}: all state is restored after a close`, async (t) => {
    const { store, again } = await open(t);
    const expected = fillStore(store);
    const second = await again();
    const recovered = await second.load();
    await assertFilled(t, second, recovered, expected);
    const third = await again();
    await assertFilled(t, third, await third.load(), expected);
  });

  test(`${kind}: deleted state and what depends on it is not restored`, async (t) => {
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
    // A new session with the same client id has nothing of the previous one.
    second.putSession(sessionRecord('a'));
    const third = await again();
    const { sessions } = await third.load();
    t.deepEqual(sessions, [
      { ...sessionRecord('a'), subscriptions: [], incoming: [], queue: { messages: 0, bytes: 0 } },
    ]);
  });

  test(`${kind}: sequences continue after a start: new messages follow old ones`, async (t) => {
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

  test(`${kind}: shared content survives a start until its last receiver dequeues it`, async (t) => {
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

  test(`${kind}: content that was dequeued by all receivers can be queued again`, async (t) => {
    const { store, again } = await open(t);
    const message = storedMessage('t', 'again');
    const ids = ['a', 'b', 'c'];
    for (const id of ids) store.putSession(sessionRecord(id));
    const sequences = ['a', 'b'].map((id) => store.enqueue(id, deliveryOf(message)));
    store.dequeue('a', sequences[0]!);
    store.dequeue('b', sequences[1]!);
    store.enqueue('c', deliveryOf(message));
    const second = await again();
    await second.load();
    t.is((await wholeQueue(second, 'c'))[0]?.message.payload.toString(), 'again');
  });

  test(`${kind}: content that is shared before a start is separate from content after it`, async (t) => {
    const { store, again } = await open(t);
    const ids = ['a', 'b'];
    for (const id of ids) store.putSession(sessionRecord(id));
    const old = storedMessage('t', 'old');
    for (const id of ids) store.enqueue(id, deliveryOf(old));
    const second = await again();
    await second.load();
    const fresh = storedMessage('t', 'new');
    for (const id of ids) second.enqueue(id, deliveryOf(fresh));
    await committed(second);
    const third = await again();
    await third.load();
    for (const id of ids) {
      t.deepEqual(
        (await wholeQueue(third, id)).map(({ message }) => message.payload.toString()),
        ['old', 'new'],
      );
    }
  });

  test(`${kind}: any mutations, in any batches, are restored as in a model`, async (t) => {
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

interface Expected {
  readonly sessions: Recovered['sessions'];
  readonly wills: Recovered['wills'];
  readonly queueOfA: readonly (readonly [string, string, number | undefined])[];
}

/** Adds state of every kind. */
export function fillStore(store: SessionStore): Expected {
  const a = sessionRecord('a', {
    identityId: 'device-a',
    identityCreatedAtMs: 1_700_000_000_001,
    protocolVersion: 5,
  });
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
      identityCreatedAtMs: 1_700_000_000_001,
      fingerprint: `sha256:${'0a'.repeat(32)}`,
      message: storedMessage('w'),
      delaySeconds: 30,
      dueAtMs: undefined,
    },
    {
      clientId: 'gone',
      identityId: 'gone',
      identityCreatedAtMs: undefined,
      fingerprint: undefined,
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

export async function assertFilled(
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
