import test, { type ExecutionContext } from 'ava';
import { appendFile, cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../../../core/clock.ts';
import { systemProcesses } from '../../../../core/process-identity.ts';
import { isFlotillaError } from '../../../../core/errors/flotilla-error.ts';
import { silentLog } from '../../../../core/log.ts';
import { AuditLog } from '../../../../enroll/audit/audit-log.ts';
import { tailAudit, verifyAudit } from '../../../../enroll/audit/audit-reader.ts';
import { openAppendFile } from '../../../../core/append-file.ts';
import {
  openLowdbRegistry,
  type LowdbRegistry,
} from '../../../../enroll/registry/lowdb-registry.ts';
import type {
  CrashPoint,
  LowdbRegistryDeps,
} from '../../../../enroll/registry/lowdb-registry-deps.ts';
import { certificateOf, deviceRow, tokenRow } from '../../../contract/registry.ts';
import { tempFolder } from '../../../support/temp-folder.ts';
import { until } from '../../../support/until.ts';

const deps: LowdbRegistryDeps = {
  clock: systemClock,
  log: silentLog,
  sink: () => Promise.resolve(),
};

async function open(
  t: ExecutionContext,
  folder: string,
  more: Partial<LowdbRegistryDeps> = {},
): Promise<LowdbRegistry> {
  const registry = await openLowdbRegistry(folder, { ...deps, ...more });
  t.teardown(() => registry.close());
  return registry;
}

/** One enrollment: in one change, the token is used and the device gets a certificate. */
async function enroll(registry: LowdbRegistry, at: number): Promise<void> {
  const token = await registry.get('tokens', `t${at}`);
  await registry.commit({
    puts: [
      { table: 'devices', record: deviceRow(`d${at}`), expected: 0 },
      {
        table: 'tokens',
        record: { ...tokenRow(`t${at}`, `d${at}`), uses: 1 },
        expected: token!.version,
      },
    ],
    events: [{ action: 'certificate-issued', actor: `token:${at}`, device: `d${at}` }],
  });
}

/** The invariant: a device exists exactly when its token is used. */
async function assertWhole(t: ExecutionContext, registry: LowdbRegistry): Promise<string[]> {
  const ids: string[] = [];
  for await (const { hash, uses } of registry.rows('tokens')) {
    const id = `d${hash.slice(1)}`;
    const device = await registry.get('devices', id);
    t.is(device === undefined ? 0 : 1, uses, id);
    if (device === undefined) continue;
    ids.push(id);
    t.is((await registry.holderOfSerial(certificateOf(id).serial))?.id, device.id);
  }
  t.is(ids.length, await registry.count('devices'));
  return ids;
}

const points: readonly CrashPoint[] = [
  'before-journal',
  'after-journal',
  'after-sink',
  'after-rotation',
  'before-shard',
  'after-shards',
  'before-deletion',
  'after-checkpoint',
];

for (const point of points) {
  test(`a crash ${point} loses nothing that was acknowledged and leaves no partial change`, async (t) => {
    const root = tempFolder(t);
    const folder = join(root, 'registry');
    const acknowledged = new Set<string>();
    const copies: { folder: string; acknowledged: string[] }[] = [];
    let passed = 0;
    const registry = await open(t, folder, {
      async step(name) {
        // The first occurrences, and some of the many before a shard.
        if (name !== point || (passed++ > 3 && passed % 9 !== 0)) return;
        const copy = {
          folder: join(root, `copy${copies.length}`),
          acknowledged: [...acknowledged],
        };
        await cp(folder, copy.folder, { recursive: true });
        copies.push(copy);
      },
    });
    await registry.commit({
      puts: Array.from({ length: 60 }, (_none, at) => ({
        table: 'tokens' as const,
        record: tokenRow(`t${at}`, `d${at}`),
        expected: 0,
      })),
    });
    const round = (from: number, to: number): Promise<unknown> =>
      Promise.all(
        Array.from({ length: to - from }, async (_none, at) => {
          await enroll(registry, from + at);
          acknowledged.add(`d${from + at}`);
        }),
      );
    await round(0, 20);
    await Promise.all([registry.checkpoint(), round(20, 40)]);
    await Promise.all([round(40, 60), registry.checkpoint()]);
    await registry.checkpoint();
    t.true(copies.length > 0);
    for (const copy of copies) {
      const after = await open(t, copy.folder);
      const ids = await assertWhole(t, after);
      for (const id of copy.acknowledged) t.true(ids.includes(id), `${id} in ${copy.folder}`);
      // The registry continues from there.
      await after.commit({
        puts: [{ table: 'devices', record: deviceRow('later'), expected: 0 }],
      });
      await after.close();
    }
  });
}

test('a journal that is cut anywhere opens with every complete line and without the incomplete one', async (t) => {
  const root = tempFolder(t);
  const folder = join(root, 'registry');
  const registry = await open(t, folder);
  for (let at = 0; at < 5; at++) {
    await registry.commit({
      puts: [{ table: 'devices', record: deviceRow(`d${at}`), expected: 0 }],
    });
  }
  const [name] = (await readdir(folder)).filter((file) => file.startsWith('journal-'));
  const journal = await readFile(join(folder, name!));
  await cp(folder, join(root, 'cut'), { recursive: true });
  for (let bytes = journal.length; bytes >= 0; bytes -= 61) {
    await writeFile(join(root, 'cut', name!), journal);
    await truncate(join(root, 'cut', name!), bytes);
    const whole = journal.subarray(0, bytes).toString('latin1').split('\n').length - 1;
    const cut = await openLowdbRegistry(join(root, 'cut'), {
      ...deps,
      step: () => Promise.reject(new Error('no checkpoint in this test')),
    });
    t.is(await cut.count('devices'), whole);
    await cut.close().catch(() => undefined);
    await cp(folder, join(root, 'cut'), { recursive: true, force: true });
  }
});

test('with a damaged line the registry does not open', async (t) => {
  const root = tempFolder(t);
  const folder = join(root, 'registry');
  const registry = await open(t, folder);
  for (let at = 0; at < 3; at++) {
    await registry.commit({
      puts: [{ table: 'devices', record: deviceRow(`d${at}`), expected: 0 }],
    });
  }
  const [name] = (await readdir(folder)).filter((file) => file.startsWith('journal-'));
  const copy = join(root, 'copy');
  await cp(folder, copy, { recursive: true });
  const text = await readFile(join(copy, name!), 'utf8');
  await writeFile(join(copy, name!), text.replace('"d1"', '"dX"'));
  const error = await t.throwsAsync(openLowdbRegistry(copy, deps));
  t.true(isFlotillaError(error, 'registry-damaged'));
});

test('a failing disk leaves the registry unchanged, and it continues when the disk works again', async (t) => {
  const folder = join(tempFolder(t), 'registry');
  let failing = false;
  const registry = await open(t, folder, {
    async openFile(path) {
      const file = await openAppendFile(path);
      return {
        ...file,
        flush: () => (failing ? Promise.reject(new Error('EIO')) : file.flush()),
        truncate: (bytes) => (failing ? (failing = false) : 0, file.truncate(bytes)),
      };
    },
  });
  await registry.commit({ puts: [{ table: 'devices', record: deviceRow('a'), expected: 0 }] });
  failing = true;
  const results = await Promise.allSettled(
    ['b', 'c'].map((id) =>
      registry.commit({ puts: [{ table: 'devices', record: deviceRow(id), expected: 0 }] }),
    ),
  );
  t.true(results.every(({ status }) => status === 'rejected'));
  t.is(await registry.count('devices'), 1);
  t.is(await registry.holderOfSerial(certificateOf('b').serial), undefined);
  await registry.commit({ puts: [{ table: 'devices', record: deviceRow('b'), expected: 0 }] });
  await registry.close();
  const again = await open(t, folder);
  t.is(await again.count('devices'), 2);
});

test('a change whose audit line cannot be written is undone, also on the disk, and later changes succeed', async (t) => {
  const folder = join(tempFolder(t), 'registry');
  let failing = false;
  let cannotCut = false;
  const taken: number[] = [];
  const registry = await open(t, folder, {
    sink: (events) => {
      if (failing) return Promise.reject(new Error('ENOSPC'));
      taken.push(...events.map(({ commit }) => commit));
      return Promise.resolve();
    },
    async openFile(path) {
      const file = await openAppendFile(path);
      return {
        ...file,
        truncate: (bytes) => (cannotCut ? Promise.reject(new Error('EIO')) : file.truncate(bytes)),
      };
    },
  });
  const seen: number[] = [];
  registry.watch(({ number }) => seen.push(number));
  const put = (id: string): Promise<number> =>
    registry.commit({
      puts: [{ table: 'devices', record: deviceRow(id), expected: 0 }],
      events: [{ action: 'device-changed', actor: 'test', device: id }],
    });
  const done = [await put('a')];
  for (const cut of [false, true]) {
    failing = true;
    cannotCut = cut;
    await t.throwsAsync(put('b'), { code: 'registry-unavailable' });
    t.is(await registry.get('devices', 'b'), undefined);
    failing = false;
    cannotCut = false;
    done.push(await put(`c${String(cut)}`));
  }
  t.deepEqual(seen, done);
  t.deepEqual(taken, done);
  const copy = join(tempFolder(t), 'copy');
  await cp(folder, copy, { recursive: true });
  await rm(join(copy, 'lock'), { force: true });
  const again = await open(t, copy);
  t.is(await again.count('devices'), 3, 'a start does not bring it back');
});

test('events of a change that became durable just before a crash are in the log after the next start, once', async (t) => {
  const root = tempFolder(t);
  const folder = join(root, 'registry');
  const logFolder = join(root, 'audit');
  const log = await AuditLog.open(logFolder, systemClock);
  let copied: string | undefined;
  const registry = await open(t, folder, {
    sink: log.sink,
    async step(name) {
      if (name !== 'after-journal' || copied !== undefined) return;
      copied = join(root, 'copy');
      await cp(folder, join(copied, 'registry'), { recursive: true });
      await cp(logFolder, join(copied, 'audit'), { recursive: true });
    },
  });
  const event = { action: 'device-changed', actor: 'test', device: 'a' } as const;
  await registry.commit({
    puts: [{ table: 'devices', record: deviceRow('a'), expected: 0 }],
    events: [event, { ...event, detail: { second: true } }],
  });
  await log.close();
  for (let start = 0; start < 3; start++) {
    const again = await AuditLog.open(join(copied!, 'audit'), systemClock);
    const after = await openLowdbRegistry(join(copied!, 'registry'), {
      ...deps,
      sink: again.sink,
    });
    const lines = await tailAudit(join(copied!, 'audit'), 10);
    t.is(lines.length, 2, `start ${start}`);
    t.true((await verifyAudit(join(copied!, 'audit'))).ok);
    await after.close();
    await again.close();
  }
});

test('the cost of a commit on the disk does not grow with the number of rows', async (t) => {
  const folder = join(tempFolder(t), 'registry');
  let written = 0;
  const registry = await open(t, folder, {
    async openFile(path) {
      const file = await openAppendFile(path);
      return {
        ...file,
        append(bytes, offset) {
          written += bytes.length;
          return file.append(bytes, offset);
        },
      };
    },
  });
  const cost = async (id: string): Promise<number> => {
    const before = written;
    await registry.commit({ puts: [{ table: 'devices', record: deviceRow(id), expected: 0 }] });
    return written - before;
  };
  const small = await cost('x0001');
  await registry.commit({
    puts: Array.from({ length: 5000 }, (_none, at) => ({
      table: 'devices' as const,
      record: deviceRow(`y${at}`),
      expected: 0,
    })),
  });
  t.true((await cost('x0002')) <= small + 8);
});

test('only one process at a time can open the registry', async (t) => {
  const folder = join(tempFolder(t), 'registry');
  const registry = await open(t, folder);
  const error = await t.throwsAsync(openLowdbRegistry(folder, deps));
  t.true(isFlotillaError(error, 'registry-locked'));
  await registry.close();
  // After a crash, the process id in the lock may belong to another process.
  const earlier = { ...systemProcesses.self, pid: process.ppid, started: '1', token: 'x' };
  await writeFile(join(folder, 'lock'), JSON.stringify(earlier));
  await (await openLowdbRegistry(folder, deps)).close();
  t.pass();
});

test('a registry whose folder another process took does not write any more', async (t) => {
  const folder = join(tempFolder(t), 'registry');
  const registry = await open(t, folder);
  await registry.commit({ puts: [{ table: 'devices', record: deviceRow('a'), expected: 0 }] });
  const other = { ...systemProcesses.self, pid: process.ppid, token: 'x' };
  await rm(join(folder, 'lock'));
  await writeFile(join(folder, 'lock'), JSON.stringify(other));
  const before = await readdir(folder);
  await until('noticed', async () => {
    const row = await registry.get('devices', 'a');
    const change = { table: 'devices' as const, record: deviceRow('a'), expected: row!.version };
    try {
      await registry.commit({ puts: [change] });
      return false;
    } catch (error) {
      return isFlotillaError(error, 'registry-unavailable');
    }
  });
  await registry.close();
  t.deepEqual(await readdir(folder), before);
  t.is(await readFile(join(folder, 'lock'), 'utf8'), JSON.stringify(other));
});

test('shards are readable JSON, one row per line', async (t) => {
  const folder = join(tempFolder(t), 'registry');
  const registry = await open(t, folder);
  await registry.commit({ puts: [{ table: 'devices', record: deviceRow('a'), expected: 0 }] });
  await registry.close();
  const texts: string[] = [];
  for (const name of await readdir(join(folder, 'devices'))) {
    texts.push(await readFile(join(folder, 'devices', name), 'utf8'));
  }
  t.is(texts.length, 1);
  t.regex(texts[0]!, /^\{\n"\$crc32": "[0-9a-f]{8}",\n"a": \{.*\}\n\}\n$/);
  t.is((JSON.parse(texts[0]!) as { a: { id: string } }).a.id, 'a');
  await appendFile(join(folder, 'devices', 'note.tmp'), 'a leftover');
  await open(t, folder);
  t.false((await readdir(join(folder, 'devices'))).includes('note.tmp'));
});

test('concurrent checkpoints run one at a time, and all finish', async (t) => {
  const folder = join(tempFolder(t), 'registry');
  const registry = await openLowdbRegistry(folder, {
    clock: systemClock,
    log: silentLog,
    sink: () => Promise.resolve(),
  });
  for (let round = 0; round < 3; round++) {
    const record = deviceRow(`d${round}`);
    await registry.commit({ puts: [{ table: 'devices', record, expected: 0 }] });
    await Promise.all([registry.checkpoint(), registry.checkpoint(), registry.checkpoint()]);
  }
  await registry.close();
  const again = await openLowdbRegistry(folder, {
    clock: systemClock,
    log: silentLog,
    sink: () => Promise.resolve(),
  });
  t.is(await again.count('devices'), 3);
  await again.close();
});
