/**
 * `flotilla cluster export`: the sessions in a database are moved back into a file.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openDurableStore } from '../../broker/store/durable-store.ts';
import type { SessionStore } from '../../broker/store/session-store.ts';
import { systemClock } from '../../core/clock.ts';
import { isFlotillaError, type FlotillaError } from '../../core/errors/flotilla-error.ts';
import { partitionName } from '../../core/partition.ts';
import { stateFolder, type StateFolder } from '../../core/state-folder.ts';
import { flotilla } from '../support/cli.ts';
import { clusterWorld } from '../support/cluster-world.ts';
import { openJournalStore } from '../support/journal-store.ts';
import {
  postgresServer,
  skipsWithoutServer,
  type PostgresServer,
} from '../support/postgres-server.ts';
import { fillStore } from '../support/store-contract-restart.ts';
import {
  committed,
  deliveryOf,
  sessionRecord,
  storedMessage,
  subscription,
  wholeQueue,
  wideLimits,
} from '../support/store-samples.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

const limitMs = 240_000;
const limits = { limits: wideLimits, clock: systemClock };
const partitions = 3;

let server: PostgresServer | undefined;
test.before(async (t) => {
  t.timeout(limitMs);
  server = await postgresServer();
});
test.after.always(() => server?.close());

interface ExportWorld {
  readonly database: PostgresServer;
  readonly url: string;
  readonly state: StateFolder;
  /** Runs `flotilla cluster …`. */
  readonly run: (...args: string[]) => ReturnType<typeof flotilla>;
  /** Opens a store of the database when its lock is free. @param index undefined: the only store */
  readonly open: (index?: number) => Promise<SessionStore>;
}

/** A state folder whose sessions are in a new database. @param count undefined: in one store */
async function exportWorld(
  t: ExecutionContext,
  database: PostgresServer,
  count?: number,
): Promise<ExportWorld> {
  const url = await database.database();
  const state = stateFolder(join(tempFolder(t), 'state'));
  await mkdir(state.root, { mode: 0o700 });
  const cluster = count === undefined ? '' : `cluster:\n  partitions: ${count}\n`;
  await writeFile(state.config, `broker:\n  database: ${url}\n${cluster}`);
  return {
    ...{ database, url, state },
    run: (...args) => flotilla(['cluster', ...args, '--state', state.root, '--json']),
    open: (index) =>
      until('the lock is free', () =>
        openJournalStore({
          ...{ path: join(tempFolder(t), 'i.sqlite'), url, roots: [], ...limits },
          ...(index === undefined || count === undefined
            ? {}
            : { partition: { name: partitionName(index), index, count } }),
        }).catch((error: unknown) => {
          if (!isFlotillaError(error, 'database-in-use')) throw error;
          return undefined;
        }),
      ),
  };
}

/** Everything that a store returns, in an order of its own. The numbers of queued messages are not compared. */
async function contentOf(store: SessionStore): Promise<unknown> {
  const { sessions, wills } = await store.load();
  const queues: Record<string, unknown> = {};
  for (const { clientId } of sessions) {
    const queue = await wholeQueue(store, clientId);
    queues[clientId] = queue.map((entry) => ({ ...entry, sequence: 0 }));
  }
  const { queuedMessages, queuedBytes, retainedMessages, retainedBytes } = store.statistics;
  const byFilter = (one: { filter: string }, other: { filter: string }): number =>
    one.filter < other.filter ? -1 : 1;
  return {
    sessions: sessions
      .map((one) => ({ ...one, subscriptions: one.subscriptions.toSorted(byFilter) }))
      .sort((one, other) => (one.clientId < other.clientId ? -1 : 1)),
    wills: wills.toSorted((one, other) => (one.clientId < other.clientId ? -1 : 1)),
    queues,
    retained: [...store.retained('#'), ...store.retained('$fleet/#')].sort((one, other) =>
      one.topic < other.topic ? -1 : 1,
    ),
    numbers: { queuedMessages, queuedBytes, retainedMessages, retainedBytes },
  };
}

async function contentOfFile(path: string): Promise<unknown> {
  const store = await openDurableStore({ path, ...limits });
  const content = await contentOf(store);
  await store.close();
  return content;
}

/** Adds sessions of many identities, which share messages, and everything else that a store has. */
async function fillFile(path: string): Promise<unknown> {
  const file = await openDurableStore({ path, ...limits });
  fillStore(file);
  const shared = storedMessage('shared', 'for all', { qos: 2, properties: Buffer.from([1, 0]) });
  const sequences: [string, number][] = [];
  for (let number = 0; number < 20; number++) {
    const identityId = `device-${number}`;
    const clientId = `${identityId}/client`;
    file.putSession(sessionRecord(clientId, { identityId, protocolVersion: 5 }));
    file.putSubscription(clientId, subscription(`only/${identityId}`, { identifier: 7 }));
    file.putSubscription(clientId, subscription('$share/all/work', { qos: 2 }));
    file.putIncoming(clientId, number + 1);
    file.putRetained(storedMessage(`retained/${number}`, identityId, { retain: true }));
    file.putWill({
      ...{ clientId, identityId, identityCreatedAtMs: 5, fingerprint: undefined },
      ...{ message: storedMessage(`will/${number}`), delaySeconds: 3, dueAtMs: undefined },
    });
  }
  file.putRetained(storedMessage('$fleet/presence/device-1', '{}', { retain: true }));
  for (let number = 0; number < 20; number++) {
    const clientId = `device-${number}/client`;
    const delivery = deliveryOf(shared, { qos: 2, identifiers: [7, 268_435_455] });
    sequences.push([clientId, file.enqueue(clientId, delivery)]);
    file.enqueue(clientId, deliveryOf(storedMessage('own', `${number}`), { retain: true }));
  }
  for (const [at, [clientId, sequence]] of sequences.entries()) {
    if (at % 3 > 0) file.markSent(clientId, sequence, 100 + at);
    if (at % 3 > 1) file.markReleased(clientId, sequence);
  }
  await file.close();
  return contentOfFile(path);
}

test('the sessions of a file that were moved into one store are written back into a file, and no broker starts on the database', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const { state, run, open } = await exportWorld(t, database);
  const { store: path, storeIndex } = state.broker;
  t.regex((await run('export')).stderr, /export-nothing/);
  const content = await fillFile(path);
  t.is((await run('import')).code, 0);
  await writeFile(storeIndex, '');

  const active = await open();
  t.teardown(() => active.close());
  t.regex((await run('export')).stderr, /database-in-use/);
  await active.close();
  const done = await until('the lock is free', async () => {
    const result = await run('export');
    return /database-in-use/.test(result.stderr) ? undefined : result;
  });
  t.is(done.code, 0, done.stderr);
  const { exported, broker } = done.json() as { exported: boolean; broker: { path: string } };
  t.true(exported);
  t.like(broker, { path, sessions: 22, wills: 22, retained: 23 });
  t.false(existsSync(storeIndex));
  t.false(existsSync(`${path}.part`));
  t.deepEqual(await contentOfFile(path), content);

  const refusal = await t.throwsAsync<FlotillaError>(open());
  t.is(refusal.code, 'store-exported');
  t.regex((await run('import')).stderr, /store-exported/);
  t.regex((await run('export')).stderr, /export-target-exists/);
  // As if the process had ended before it renamed the file.
  await rm(path);
  t.is((await run('export')).code, 0);
  t.deepEqual(await contentOfFile(path), content);
  // The same content into another folder.
  const other = stateFolder(join(tempFolder(t), 'other'));
  t.is((await run('export', '--to', other.root)).code, 0);
  t.deepEqual(await contentOfFile(other.broker.store), content);
});

test('the sessions of all partitions are written into one file, with the retained messages once', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const { state, url, run, open } = await exportWorld(t, database, partitions);
  const { store: path, folder, partitionIndexes } = state.broker;
  const content = await fillFile(path);
  t.is((await run('import')).code, 0);
  await mkdir(partitionIndexes);
  // What nodes keep for each other. One message was stored by the other partition already.
  for (let index = 0; index < partitions; index++) {
    const store = await open(index);
    await store.load();
    for (let peer = 0; peer < partitions; peer++) {
      if (peer === index) continue;
      const id = `$peer/${partitionName(peer)}`;
      store.putSession(sessionRecord(id));
      store.putSubscription(id, subscription('only/device-1'));
      store.putIncoming(id, 9);
      const sequence = store.enqueue(
        id,
        deliveryOf(storedMessage('t', 'x', { qos: 2 }), { qos: 2 }),
      );
      store.markSent(id, sequence, 4);
      store.markReleased(id, sequence);
    }
    await store.close();
  }

  // The last statement of the transaction is refused: nothing has changed, and the nodes can start.
  await database.sql(
    url,
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
     CREATE TRIGGER refuse BEFORE UPDATE ON flotilla.broker_store FOR EACH ROW
       WHEN (NEW.store = 'p2' AND NEW.exported_at IS NOT NULL) EXECUTE FUNCTION refuse()`,
  );
  t.not((await run('export')).code, 0);
  t.false(existsSync(path));
  t.false(existsSync(`${path}.part`));
  t.true(existsSync(partitionIndexes));
  await (await open(0)).close();
  await database.sql(url, 'DROP TRIGGER refuse ON flotilla.broker_store');

  const done = await until('the lock is free', async () => {
    const result = await run('export');
    return /database-in-use/.test(result.stderr) ? undefined : result;
  });
  t.is(done.code, 0, done.stderr);
  const { broker } = done.json() as { broker: object };
  t.like(broker, { path, partitions, sessions: 22, wills: 22, retained: 23 });
  t.deepEqual(await contentOfFile(path), content);
  t.false(existsSync(partitionIndexes));
  t.true(existsSync(folder));
  for (let index = 0; index < partitions; index++) {
    t.is((await t.throwsAsync<FlotillaError>(open(index))).code, 'store-exported');
  }
});

test('nothing is exported while a message waits for another partition, or when two identities have the same client id', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const { state, run, open } = await exportWorld(t, database, partitions);
  const { store: path } = state.broker;
  const change = async (index: number, changed: (store: SessionStore) => void): Promise<void> => {
    const store = await open(index);
    await store.load();
    changed(store);
    await committed(store);
    await store.close();
  };
  const refusal = (): Promise<string> =>
    until('the lock is free', async () => {
      const { stderr } = await run('export');
      return /database-in-use/.test(stderr) ? undefined : stderr;
    });
  const id = '$peer/p2';
  let sequence = 0;
  await change(1, (store) => {
    store.putSession(sessionRecord(id));
    store.enqueue(id, deliveryOf(storedMessage('t')));
    sequence = store.enqueue(id, deliveryOf(storedMessage('t')));
    store.markSent(id, sequence, 1);
  });
  t.regex(await refusal(), /2 from p1 to p2[^]*export-undelivered/);
  t.false(existsSync(path));

  await change(1, (store) => {
    store.dequeue(id, sequence - 1);
    store.dequeue(id, sequence);
    store.putSession(sessionRecord('same', { identityId: 'device-1' }));
  });
  await change(2, (store) => {
    store.putSession(sessionRecord('same', { identityId: 'device-2' }));
  });
  t.regex(await refusal(), /client id "same"[^]*export-client-id-twice/);
  t.false(existsSync(path));
  t.false(existsSync(`${path}.part`));

  await change(2, (store) => store.deleteSession('same'));
  t.is(await refusal(), '');
  t.true(existsSync(path));
});

test('a cluster that is stopped under load is exported, with everything that was acknowledged', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const world = await clusterWorld(t, database, { nodes: 2, partitions });
  await world.settled();
  const kept = {
    ...{ clean: false, protocolVersion: 5 as const },
    properties: { sessionExpiryInterval: 3600 },
  };
  const subscriber = world.idIn(1, 'backend');
  const identity = world.device(subscriber, 'service');
  const client = await world.mqtt(identity, 0, { clientId: subscriber, ...kept });
  await client.subscribeAsync('devices/#', { qos: 2 });
  await client.endAsync();

  const acknowledged = new Set<string>();
  for (let partition = 0; partition < partitions; partition++) {
    const id = world.idIn(partition, 'publisher');
    const publisher = await world.mqtt(world.device(id), partition % 2, { clientId: id });
    const publish = (number: number): void => {
      const topic = `devices/${id}/${number}`;
      const qos = number % 2 === 0 ? 1 : 2;
      publisher.publish(topic, 'x', { qos, retain: number % 5 === 0 }, (error) => {
        if (!error) acknowledged.add(topic);
        if (publisher.connected) publish(number + 10);
      });
    };
    for (let number = 0; number < 10; number++) publish(number);
  }
  await until('messages are acknowledged', () => acknowledged.size > 300);
  await Promise.all(world.members.map((member) => member.stop()));

  const { broker } = stateFolder(world.members[0]!.state);
  const args = ['cluster', 'export', '--state', world.members[0]!.state];
  const done = await flotilla(args, { FLOTILLA_BROKER__DATABASE: world.url });
  t.is(done.code, 0, done.stderr);
  const store = await openDurableStore({ path: broker.store, ...limits });
  const { sessions } = await store.load();
  const queue = await wholeQueue(store, subscriber);
  const retained = new Set([...store.retained('devices/#')].map(({ topic }) => topic));
  await store.close();
  t.deepEqual(
    sessions.map(({ clientId }) => clientId),
    [subscriber],
  );
  const queued = new Set(queue.map(({ message }) => message.topic));
  t.deepEqual(
    [...acknowledged].filter((topic) => !queued.has(topic)),
    [],
  );
  const isRetained = (topic: string): boolean => Number(topic.split('/')[2]) % 5 === 0;
  t.deepEqual(
    [...acknowledged].filter((topic) => isRetained(topic) && !retained.has(topic)),
    [],
  );
});
