import test from 'ava';
import { appendFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Directory, FeedBroken } from '../../../../broker/feed/broker-directory.ts';
import { DirectoryFile } from '../../../../broker/feed/directory-file.ts';
import { FeedReporter } from '../../../../broker/feed/feed-reporter.ts';
import { LineSplitter } from '../../../../broker/feed/line-splitter.ts';
import { parseDeviceId } from '../../../../core/device-id.ts';
import { silentLog } from '../../../../core/log.ts';
import type { DirectoryEntry, FeedLine, FeedReport } from '../../../../core/protocol/feed.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { tempFolder } from '../../../support/temp-folder.ts';
import { until } from '../../../support/until.ts';

const entry = (id: string, group: string | null = null): DirectoryEntry => ({
  id: parseDeviceId(id),
  role: 'device',
  status: 'active',
  group,
  attributes: {},
  certificates: [],
});
const hello: FeedLine = { type: 'hello', epoch: 'e', sequence: 5, graceMs: 1 };

function filled(...ids: string[]): Directory {
  const directory = new Directory();
  directory.apply(hello);
  directory.apply({ type: 'snapshot-begin', sequence: 5 });
  for (const id of ids) directory.apply({ type: 'entry', entry: entry(id) });
  directory.apply({ type: 'snapshot-end', sequence: 5 });
  return directory;
}

test('a snapshot replaces all entries at once', (t) => {
  const directory = filled('a', 'b');
  directory.apply({ type: 'snapshot-begin', sequence: 9 });
  directory.apply({ type: 'entry', entry: entry('c') });
  t.truthy(directory.get('a'), 'the previous entries stay until the snapshot is complete');
  t.is(directory.get('c'), undefined);
  t.deepEqual(directory.apply({ type: 'snapshot-end', sequence: 9 }), {
    kind: 'identities',
    ids: 'all',
    removed: [entry('a'), entry('b')],
    sequence: 9,
  });
  t.is(directory.get('a'), undefined);
  t.is(directory.size, 1);
});

test('a name that was deleted and is used again counts as removed, in a snapshot and in a change', (t) => {
  const made = (createdAtMs: number | undefined): DirectoryEntry => ({
    ...entry('a'),
    ...(createdAtMs === undefined ? {} : { createdAtMs }),
  });
  const removed = (before: DirectoryEntry, now: DirectoryEntry): readonly string[][] => {
    const directory = filled();
    directory.apply({ type: 'change', sequence: 6, entry: before });
    const change = directory.apply({ type: 'change', sequence: 7, entry: now });
    directory.apply({ type: 'change', sequence: 8, entry: before });
    directory.apply({ type: 'snapshot-begin', sequence: 9 });
    directory.apply({ type: 'entry', entry: now });
    const snapshot = directory.apply({ type: 'snapshot-end', sequence: 9 });
    return [change, snapshot].map((one) =>
      one?.kind === 'identities' ? one.removed.map(({ id }) => id) : [],
    );
  };
  t.deepEqual(removed(made(1), made(2)), [['a'], ['a']]);
  t.deepEqual(removed(made(1), made(1)), [[], []]);
  // Stored by an older version.
  t.deepEqual(removed(made(undefined), made(2)), [[], []]);
});

test('a snapshot that repeats an entry still removes those that are missing', (t) => {
  const directory = filled('a', 'b');
  directory.apply({ type: 'snapshot-begin', sequence: 9 });
  directory.apply({ type: 'entry', entry: entry('a') });
  directory.apply({ type: 'entry', entry: entry('a') });
  t.like(directory.apply({ type: 'snapshot-end', sequence: 9 }), { removed: [{ id: 'b' }] });
});

test('an incomplete snapshot changes nothing', (t) => {
  const directory = filled('a');
  directory.apply({ type: 'snapshot-begin', sequence: 9 });
  directory.connectionLost();
  directory.apply(hello);
  directory.apply({ type: 'change', sequence: 6, entry: entry('b') });
  t.deepEqual([directory.size, directory.sequence], [2, 6]);
});

test('feed lines out of order are rejected', (t) => {
  const rejects = (directory: Directory, line: FeedLine): void =>
    void t.throws(() => directory.apply(line), { instanceOf: FeedBroken });
  rejects(new Directory(), { type: 'change', sequence: 1, entry: entry('a') });
  rejects(filled('a'), { type: 'change', sequence: 7, entry: entry('a') });
  rejects(filled('a'), { type: 'removed', sequence: 5, id: parseDeviceId('a') });
  rejects(filled('a'), { type: 'entry', entry: entry('a') });
  rejects(filled('a'), { type: 'snapshot-end', sequence: 6 });
  rejects(filled('a'), { type: 'heartbeat', sequence: 6 });
  const other = filled('a');
  other.apply({ type: 'hello', epoch: 'other', sequence: 5, graceMs: 1 });
  rejects(other, { type: 'change', sequence: 6, entry: entry('a') });
});

test('the identities that a snapshot lacks are found before its end, or at its end', async (t) => {
  for (const isCompared of [true, false]) {
    const directory = filled('a', 'b', 'c');
    directory.apply({ type: 'snapshot-begin', sequence: 6 });
    directory.apply({ type: 'entry', entry: entry('b') });
    if (isCompared) await directory.compareSnapshot();
    const change = directory.apply({ type: 'snapshot-end', sequence: 6 });
    const removed = change?.kind === 'identities' ? change.removed : [];
    t.deepEqual(removed.map(({ id }) => String(id)).toSorted(), ['a', 'c']);
    t.deepEqual(
      [...directory.entries()].map(({ id }) => String(id)),
      ['b'],
    );
  }
});

test('the directory is restored from the disk, including changes', async (t) => {
  const path = join(tempFolder(t), 'directory.json');
  const directory = filled('a', 'b');
  const file = new DirectoryFile(path);
  await file.writeSnapshot(directory.state());
  directory.apply({ type: 'change', sequence: 6, entry: entry('c', 'red') });
  directory.apply({ type: 'removed', sequence: 7, id: parseDeviceId('a') });
  await file.append(
    [
      { epoch: 'e', sequence: 6, entry: entry('c', 'red') },
      { epoch: 'e', sequence: 7, removed: 'a' },
    ],
    directory,
  );
  await file.close();
  const again = new Directory();
  again.restore((await new DirectoryFile(path).read())!);
  t.deepEqual([...again.entries()].map(({ id }) => id).toSorted(), ['b', 'c']);
  t.deepEqual([again.epoch, again.sequence, again.graceMs, again.ready], ['e', 7, 1, true]);
});

test('a directory without its last line is not used, and a file of an earlier version is', async (t) => {
  const path = join(tempFolder(t), 'directory.json');
  const directory = filled('a', 'b');
  await new DirectoryFile(path).writeSnapshot(directory.state());
  const whole = readFileSync(path, 'utf8');
  t.is(whole.trimEnd().split('\n').length, 4, 'a line for each identity');
  writeFileSync(path, whole.slice(0, whole.lastIndexOf('{"end"')));
  t.is(await new DirectoryFile(path).read(), undefined);
  writeFileSync(path, `${whole}{"end":2}\n`);
  t.is(await new DirectoryFile(path).read(), undefined);
  const { epoch, sequence, graceMs, authorities } = directory.state();
  const entries = [...directory.entries()];
  const first = { version: 1, epoch, sequence, graceMs, authorities, entries };
  writeFileSync(path, JSON.stringify(first));
  t.deepEqual(await new DirectoryFile(path).read(), directory.state());
});

test('a truncated change and garbage after it are ignored', async (t) => {
  const path = join(tempFolder(t), 'directory.json');
  const directory = filled('a');
  const file = new DirectoryFile(path);
  await file.writeSnapshot(directory.state());
  await file.append([{ epoch: 'e', sequence: 6, entry: entry('b') }], directory);
  await file.append([{ epoch: 'e', sequence: 7, entry: entry('c') }], directory);
  await file.close();
  const changes = `${path}.changes`;
  truncateSync(changes, readFileSync(changes).length - 10);
  t.is((await new DirectoryFile(path).read())?.sequence, 6);
  appendFileSync(changes, '\nnot json\n');
  t.is((await new DirectoryFile(path).read())?.sequence, 6);
  writeFileSync(path, '{"version":1');
  t.is(await new DirectoryFile(path).read(), undefined);
});

test('after many changes a new snapshot is written', async (t) => {
  const path = join(tempFolder(t), 'directory.json');
  const directory = filled('a');
  const file = new DirectoryFile(path);
  await file.writeSnapshot(directory.state());
  for (let n = 0; n < 3; n++) {
    const changes = Array.from({ length: 400 }, (_, at) => {
      const sequence = 6 + n * 400 + at;
      directory.apply({ type: 'change', sequence, entry: entry(`d${at}`) });
      return { epoch: 'e', sequence, entry: entry(`d${at}`) };
    });
    await file.append(changes, directory);
  }
  await file.close();
  t.is((await new DirectoryFile(path).read())?.sequence, 5 + 1200);
  t.throws(() => readFileSync(`${path}.changes`), { code: 'ENOENT' });
});

test('lines are complete for any chunks, and their length is limited', (t) => {
  const lines = new LineSplitter(16);
  t.deepEqual(lines.push(Buffer.from('a\nbc')), ['a']);
  t.deepEqual(lines.push(Buffer.from('d\n\n')), ['bcd', '']);
  t.deepEqual(lines.push(Buffer.from('0123456789')), []);
  t.throws(() => lines.push(Buffer.from('0123456789')), { instanceOf: RangeError });
});

test('the last change is confirmed again when the feed was connected again, although nothing has changed', async (t) => {
  const sent: FeedReport[] = [];
  const reporter = new FeedReporter({
    clock: fakeClock(),
    run: 'run-1',
    refusalsMax: 500,
    log: silentLog,
    send: (report) => Promise.resolve(void sent.push(report)),
  });
  reporter.applied('e', 5, 0);
  await until('a report', () => sent.length === 1);
  reporter.connectedAgain();
  reporter.applied('e', 5, 0);
  await until('another report', () => sent.length === 2);
  t.deepEqual(
    sent.map(({ applied }) => applied),
    [5, 5],
  );
});

test('events are collected while a report is sent, and sent again when it failed', async (t) => {
  const clock = fakeClock();
  const sent: FeedReport[] = [];
  let fail = false;
  let release = (): void => undefined;
  const reporter = new FeedReporter({
    clock,
    run: 'run-1',
    refusalsMax: 500,
    log: silentLog,
    send: async (report) => {
      await new Promise<void>((resolve) => (release = resolve));
      if (fail) throw new Error('unavailable');
      sent.push(report);
    },
  });
  const presence = (id: string, connected: boolean): void =>
    reporter.presence({
      id: parseDeviceId(id),
      connected,
      atMs: 1,
      serial: '0a',
      remoteAddress: '::1',
    });
  reporter.applied('e', 1, 0);
  await until('the first report is being sent', () => release.length === 1 || release());
  for (let n = 2; n <= 10; n++) reporter.applied('e', n, n === 5 ? 3 : 0);
  presence('a', true);
  presence('a', false);
  release();
  await until('the second report', () => {
    release();
    return sent.length === 2;
  });
  t.like(sent[1], { applied: 10, closed: [{ sequence: 5, connections: 3 }] });
  t.deepEqual(
    sent[1]?.presence.map(({ connected }) => connected),
    [false],
    'only the latest change of an identity',
  );
  fail = true;
  reporter.incident({
    id: parseDeviceId('a'),
    kind: 'clone',
    atMs: 1,
    serial: '0a',
    addresses: [],
    reaction: 'log',
  });
  await until('a report failed', () => {
    release();
    return clock.pending > 0;
  });
  fail = false;
  for (let n = 0; n < 25; n++) {
    reporter.denied(parseDeviceId('a'), {
      atMs: n,
      action: 'publish',
      topic: 'x',
      code: 'publish-denied',
    });
  }
  clock.advance(1000);
  await until('it was sent again', () => {
    release();
    return sent.some(({ incidents }) => incidents.length === 1);
  });
  await until('denials were reported', () => {
    release();
    return sent.some(({ denied }) => denied.length === 1);
  });
  const denied = sent.flatMap((report) => report.denied);
  t.is(denied[0]?.count, 25);
  t.deepEqual(
    denied[0]?.last.map(({ atMs }) => atMs),
    [15, 16, 17, 18, 19, 20, 21, 22, 23, 24],
  );
});
