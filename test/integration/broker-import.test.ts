/**
 * `flotilla cluster import`: the sessions of a file are moved into a database.
 *
 * @module
 */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { systemClock } from '../../core/clock.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { partitionName, partitionOf } from '../../core/partition.ts';
import { openDurableStore } from '../../broker/store/durable-store.ts';
import { flotilla } from '../support/cli.ts';
import { openJournalStore } from '../support/journal-store.ts';
import { postgresServer, skipsWithoutServer } from '../support/postgres-server.ts';
import { assertFilled, fillStore } from '../support/store-contract-restart.ts';
import {
  deliveryOf,
  sessionRecord,
  storedMessage,
  subscription,
  wholeQueue,
  wideLimits,
} from '../support/store-samples.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

test('the sessions of a file are counted, moved into a database once, and complete there', async (t) => {
  const server = skipsWithoutServer(t, await postgresServer());
  if (server === undefined) return;
  t.timeout(120_000);
  t.teardown(() => server.close());
  const url = await server.database();
  const state = stateFolder(join(tempFolder(t), 'state'));
  await mkdir(state.root, { mode: 0o700 });
  await writeFile(state.config, `broker:\n  database: ${url}\n`);
  const { store: path } = state.broker;
  const limits = { limits: wideLimits, clock: systemClock };
  const file = await openDurableStore({ path, ...limits });
  const expected = fillStore(file);
  await file.close();
  const run = (...more: string[]): ReturnType<typeof flotilla> =>
    flotilla(['cluster', 'import', '--state', state.root, '--json', ...more]);

  const dry = await run('--dry-run');
  t.is(dry.code, 0, dry.stderr);
  const { imported, broker: counts } = dry.json() as {
    imported: boolean;
    broker: { sessions: number; queued: number };
  };
  t.false(imported);
  t.true(counts.sessions > 0 && counts.queued > 0);
  t.true(existsSync(path));

  const done = await run();
  t.is(done.code, 0, done.stderr);
  const { sessions } = counts;
  t.like(done.json(), { imported: true, broker: { sessions, moved: `${path}.imported` } });
  t.false(existsSync(path));
  const openIt = async (): ReturnType<typeof openJournalStore> =>
    until('the lock is free', () =>
      openJournalStore({ path: join(tempFolder(t), 'i.sqlite'), url, roots: [], ...limits }).catch(
        (error: unknown) => {
          if (!isFlotillaError(error, 'database-in-use')) throw error;
          return undefined;
        },
      ),
    );
  const moved = await openIt();
  await assertFilled(t, moved, await moved.load(), expected);
  await moved.close();

  // As if the process had ended before it renamed the file.
  await rename(`${path}.imported`, path);
  t.is((await run()).code, 0);
  t.false(existsSync(path));

  const other = await openDurableStore({ path, ...limits });
  other.putSession(sessionRecord('other'));
  await other.close();
  const refused = await run();
  t.is(refused.code, 1);
  t.regex(refused.stderr, /import-refused/);
  t.true(existsSync(path));
  const again = await openIt();
  await assertFilled(t, again, await again.load(), expected);
  await again.close();
});

test('the sessions of a file are divided among the partitions of a cluster, all of them or none', async (t) => {
  const server = skipsWithoutServer(t, await postgresServer());
  if (server === undefined) return;
  t.timeout(120_000);
  t.teardown(() => server.close());
  const url = await server.database();
  const state = stateFolder(join(tempFolder(t), 'state'));
  await mkdir(state.root, { mode: 0o700 });
  const count = 3;
  const configure = (partitions: number): Promise<void> =>
    writeFile(state.config, `broker:\n  database: ${url}\ncluster:\n  partitions: ${partitions}\n`);
  await configure(count);
  const { store: path } = state.broker;
  const limits = { limits: wideLimits, clock: systemClock };
  const run = (): ReturnType<typeof flotilla> =>
    flotilla(['cluster', 'import', '--state', state.root, '--json']);
  const openPart = async (index: number): ReturnType<typeof openJournalStore> =>
    until('the lock is free', () =>
      openJournalStore({
        ...{ path: join(tempFolder(t), 'i.sqlite'), url, roots: [], ...limits },
        partition: { name: partitionName(index), index, count },
      }).catch((error: unknown) => {
        if (!isFlotillaError(error, 'database-in-use')) throw error;
        return undefined;
      }),
    );

  const identities = Array.from({ length: 20 }, (_, at) => `device-${at}`);
  const shared = storedMessage('shared', 'for all');
  const file = await openDurableStore({ path, ...limits });
  for (const identity of identities) {
    const client = `${identity}/client`;
    file.putSession({ ...sessionRecord(client), identityId: identity });
    file.putSubscription(client, subscription(`only/${identity}`));
    file.putIncoming(client, 7);
    file.enqueue(client, deliveryOf(storedMessage('own', identity)));
    file.enqueue(client, deliveryOf(shared));
    file.putRetained(storedMessage(`retained/${identity}`, identity, { retain: true }));
  }
  await file.close();

  const done = await run();
  t.is(done.code, 0, done.stderr);
  t.false(existsSync(path));
  const found: string[] = [];
  for (let index = 0; index < count; index++) {
    const store = await openPart(index);
    const { sessions } = await store.load();
    t.is(store.retainedCount, identities.length);
    t.is(store.statistics.queuedMessages, 2 * sessions.length);
    for (const { clientId, identityId, subscriptions, incoming } of sessions) {
      t.is(partitionOf(identityId, count), index);
      t.deepEqual(
        subscriptions.map(({ filter }) => filter),
        [`only/${identityId}`],
      );
      t.deepEqual(incoming, [7]);
      const queue = await wholeQueue(store, clientId);
      t.deepEqual(
        queue.map(({ message }) => message.payload.toString()),
        [identityId, 'for all'],
      );
      found.push(identityId);
    }
    await store.close();
  }
  t.deepEqual(found.sort(), identities.sort());

  // As if the process had ended before it renamed the file.
  await rename(`${path}.imported`, path);
  t.is((await run()).code, 0);
  t.false(existsSync(path));

  // One partition has sessions: nothing is written into the others.
  await server.sql(
    url,
    "DELETE FROM flotilla.broker_row WHERE store <> 'p1'; UPDATE flotilla.broker_store SET imported = NULL",
  );
  await rename(`${path}.imported`, path);
  const refused = await run();
  t.is(refused.code, 1);
  t.regex(refused.stderr, /import-refused/);
  const rows = await server.sql(url, "SELECT FROM flotilla.broker_row WHERE store <> 'p1'");
  t.is(rows.length, 0);

  await configure(count + 1);
  const differs = await run();
  t.is(differs.code, 1);
  t.regex(differs.stderr, /cluster-partitions-differ/);
  t.true(existsSync(path));
});
