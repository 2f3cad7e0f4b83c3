/**
 * The session store with its journal in PostgreSQL, when threads, databases and journals fail.
 *
 * @module
 */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { systemClock } from '../../core/clock.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { QueuedMessage, SessionStore } from '../../broker/store/session-store.ts';
import { openJournalStore, type JournalStoreOptions } from '../support/journal-store.ts';
import {
  postgresServer,
  skipsWithoutServer,
  type PostgresServer,
} from '../support/postgres-server.ts';
import { socketSwitch } from '../support/socket-switch.ts';
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

/** Opens the store of a database in a new folder: everything comes from the database. */
async function openIn(
  t: ExecutionContext,
  url: string,
  options: Partial<JournalStoreOptions> = {},
): Promise<SessionStore> {
  const path = join(tempFolder(t), 'broker', 'index.sqlite');
  const store = await openJournalStore({
    ...{ path, url, limits: wideLimits, clock: systemClock },
    ...options,
  });
  t.teardown(() => store.close());
  return store;
}

const storeRow = 'SELECT term, writes, checkpoint FROM flotilla.broker_store';
const journalRows = 'SELECT count(*)::int AS n FROM flotilla.broker_journal';

/** Queues numbered messages until it is stopped, and dequeues all but the last few. */
class Load {
  readonly #store: SessionStore;
  #last: number;
  #isStopped = false;
  readonly #sequences: number[];
  /** The last message whose commit was reported. */
  acknowledged: number;

  /** @param queued what is in the queue that is dequeued */
  constructor(store: SessionStore, last: number, queued: readonly QueuedMessage[] = []) {
    this.#store = store;
    this.#sequences = queued.map(({ sequence }) => sequence);
    this.#last = last;
    this.acknowledged = last;
    this.#turn();
  }

  /** The last message that was queued. */
  get last(): number {
    return this.#last;
  }

  stop(): void {
    this.#isStopped = true;
  }

  readonly #turn = (): void => {
    if (this.#isStopped) return;
    for (let count = 0; count < 5; count++) {
      this.#last++;
      const message = storedMessage('t', `${this.#last}`, { retain: true });
      this.#sequences.push(this.#store.enqueue('a', deliveryOf(message)));
      this.#store.enqueue('b', deliveryOf(message));
      this.#store.putRetained(message);
    }
    while (this.#sequences.length > 50) this.#store.dequeue('a', this.#sequences.shift() ?? 0);
    const said = this.#last;
    this.#store.afterCommit((error) => {
      if (error === undefined) this.acknowledged = said;
    });
    if (this.#store.congested) this.#store.afterCommit(this.#turn);
    else setImmediate(this.#turn);
  };
}

test('a writing thread that ends at any time leaves a prefix with everything that was acknowledged, also during checkpoints', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const times = { checkpointMs: 20, checkpointBytes: 20_000 };
  let least = 0;
  let last = 0;
  for (let round = 0; round < 12; round++) {
    const abandon = new AbortController();
    const store = await until('the former thread has released its lock', () =>
      openIn(t, url, { times, abandon: abandon.signal }).catch((error: unknown) => {
        if (!isFlotillaError(error, 'database-in-use')) throw error;
        return undefined;
      }),
    );
    const { sessions } = await store.load();
    if (round === 0) {
      for (const id of ['a', 'b']) store.putSession(sessionRecord(id));
      await committed(store);
    } else t.is(sessions.length, 2);
    const all = await wholeQueue(store, 'b', 500);
    t.deepEqual(
      all.map(({ message }) => Number(message.payload.toString())),
      all.map((_one, index) => index + 1),
      'no gap',
    );
    t.true(all.length >= least, `${all.length} of ${least} that were acknowledged`);
    t.true(all.length <= last);
    const few = await wholeQueue(store, 'a');
    t.is(few.length, Math.min(50, all.length), 'the same prefix in all tables');
    const [retained] = [...store.retained('t')];
    t.is(retained?.payload.toString(), all.length === 0 ? undefined : `${all.length}`);
    const load = new Load(store, all.length, few);
    const enough = all.length + 40 + 97 * round;
    await until('the load runs', () => load.acknowledged > enough);
    load.stop();
    abandon.abort();
    least = load.acknowledged;
    last = load.last;
  }
  const [row] = await database.sql(url, storeRow);
  t.true(Number(row?.['checkpoint']) > 0, 'there were checkpoints');
  t.is(Number(row?.['term']), 12);
});

test('a row that is missing in the journal, at its end or behind it, is an error and not a shorter journal', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const store = await openIn(t, url);
  store.putSession(sessionRecord('a'));
  for (let count = 1; count <= 5; count++) {
    store.enqueue('a', deliveryOf(storedMessage('t', `${count}`)));
    await committed(store);
  }
  await store.close();
  const [row] = await database.sql(url, storeRow);
  const writes = Number(row?.['writes']);
  for (const [missing, detail] of [
    [3, /row 3 is missing, row 4 is there/],
    [writes, new RegExp(`row ${writes} of ${writes} is missing`)],
  ] as const) {
    await database.sql(
      url,
      `CREATE TABLE kept AS SELECT * FROM flotilla.broker_journal WHERE seq = ${missing};
       DELETE FROM flotilla.broker_journal WHERE seq = ${missing}`,
    );
    const error = await t.throwsAsync(openIn(t, url));
    t.true(isFlotillaError(error, 'journal-damaged'));
    t.regex(error.message, detail);
    await database.sql(
      url,
      'INSERT INTO flotilla.broker_journal SELECT * FROM kept; DROP TABLE kept',
    );
  }
  await database.sql(
    url,
    `INSERT INTO flotilla.broker_journal VALUES ('main', ${writes + 1}, 1, '')`,
  );
  t.true(isFlotillaError(await t.throwsAsync(openIn(t, url)), 'journal-damaged'));
  await database.sql(url, `DELETE FROM flotilla.broker_journal WHERE operations = ''`);
  const again = await openIn(t, url);
  await again.load();
  t.is((await wholeQueue(again, 'a')).length, 5);
});

test('a database that is killed under load and starts again loses nothing, and the store continues without a restart', async (t) => {
  const database = skipsWithoutServer(t, await postgresServer());
  if (database === undefined) return;
  t.teardown(() => database.close());
  t.timeout(limitMs);
  const url = await database.database();
  const stalls: (string | undefined)[] = [];
  const times = { checkpointMs: 100, checkpointBytes: 50_000 };
  const store = await openIn(t, url, { times, stallChanged: (reason) => stalls.push(reason) });
  await store.load();
  for (const id of ['a', 'b']) store.putSession(sessionRecord(id));
  const load = new Load(store, 0);
  for (let round = 1; round <= 3; round++) {
    const before = load.acknowledged;
    await until('the load runs', () => load.acknowledged > before + 200);
    await database.kill();
    if (round === 2) {
      // Nothing more is queued, so that only the missing connection can be noticed.
      load.stop();
      await until('the store says so', () => store.stalled !== undefined);
      t.regex(store.stalled ?? '', /database/);
    }
    await database.start();
    if (round === 2) {
      await until('the store says that it is over', () => store.stalled === undefined);
      t.is(stalls.at(-1), undefined);
      break;
    }
  }
  await committed(store);
  t.is(load.acknowledged, load.last);
  await store.close();
  const again = await openIn(t, url);
  await again.load();
  t.is((await wholeQueue(again, 'b', 500)).length, load.last);
});

for (const [side, outcome] of [
  ['server', 'took effect'],
  ['client', 'was lost'],
] as const) {
  test(`an append whose connection ends and that ${outcome} is acknowledged once it is known, and is in the journal once`, async (t) => {
    const database = skipsWithoutServer(t, server);
    if (database === undefined) return;
    t.timeout(limitMs);
    const url = await database.database();
    const proxy = await socketSwitch(t, database.folder);
    const store = await openIn(
      t,
      url.replace(/host=.*/, `host=${encodeURIComponent(proxy.folder)}`),
    );
    await store.load();
    store.putSession(sessionRecord('a'));
    await committed(store);
    const [before] = await database.sql(url, journalRows);
    const held = proxy.lose(side);
    store.enqueue('a', deliveryOf(storedMessage('t', 'once')));
    let isResolved = false;
    const done = committed(store).finally(() => (isResolved = true));
    await held;
    t.false(isResolved, 'it is not acknowledged while its outcome is not known');
    if (side === 'server') {
      await until('the row is there', async () => {
        const [now] = await database.sql(url, journalRows);
        return Number(now?.['n']) === Number(before?.['n']) + 1;
      });
    }
    proxy.cut();
    await done;
    const [after] = await database.sql(url, journalRows);
    t.is(Number(after?.['n']), Number(before?.['n']) + 1);
    await store.close();
    const again = await openIn(t, url);
    await again.load();
    t.is((await wholeQueue(again, 'a')).length, 1);
  });
}

test('a broker that another one has replaced writes nothing more and ends, also while it is idle', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const failed = Promise.withResolvers<Error>();
  const former = await openIn(t, url, { failed: failed.resolve, times: { checkpointMs: 1 } });
  await former.load();
  former.putSession(sessionRecord('a'));
  await committed(former);
  t.true(isFlotillaError(await t.throwsAsync(openIn(t, url)), 'database-in-use'));
  // Another session takes the lock and begins a term while the connection of the first one is lost.
  await database.sql(
    url,
    `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
     SELECT pg_advisory_lock(x'666c6f74'::int, 2);
     UPDATE flotilla.broker_store SET term = term + 1;
     INSERT INTO flotilla.broker_term SELECT store, term, 'other', now(), writes
       FROM flotilla.broker_store`,
  );
  const [before] = await database.sql(url, storeRow);
  former.putSession(sessionRecord('b'));
  t.true(isFlotillaError(await t.throwsAsync(committed(former)), 'database-fenced'));
  t.true(isFlotillaError(await failed.promise, 'database-fenced'));
  t.deepEqual(await database.sql(url, storeRow), [before], 'neither journal nor checkpoint');
  const next = await openIn(t, url);
  t.is((await next.load()).sessions.length, 1);
});

test('the sessions of another fleet are not touched', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const first = await openIn(t, url, { roots: ['one'] });
  first.putSession(sessionRecord('a'));
  await first.close();
  const error = await t.throwsAsync(openIn(t, url, { roots: ['other'] }));
  t.true(isFlotillaError(error, 'database-ca-differs'));
  // While the root is replaced, a broker trusts both.
  const both = await until('the refused one has released its lock', () =>
    openIn(t, url, { roots: ['one', 'next'] }).catch(() => undefined),
  );
  t.is((await both.load()).sessions.length, 1);
});
