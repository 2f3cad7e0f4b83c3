/**
 * Retained messages of every session store: lookups, limits and expiry.
 *
 * @module
 */
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { topicMatches } from '../../core/topic.ts';
import type { StoredMessage, StoreLimits } from '../../broker/store/session-store.ts';
import {
  committed,
  openStore,
  storedMessage,
  type OpenedStore,
  type StoreKind,
} from './store-samples.ts';

const topicsOf = (entries: Iterable<{ topic: string }>): string[] =>
  [...entries].map(({ topic }) => topic).sort();

/** Declares these tests for one kind of store. */
export function retainedContract(kindOfStore: StoreKind): void {
  const { test, kind } = kindOfStore;
  const open = (t: ExecutionContext, limits?: Partial<StoreLimits>): Promise<OpenedStore> =>
    openStore(kindOfStore, t, limits);

  test(`${kind}: retained messages are found by matching filters only`, async (t) => {
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
    for (const topic of topics) t.is(store.putRetained(storedMessage(topic, 'x')), undefined);
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
    t.is(store.putRetained(storedMessage('a/b', '')), undefined);
    t.is(store.retainedCount, 1);
    store.deleteRetained('a');
    t.is(store.retainedCount, 0);
    t.is(store.statistics.retainedBytes, 0);
    t.deepEqual([...store.retained('#')], []);
  });

  test(`${kind}: retained messages agree with a model for any operations`, async (t) => {
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

  test(`${kind}: the retained messages of deleted identities are deleted, those of others and of later owners of a name stay`, async (t) => {
    const { store, home, again } = await open(t);
    const put = (topic: string, publisher: string): void => {
      const message = storedMessage(topic, 'x', { publisher, createdAtMs: home.clock.now() });
      const share = { id: publisher, max: 5000, maxBytes: 1e9 };
      t.is(store.putRetained(message, share), undefined);
    };
    // Enough for several turns, and topics that share nodes of the tree.
    for (let n = 0; n < 3000; n++) {
      for (const id of ['gone', 'other']) put(`devices/${id}/${n}/a/b`, id);
    }
    for (const topic of ['a', 'a/b', 'a/b/c']) put(topic, topic === 'a/b' ? 'also' : 'gone');
    put('z', 'stays');
    const deleted = Promise.all([store.deleteRetainedOf('gone'), store.deleteRetainedOf('also')]);
    home.clock.advance(1);
    put('devices/gone/new', 'gone');
    await Promise.all([deleted, store.deleteRetainedOf('other'), store.deleteRetainedOf('nobody')]);
    const left = ['devices/gone/new', 'z'];
    t.deepEqual(topicsOf(store.retained('#')), left);
    if (!store.durable) return;
    await committed(store);
    const second = await again();
    await second.load();
    t.deepEqual(topicsOf(second.retained('#')), left);
  });

  test(`${kind}: what another partition has accepted is retained within any limits, in the share of its identity`, async (t) => {
    const { store, again } = await open(t, { retainedMax: 2 });
    const share = { id: 'a', max: 2, maxBytes: 1e9 };
    const message = (topic: string, payload = 'x'): StoredMessage =>
      storedMessage(topic, payload, { publisher: 'a' });
    t.is(store.retainedRefusal(message('1'), share), undefined);
    t.is(store.retainedCount, 0, 'it is only asked');
    for (const topic of ['1', '2', '3']) store.keepRetained(message(topic), 'a');
    t.deepEqual(topicsOf(store.retained('#')), ['1', '2', '3']);
    t.is(store.retainedRefusal(message('4'), share), 'retained-full');
    t.is(store.retainedRefusal(message('4', ''), share), undefined, 'it deletes');
    store.keepRetained(message('3', ''), 'a');
    store.keepRetained(message('2', ''), 'a');
    store.keepRetained(message('1'), undefined);
    t.is(store.retainedRefusal(message('1'), { ...share, max: 0 }), 'retained-share-full');
    await store.deleteRetainedOf('a');
    t.deepEqual(topicsOf(store.retained('#')), ['1'], 'it belongs to nobody now');
    if (!store.durable) return;
    await committed(store);
    t.deepEqual(topicsOf((await again()).retained('#')), ['1']);
  });

  test(`${kind}: an expired retained message is not found and makes room`, async (t) => {
    const { store, home } = await open(t, { retainedMax: 2 });
    store.putRetained(storedMessage('a', 'x', { expiresAtMs: home.clock.now() + 1000 }));
    store.putRetained(storedMessage('b', 'x'));
    t.is(store.putRetained(storedMessage('c', 'x')), 'retained-full');
    t.is(store.putRetained(storedMessage('b', 'y')), undefined, 'replacing needs no room');
    home.clock.advance(1001);
    t.deepEqual(topicsOf(store.retained('#')), ['b']);
    t.is(store.putRetained(storedMessage('c', 'x')), undefined);
    t.deepEqual(topicsOf(store.retained('#')), ['b', 'c']);
  });

  test(`${kind}: a full retained set removes expired messages by itself`, async (t) => {
    const { store, home } = await open(t, { retainedMax: 1 });
    store.putRetained(storedMessage('a', 'x', { expiresAtMs: home.clock.now() + 1000 }));
    home.clock.advance(5000);
    t.is(store.putRetained(storedMessage('c', 'x')), undefined);
    t.is(store.retainedCount, 1);
  });
}
