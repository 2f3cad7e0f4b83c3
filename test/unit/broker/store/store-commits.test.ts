import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as nextTurn } from 'node:timers/promises';
import test from 'ava';
import { systemClock } from '../../../../core/clock.ts';
import { isFlotillaError, type FlotillaError } from '../../../../core/errors/flotilla-error.ts';
import { openDurableStore } from '../../../../broker/store/durable-store.ts';
import type { SessionStore } from '../../../../broker/store/session-store.ts';
import {
  committed,
  deliveryOf,
  sessionRecord,
  storedMessage,
  wholeQueue,
  wideLimits,
} from '../../../support/store-samples.ts';
import { spawnNode } from '../../../support/child.ts';
import { tempFolder } from '../../../support/temp-folder.ts';
import { until } from '../../../support/until.ts';

const support = new URL('../../../support/', import.meta.url);
const gated = new URL('store-gated-worker.ts', support);
const full = new URL('store-full-worker.ts', support);
const failing = new URL('store-failing-worker.ts', support);

const open = (path: string, worker?: URL): Promise<SessionStore> =>
  openDurableStore({
    path,
    limits: { ...wideLimits, pendingMaxBytes: 64 * 1024 },
    clock: systemClock,
    ...(worker === undefined ? {} : { worker }),
  });

/** Makes the disk of a store stop responding. Returns a function that ends this. */
function stopDisk(path: string): () => void {
  writeFileSync(`${path}.gate`, '');
  return () => rmSync(`${path}.gate`, { force: true });
}

test('a disk that does not respond blocks neither the event loop nor later mutations', async (t) => {
  const path = join(tempFolder(t), 'store.sqlite');
  const store = await open(path, gated);
  t.teardown(() => store.close());
  store.putSession(sessionRecord('a'));
  await committed(store);
  const before = store.statistics.transactions;
  const resumeDisk = stopDisk(path);
  t.teardown(resumeDisk);
  let done = 0;
  for (let index = 0; index < 400; index++) {
    store.enqueue('a', deliveryOf(storedMessage('t', `${index}`)));
    store.afterCommit(() => done++);
    await nextTurn();
  }
  t.is(done, 0, '400 turns ran, and nothing is durable');
  resumeDisk();
  await until('all committed', () => done === 400);
  // One batch was being written, one waited, and the third contains everything else.
  const transactions = store.statistics.transactions - before;
  t.true(transactions <= 3, `400 turns made ${transactions} transactions`);
  t.is((await wholeQueue(store, 'a')).length, 400);
});

test('a message that is queued and acknowledged while the disk is busy is never written', async (t) => {
  const path = join(tempFolder(t), 'store.sqlite');
  const store = await open(path, gated);
  const resumeDisk = stopDisk(path);
  t.teardown(resumeDisk);
  store.putSession(sessionRecord('a'));
  store.afterCommit(() => undefined); // The first batch is in flight.
  store.putIncoming('a', 1);
  store.afterCommit(() => undefined); // And a second one waits.
  const message = storedMessage('t', Buffer.alloc(10_000));
  const sequences = Array.from({ length: 5 }, () => store.enqueue('a', deliveryOf(message)));
  await nextTurn();
  for (const sequence of sequences) store.dequeue('a', sequence);
  t.is(store.queueOf('a').messages, 0);
  resumeDisk();
  await store.close();
  const again = await open(path);
  t.teardown(() => again.close());
  t.is(again.statistics.queuedMessages, 0);
  again.putSession(sessionRecord('b'));
  t.is(again.enqueue('b', deliveryOf(storedMessage('t'))), 1, 'no sequence was used');
});

test('the store is congested while too many bytes wait for the disk', async (t) => {
  const path = join(tempFolder(t), 'store.sqlite');
  const store = await open(path, gated);
  t.teardown(() => store.close());
  const resumeDisk = stopDisk(path);
  t.teardown(resumeDisk);
  store.putSession(sessionRecord('a'));
  t.false(store.congested);
  const payload = Buffer.alloc(10_000);
  for (let count = 0; count < 7; count++) {
    store.enqueue('a', deliveryOf(storedMessage('t', payload)));
  }
  t.true(store.congested);
  t.true(store.pending);
  resumeDisk();
  await committed(store);
  t.false(store.congested);
  t.is(store.statistics.pendingBytes, 0);
});

test('after a write error nothing is acknowledged any more, and committed data is kept', async (t) => {
  const path = join(tempFolder(t), 'store.sqlite');
  const store = await open(path, failing);
  store.putSession(sessionRecord('a'));
  await committed(store);
  store.enqueue('a', deliveryOf(storedMessage('t', 'kept')));
  await committed(store);
  const results: (FlotillaError | undefined)[] = [];
  for (const payload of ['lost', 'lost too']) {
    store.enqueue('a', deliveryOf(storedMessage('t', payload)));
    store.afterCommit((error) => results.push(error));
    await nextTurn();
  }
  await until('both callbacks', () => results.length === 2);
  // Further mutations do no harm.
  for (let count = 0; count < 1000; count++) {
    const sequence = store.enqueue('a', deliveryOf(storedMessage('t', 'x'.repeat(100))));
    store.markSent('a', sequence, 1);
    if (count % 3 === 0) store.dequeue('a', sequence);
  }
  store.afterCommit((error) => results.push(error));
  t.is(results.length, 3);
  for (const error of results) t.true(isFlotillaError(error, 'store-write-failed'), String(error));
  t.true(store.pending);
  await t.throwsAsync(store.readQueue('a', 0, 10), { code: 'store-write-failed' });
  await store.close();
  const again = await open(path);
  t.teardown(() => again.close());
  t.deepEqual(
    (await wholeQueue(again, 'a')).map(({ message }) => message.payload.toString()),
    ['kept'],
  );
});

test('a process that is killed while it writes keeps every committed batch, without gaps', async (t) => {
  const path = join(tempFolder(t), 'store.sqlite');
  for (let round = 1; round <= 3; round++) {
    const child = spawnNode(t, [new URL('store-kill-child.ts', support).pathname, path]);
    await child.line((line) => line.startsWith('committed'));
    await until('some more commits', () => child.stdout().length > 400 * round);
    const { stdout, signal } = await child.stop('SIGKILL');
    t.is(signal, 'SIGKILL');
    const lines = stdout.split('\n').filter((line) => /^committed \d+$/.test(line));
    const reported = Number(lines.at(-1)?.split(' ')[1]);
    const store = await open(path);
    const queue = await wholeQueue(store, 'a', 1000);
    t.true(queue.length >= reported, `${queue.length} of at least ${reported}`);
    t.deepEqual(
      queue.map(({ message }) => Number(message.payload.toString())),
      queue.map((_entry, index) => index + 1),
    );
    await store.close();
  }
});

test('shared message content is deleted with its last receiver', async (t) => {
  const path = join(tempFolder(t), 'store.sqlite');
  const store = await open(path);
  const ids = ['a', 'b', 'c'];
  for (const id of ids) store.putSession(sessionRecord(id));
  const shared = storedMessage('t', 'shared');
  const sequences = ids.map((id) => store.enqueue(id, deliveryOf(shared)));
  await committed(store);
  for (const [index, id] of ids.entries()) {
    store.dequeue(id, sequences[index]!);
    await committed(store);
  }
  await store.close();
  const database = new DatabaseSync(path);
  t.is(database.prepare('SELECT count(*) AS rows FROM body').get()?.['rows'], 0);
  t.is(database.prepare('SELECT count(*) AS rows FROM queue').get()?.['rows'], 0);
  database.close();
});

test.serial('a start with 100,000 queued messages takes less than 2 s of CPU', async (t) => {
  const path = join(tempFolder(t), 'store.sqlite');
  const store = await open(path);
  for (let client = 0; client < 100; client++) store.putSession(sessionRecord(`device-${client}`));
  for (let index = 0; index < 100_000; index++) {
    store.enqueue(`device-${index % 100}`, deliveryOf(storedMessage('t', 'x'.repeat(100))));
    if (index % 5000 === 0) await committed(store);
  }
  await store.close();
  const startMs = performance.now();
  const before = process.cpuUsage();
  const again = await open(path);
  const { sessions } = await again.load();
  const page = await again.readQueue('device-99', 0, 100);
  const tookMs = performance.now() - startMs;
  // CPU time of all threads of this process: other processes must not decide the result.
  const { user, system } = process.cpuUsage(before);
  const cpuMs = (user + system) / 1000;
  t.log(`${Math.round(cpuMs)} ms of CPU in ${Math.round(tookMs)} ms`);
  t.true(cpuMs < 2000, `${cpuMs} ms`);
  t.is(sessions.length, 100);
  t.is(page.length, 100);
  t.is(again.statistics.queuedMessages, 100_000);
  await again.close();
});

test('a full disk keeps what is not committed, and everything is committed when there is space', async (t) => {
  const path = join(tempFolder(t), 'store.sqlite');
  const store = await open(path, full);
  store.putSession(sessionRecord('a'));
  await committed(store);
  writeFileSync(`${path}.full`, '');
  t.teardown(() => rmSync(`${path}.full`, { force: true }));
  const results: (FlotillaError | undefined)[] = [];
  for (const payload of ['one', 'two', 'three', 'four']) {
    store.enqueue('a', deliveryOf(storedMessage('t', payload)));
    store.afterCommit((error) => results.push(error));
    await nextTurn();
  }
  await until('the store has stalled', () => store.stalled);
  t.false(store.putRetained(storedMessage('r', 'x')) === undefined);
  t.is(results.length, 0);
  const reading = wholeQueue(store, 'a');
  rmSync(`${path}.full`);
  await until('all are committed', () => results.length === 4 || undefined);
  t.deepEqual(results, [undefined, undefined, undefined, undefined]);
  t.is(store.stalled, undefined);
  t.is((await reading).length, 4);
  writeFileSync(`${path}.full`, '');
  store.enqueue('a', deliveryOf(storedMessage('t', 'never')));
  store.afterCommit(() => undefined);
  await until('the store has stalled', () => store.stalled);
  await store.close();
  const again = await open(path);
  t.teardown(() => again.close());
  t.deepEqual(
    (await wholeQueue(again, 'a')).map(({ message }) => message.payload.toString()),
    ['one', 'two', 'three', 'four'],
  );
});
