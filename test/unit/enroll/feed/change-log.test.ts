import test from 'ava';
import { Directory, FeedBroken } from '../../../../broker/feed/broker-directory.ts';
import { parseDeviceId } from '../../../../core/device-id.ts';
import { feedLineSchema, type FeedLine } from '../../../../core/protocol/feed.ts';
import { ChangeLog } from '../../../../enroll/feed/change-log.ts';
import { recentDevices } from '../../../../enroll/registry/recent-devices.ts';
import type { DeviceRecord } from '../../../../enroll/registry/records.ts';
import type { RecentDevices, Stored } from '../../../../enroll/registry/registry.ts';
import { deviceRow } from '../../../contract/registry.ts';

type Row = Stored<DeviceRecord>;

const row = (id: string, version: number, more: Partial<DeviceRecord> = {}): Row => ({
  ...deviceRow(id, { certificates: [], ...more }),
  version,
});

function recentOf(
  rows: readonly Row[],
  removed: Readonly<Record<string, number>>,
  { after = 0, max = 100 } = {},
): RecentDevices {
  const commits = new Map(Object.entries(removed).map(([id, at]) => [parseDeviceId(id), at]));
  const find = (id: string): Row | undefined => rows.find((one) => one.id === id);
  return recentDevices(() => rows, find, { after, commits }, max);
}

const short = ({ after, changes }: RecentDevices): string[] => [
  String(after),
  ...changes.map(({ commit, id, record }) => `${commit} ${id}${record === undefined ? ' -' : ''}`),
];

test('the newest changes of identities are complete commits, with deletions, oldest first', (t) => {
  const rows = [row('a', 7), row('b', 3), row('c', 7), row('p', 9, { status: 'pending' })];
  t.deepEqual(short(recentOf(rows, { x: 5 })), ['0', '3 b', '5 x -', '7 a', '7 c']);
  t.deepEqual(short(recentOf(rows, { x: 5 }, { max: 3 })), ['3', '5 x -', '7 a', '7 c']);
  t.deepEqual(short(recentOf(rows, { x: 5 }, { max: 1 })), ['7'], 'a part of a commit is nothing');
  t.deepEqual(short(recentOf(rows, { x: 5 }, { after: 5 })), ['5', '7 a', '7 c']);
});

test('a name that was used again is deleted only if brokers do not know the new identity', (t) => {
  const rows = [row('a', 6), row('p', 8, { status: 'pending' })];
  t.deepEqual(short(recentOf(rows, { a: 5, p: 7 })), ['0', '6 a', '7 p -']);
});

/** What a broker gets that has everything before `known`, and perhaps a part of it. */
function missed(log: ChangeLog, known: number): string[] | undefined {
  const start = log.beforeCommit(known);
  if (start === undefined) return undefined;
  return log.after(start).map(({ text }) => {
    const line: FeedLine = feedLineSchema.parse(JSON.parse(text));
    if (line.type === 'change') return line.entry.id;
    return line.type === 'removed' ? `-${line.id}` : line.type;
  });
}

test('a broker that names a commit gets it and all later ones, or nothing if some are not kept', (t) => {
  const recent = recentOf([row('a', 7), row('b', 3), row('c', 7)], { x: 5 }, { after: 2 });
  const log = new ChangeLog(4, 8, recent);
  t.is(missed(log, 2), undefined);
  t.deepEqual(missed(log, 3), ['b', '-x', 'a', 'c']);
  t.deepEqual(missed(log, 4), ['-x', 'a', 'c']);
  t.deepEqual(missed(log, 7), ['a', 'c'], 'also what it may have already');
  t.deepEqual(missed(log, 8), []);
  log.add({ id: undefined, commit: undefined }, (sequence) => ({
    ...{ type: 'authorities', sequence, pem: [] },
  }));
  const id = parseDeviceId('d');
  log.add({ id, commit: 9 }, (sequence) => ({ type: 'removed', sequence, commit: 9, id }));
  // Only the newest four are kept now.
  t.is(log.sequence, 6);
  t.is(missed(log, 5), undefined);
  t.deepEqual(missed(log, 7), ['a', 'c', 'authorities', '-d']);
  t.true(log.hasAllAfter(2));
  t.false(log.hasAllAfter(1));
});

test('without knowledge of the commits before, nothing continues', (t) => {
  const log = new ChangeLog(4, 8, undefined);
  t.is(log.sequence, 0);
  t.is(missed(log, 8), undefined);
  t.true(log.hasAllAfter(0));
});

test('a broker goes on under the name of another run, and names no commit before it has it', (t) => {
  const directory = new Directory();
  const generation = { registry: 'r', startedAtMs: 1 };
  const entry = { ...deviceRow('a', { certificates: [] }), id: parseDeviceId('a') };
  const { id, role, status, group, attributes } = entry;
  const sent = { id, role, group, attributes: { ...attributes }, certificates: [] };
  if (status !== 'active') throw new Error('not active');
  const apply = (...lines: FeedLine[]): void => {
    for (const line of lines) directory.apply(line);
  };
  const hello = { type: 'hello', graceMs: 0 } as const;
  apply(
    { ...hello, epoch: 'one', sequence: 40, generation: { ...generation, commit: 5 } },
    { type: 'snapshot-begin', sequence: 40 },
    { type: 'entry', entry: { ...sent, status } },
    { type: 'snapshot-end', sequence: 40 },
  );
  t.like(directory.known, { commit: 5 });
  directory.connectionLost();
  const next = { ...hello, epoch: 'two', sequence: 3, generation: { ...generation, commit: 9 } };
  const other: FeedLine = { ...next, continues: { epoch: 'one', sequence: 39 } };
  t.throws(() => directory.apply(other), { instanceOf: FeedBroken });
  directory.connectionLost();
  apply({ ...next, continues: { epoch: 'one', sequence: 40 } });
  t.deepEqual([directory.epoch, directory.sequence], ['two', 3]);
  t.like(directory.known, { run: 'two', commit: 5 });
  apply({ type: 'change', sequence: 4, commit: 7, entry: { ...sent, status: 'revoked' } });
  t.is(directory.get('a')?.status, 'revoked');
  t.like(directory.known, { commit: 7 });
  // The same run again: more changes follow, and only the heartbeat says that there are none.
  directory.connectionLost();
  apply({ ...next, sequence: 4 });
  t.like(directory.known, { commit: 7 });
  apply({ type: 'heartbeat', sequence: 4 });
  t.like(directory.known, { commit: 9 });
});
