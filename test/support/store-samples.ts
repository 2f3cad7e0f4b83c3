/**
 * Sample data for tests of stores, and places to open them.
 *
 * @module
 */
import type { ExecutionContext, TestFn } from 'ava';
import {
  type Delivery,
  type QueuedMessage,
  type SessionRecord,
  type SessionStore,
  type StoredMessage,
  type StoreLimits,
  type SubscriptionRecord,
} from '../../broker/store/session-store.ts';
import { fakeClock, type FakeClock } from './fake-clock.ts';

/** A place where a store can be opened, closed and opened again. */
export interface StoreHome {
  open(): Promise<SessionStore>;
  readonly clock: FakeClock;
}

export type OpenHome = (
  t: ExecutionContext,
  options: { readonly limits: StoreLimits; readonly clock: FakeClock },
) => StoreHome;

/** One kind of store to test. */
export interface StoreKind {
  readonly test: TestFn;
  readonly kind: string;
  readonly durable: boolean;
  readonly openHome: OpenHome;
}

/** A store that is open and loaded. It is closed at the end of the test. */
export interface OpenedStore {
  readonly store: SessionStore;
  readonly home: StoreHome;
  /** Closes the store and opens it again without loading. */
  readonly again: () => Promise<SessionStore>;
}

/** Opens a store of a kind. */
export async function openStore(
  { openHome }: StoreKind,
  t: ExecutionContext,
  limits: Partial<StoreLimits> = {},
): Promise<OpenedStore> {
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
}

/** Limits that a test does not reach by accident. */
export const wideLimits: StoreLimits = {
  queuedMaxMessages: 1_000_000,
  queuedMaxBytes: 1024 * 1024 * 1024,
  queuedPerOwnerMaxMessages: 1_000_000,
  queuedPerOwnerMaxBytes: 1024 * 1024 * 1024,
  retainedMax: 1_000_000,
  retainedMaxBytes: 1024 * 1024 * 1024,
  pendingMaxBytes: 32 * 1024 * 1024,
};

/** A message with the fields that a test needs. */
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
    identityCreatedAtMs: undefined,
    protocolVersion: 4,
    expirySeconds: 3600,
    disconnectedAtMs: undefined,
    ...fields,
  };
}

export function deliveryOf(message: StoredMessage, fields: Partial<Delivery> = {}): Delivery {
  return { message, qos: 1, retain: false, identifiers: [], ...fields };
}

/** Resolves when all mutations are durable. */
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

export function subscription(
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
