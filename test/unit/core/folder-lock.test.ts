/** Lock files: holders on this machine, in another container, on another boot; leases. @module */
import { readdirSync, statSync } from 'node:fs';
import { readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { isFlotillaError, type FlotillaError } from '../../../core/errors/flotilla-error.ts';
import { leaseMs, lockFile, type FolderLockOptions } from '../../../core/folder-lock.ts';
import {
  systemProcesses,
  type ProcessIdentity,
  type ProcessTable,
} from '../../../core/process-identity.ts';
import { fakeClock, type FakeClock } from '../../support/fake-clock.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { until } from '../../support/until.ts';

const code = 'state-in-use';
const someone: ProcessIdentity = { pid: 7, boot: 'boot-1', namespace: 'pid:[1]', started: '55' };

/** A process table in which `self` runs and `running` are the others that run in the same namespace. */
function processes(self: ProcessIdentity, ...running: ProcessIdentity[]): ProcessTable {
  return {
    self,
    stateOf: (one) =>
      one.boot !== self.boot || one.namespace !== self.namespace
        ? 'unknown'
        : [self, ...running].some(({ pid, started }) => pid === one.pid && started === one.started)
          ? 'running'
          : 'ended',
  };
}

const record = (identity: ProcessIdentity): string =>
  `${JSON.stringify({ ...identity, token: 'other' })}\n`;

/** Advances the clock until the promise is settled. @returns how long that took, in ms of the clock */
async function advancing<T>(clock: FakeClock, promise: Promise<T>): Promise<number> {
  const startMs = clock.monotonicMs();
  let isSettled = false;
  const settle = (): void => void (isSettled = true);
  promise.then(settle, settle);
  await until('settled', () => {
    if (!isSettled && clock.pending > 0) clock.advance(500);
    return isSettled;
  });
  return clock.monotonicMs() - startMs;
}

test('a lock excludes this and other processes until it is released, and leaves no file', async (t) => {
  const folder = tempFolder(t);
  const path = join(folder, 'lock');
  const unlock = await lockFile(path, { code });
  t.is(statSync(path).mode & 0o777, 0o600);
  t.deepEqual(readdirSync(folder), ['lock']);
  await t.throwsAsync(lockFile(path, { code }), { message: /by this process/ });
  await unlock();
  t.deepEqual(readdirSync(folder), []);
  await (
    await lockFile(path, { code })
  )();
});

test('the process id of an ended holder may belong to another process', async (t) => {
  const path = join(tempFolder(t), 'lock');
  const self = { ...someone, pid: 8, started: '99' };
  await writeFile(path, record(someone));
  const other = processes(self, { ...someone, started: '60' });
  await (
    await lockFile(path, { code, processes: other })
  )();
  await writeFile(path, record(someone));
  const error = await t.throwsAsync<FlotillaError>(
    lockFile(path, { code, processes: processes(self, someone) }),
  );
  t.true(isFlotillaError(error, 'state-in-use'));
  t.regex(error.message, /by process 7\./);
  t.is(await readFile(path, 'utf8'), record(someone));
});

test('a live process of this machine is recognized by its start time', (t) => {
  const { self } = systemProcesses;
  t.is(systemProcesses.stateOf(self), 'running');
  t.is(systemProcesses.stateOf({ ...self, started: '1' }), 'ended');
  t.is(systemProcesses.stateOf({ ...self, pid: 2 ** 22 + 1 }), 'ended');
  t.is(systemProcesses.stateOf({ ...self, boot: 'another' }), 'unknown');
  t.is(systemProcesses.stateOf({ ...self, namespace: 'pid:[1]' }), 'unknown');
});

for (const [where, holder] of [
  ['another boot', { ...someone, boot: 'boot-2' }],
  ['another container', { ...someone, namespace: 'pid:[2]' }],
] as const) {
  const open = (path: string, clock: FakeClock): Promise<() => Promise<void>> =>
    lockFile(path, { code, clock, processes: processes({ ...someone, pid: 8 }) });

  test(`a holder of ${where} has a lease: without renewal, the lock is taken`, async (t) => {
    const path = join(tempFolder(t), 'lock');
    await writeFile(path, record(holder));
    const clock = fakeClock();
    const taken = open(path, clock);
    t.true((await advancing(clock, taken)) >= leaseMs);
    await (
      await taken
    )();
    t.is(clock.pending, 0);
  });

  test(`a holder of ${where} that renews its lease keeps the lock`, async (t) => {
    const path = join(tempFolder(t), 'lock');
    await writeFile(path, record(holder));
    const clock = fakeClock();
    clock.after(leaseMs / 2, () => void utimes(path, 1, 1));
    const refused = open(path, clock);
    await advancing(clock, refused);
    await t.throwsAsync(refused, { message: /another container/ });
    t.is(await readFile(path, 'utf8'), record(holder));
  });
}

test('a lock file without a record is replaced: its writer crashed, or it is of an old version', async (t) => {
  for (const text of ['', '4711\n', '{"pid":']) {
    const path = join(tempFolder(t), 'lock');
    await writeFile(path, text);
    const clock = fakeClock();
    const taken = lockFile(path, { code, clock });
    t.true((await advancing(clock, taken)) < leaseMs);
    await (
      await taken
    )();
  }
});

test('the holder renews its lease, creates a removed file again, and notices a lost lock', async (t) => {
  const folder = tempFolder(t);
  const path = join(folder, 'lock');
  const clock = fakeClock();
  const lost: FlotillaError[] = [];
  const options: FolderLockOptions = { code, clock, lost: (error) => lost.push(error) };
  const unlock = await lockFile(path, options);
  const before = statSync(path).mtimeMs;
  clock.advance(5000);
  await until('renewed', () => statSync(path).mtimeMs !== before && clock.pending === 1);
  await writeFile(path, record(someone));
  clock.advance(5000);
  await until('noticed', () => lost.length === 1);
  t.true(isFlotillaError(lost[0], 'state-in-use'));
  await unlock();
  t.is(await readFile(path, 'utf8'), record(someone), 'the lock of the other process stays');
  t.is(clock.pending, 0);
});
