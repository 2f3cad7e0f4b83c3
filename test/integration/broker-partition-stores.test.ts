/**
 * The stores of the partitions of a cluster, beside each other in one database.
 *
 * @module
 */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { partitionName } from '../../core/partition.ts';
import type { SessionStore } from '../../broker/store/session-store.ts';
import { systemClock } from '../../core/clock.ts';
import { isFlotillaError, type FlotillaError } from '../../core/errors/flotilla-error.ts';
import { openJournalStore, type JournalStoreOptions } from '../support/journal-store.ts';
import {
  postgresServer,
  skipsWithoutServer,
  type PostgresServer,
} from '../support/postgres-server.ts';
import {
  committed,
  deliveryOf,
  sessionRecord,
  storedMessage,
  wholeQueue,
  wideLimits,
} from '../support/store-samples.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

const limitMs = 240_000;

let server: PostgresServer | undefined;
test.before(async (t) => {
  t.timeout(limitMs);
  server = await postgresServer();
});
test.after.always(() => server?.close());

type Partition = NonNullable<JournalStoreOptions['partition']>;

function partition(index: number, count = 4): Partition {
  return { name: partitionName(index), index, count };
}

/** Opens a store in a new folder, when the lock of a former one is free. */
function openIn(
  t: ExecutionContext,
  url: string,
  options: Partial<JournalStoreOptions>,
): Promise<SessionStore> {
  return until('the lock is free', async () => {
    const path = join(tempFolder(t), 'broker', 'index.sqlite');
    try {
      const store = await openJournalStore({
        ...{ path, url, limits: wideLimits, clock: systemClock },
        ...options,
      });
      t.teardown(() => store.close());
      await store.load();
      return store;
    } catch (error) {
      if (!isFlotillaError(error, 'database-in-use')) throw error;
      return undefined;
    }
  });
}

function refusalOf(
  t: ExecutionContext,
  url: string,
  options: Partial<JournalStoreOptions>,
): Promise<FlotillaError | undefined> {
  return t.throwsAsync<FlotillaError>(openIn(t, url, options));
}

test('each partition has a store of its own, with its own term, and continues with it after checkpoints', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const times = { checkpointMs: 20, checkpointBytes: 2000 };
  const indexes = [0, 1, 3];
  const texts = ['one', 'two', 'three'];
  for (const text of texts) {
    const stores = await Promise.all(
      indexes.map((index) => openIn(t, url, { partition: partition(index), times })),
    );
    for (const [at, store] of stores.entries()) {
      const client = `client-${at}`;
      if (text === 'one') store.putSession(sessionRecord(client));
      const message = storedMessage('t', `${text} ${at}`, { retain: true });
      store.enqueue(client, deliveryOf(message));
      store.putRetained(message);
      await committed(store);
    }
    await Promise.all(stores.map((store) => store.close()));
  }
  for (const [at, index] of indexes.entries()) {
    const store = await openIn(t, url, { partition: partition(index) });
    const queue = await wholeQueue(store, `client-${at}`);
    t.deepEqual(
      queue.map(({ message }) => message.payload.toString()),
      texts.map((text) => `${text} ${at}`),
    );
    t.is([...store.retained('t')][0]?.payload.toString(), `three ${at}`);
  }
  const rows = await database.sql(
    url,
    'SELECT store, term::int FROM flotilla.broker_store ORDER BY store',
  );
  t.deepEqual(
    rows,
    ['p0', 'p1', 'p3'].map((store) => ({ store, term: 4 })),
  );
  const locks = await database.sql(
    url,
    `SELECT objid::int AS lock FROM pg_locks WHERE locktype = 'advisory' AND granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1`,
  );
  t.deepEqual(
    locks.map(({ lock }) => lock),
    [16, 17, 19],
  );
});

test('two brokers cannot have the same partition', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  await openIn(t, url, { partition: partition(2), instance: 'the first' });
  const path = join(tempFolder(t), 'broker', 'index.sqlite');
  const second = openJournalStore({
    ...{ path, url, limits: wideLimits, clock: systemClock, partition: partition(2) },
  });
  const error = await t.throwsAsync<FlotillaError>(second);
  t.is(error.code, 'database-in-use');
  t.is(error.detail, 'the first');
});

test('the first partition decides how many there are, also when all begin at the same time', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const opened = await Promise.allSettled(
    [4, 5, 6].map((count, index) => openIn(t, url, { partition: partition(index, count) })),
  );
  t.is(opened.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const one of opened) {
    if (one.status === 'rejected') {
      t.true(isFlotillaError(one.reason, 'cluster-partitions-differ'), String(one.reason));
    }
  }
  const [row] = await database.sql(url, 'SELECT partitions FROM flotilla.cluster');
  const settled = Number(row?.['partitions']);
  const refused = await refusalOf(t, url, { partition: partition(3, settled + 1) });
  t.is(refused?.code, 'cluster-partitions-differ');
  t.is(
    refused?.detail,
    `the sessions have ${settled} partitions, cluster.partitions is ${settled + 1}`,
  );
});

test('a database has either one store or partitions', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const whole = await openIn(t, url, {});
  const during = await refusalOf(t, url, { partition: partition(0) });
  t.is(during?.code, 'store-undivided');
  t.is(during?.detail, 'a broker without partitions is active');
  await whole.close();
  // It has no sessions yet.
  const divided = await until('the lock is free', () =>
    openIn(t, url, { partition: partition(0) }).catch((error: unknown) => {
      if (!isFlotillaError(error, 'store-undivided')) throw error;
      return undefined;
    }),
  );
  t.is((await refusalOf(t, url, {}))?.code, 'store-divided');
  await divided.close();
  t.is((await refusalOf(t, url, {}))?.code, 'store-divided');

  const other = await database.database();
  const used = await openIn(t, other, {});
  used.putSession(sessionRecord('client'));
  await committed(used);
  await used.close();
  t.is((await refusalOf(t, other, { partition: partition(0) }))?.code, 'store-undivided');
  const again = await openIn(t, other, {});
  await committed(again);
});
