/**
 * Tests of the contract of session stores: broker/store/session-store.ts.
 *
 * @module
 */
import type { ExecutionContext } from 'ava';
import type { StoreLimits } from '../../broker/store/session-store.ts';
import { queueContract } from './store-contract-queues.ts';
import { restartContract } from './store-contract-restart.ts';
import { retainedContract } from './store-contract-retained.ts';
import {
  committed,
  deliveryOf,
  openStore,
  sessionRecord,
  storedMessage,
  wholeQueue,
  type OpenedStore,
  type StoreKind,
} from './store-samples.ts';

/** Declares the suite for one kind of store. */
export function sessionStoreContract(kindOfStore: StoreKind): void {
  const { test, kind, durable } = kindOfStore;
  const open = (t: ExecutionContext, limits?: Partial<StoreLimits>): Promise<OpenedStore> =>
    openStore(kindOfStore, t, limits);

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

  test(`${kind}: callbacks after a commit are called in order, once, without an error`, async (t) => {
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

  test(`${kind}: a message may be a slice of a chunk that changes afterwards`, async (t) => {
    const { store } = await open(t);
    store.putSession(sessionRecord('a'));
    const chunk = Buffer.alloc(64 * 1024, 'a');
    store.enqueue('a', deliveryOf(storedMessage('t', '', { payload: chunk.subarray(0, 5) })));
    store.putRetained(storedMessage('t', '', { payload: chunk.subarray(5, 10) }));
    chunk.fill('b');
    t.is((await wholeQueue(store, 'a'))[0]?.message.payload.toString(), 'aaaaa');
    t.is([...store.retained('t')][0]?.payload.toString(), 'aaaaa');
  });

  test(`${kind}: a store can be closed twice`, async (t) => {
    const { store } = await open(t);
    store.putSession(sessionRecord('a'));
    await Promise.all([store.close(), store.close()]);
    await t.notThrowsAsync(store.close());
  });

  queueContract(kindOfStore);
  retainedContract(kindOfStore);
  if (durable) restartContract(kindOfStore);
}
