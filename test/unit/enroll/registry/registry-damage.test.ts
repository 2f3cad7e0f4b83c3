import test, { type ExecutionContext } from 'ava';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../../../core/clock.ts';
import { silentLog } from '../../../../core/log.ts';
import {
  openLowdbRegistry,
  type LowdbRegistry,
} from '../../../../enroll/registry/lowdb-registry.ts';
import type { LowdbRegistryDeps } from '../../../../enroll/registry/lowdb-registry-deps.ts';
import { journalNumbers, journalPath } from '../../../../enroll/registry/journal-files.ts';
import { deviceRow } from '../../../contract/registry.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

function open(folder: string, more: Partial<LowdbRegistryDeps> = {}): Promise<LowdbRegistry> {
  const sink = (): Promise<void> => Promise.resolve();
  return openLowdbRegistry(folder, { clock: systemClock, log: silentLog, sink, ...more });
}

/** A registry whose rows are in shards. */
async function madeFolder(t: ExecutionContext): Promise<string> {
  const folder = join(tempFolder(t), 'registry');
  const registry = await open(folder);
  for (const id of ['a', 'b', 'c']) {
    await registry.commit({ puts: [{ table: 'devices', record: deviceRow(id), expected: 0 }] });
  }
  await registry.close();
  return folder;
}

test('a bit that changed anywhere in a shard is damage', async (t) => {
  const folder = await madeFolder(t);
  const [name = ''] = await readdir(join(folder, 'devices'));
  const path = join(folder, 'devices', name);
  const whole = await readFile(path);
  for (let at = 0; at < whole.length; at += 3) {
    const damaged = Buffer.from(whole);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    await writeFile(path, damaged);
    await t.throwsAsync(open(folder), { code: 'registry-damaged' }, `byte ${at}`);
  }
  await writeFile(path, whole);
  await (await open(folder)).close();
});

test('a missing shard, a missing folder of shards and a missing manifest are damage', async (t) => {
  for (const lost of ['shard', 'devices', 'manifest.json']) {
    const folder = await madeFolder(t);
    const [name = ''] = await readdir(join(folder, 'devices'));
    const path = lost === 'shard' ? join('devices', name) : lost;
    await rm(join(folder, path), { recursive: true });
    await t.throwsAsync(open(folder), { code: 'registry-damaged', message: /missing/ }, lost);
  }
});

test('a registry that lacks an acknowledged commit of the audit log does not open, unless the loss is accepted', async (t) => {
  const folder = await madeFolder(t);
  const auditedCommit = 4;
  await t.throwsAsync(open(folder, { auditedCommit }), { code: 'registry-behind-audit' });
  await t.throwsAsync(open(join(folder, '..', 'empty'), { auditedCommit }), {
    code: 'registry-behind-audit',
  });
  const accepted = await open(folder, { auditedCommit, acceptLoss: 'registry' });
  const commit = await accepted.commit({
    puts: [{ table: 'devices', record: deviceRow('d'), expected: 0 }],
  });
  t.is(commit, 5);
  await accepted.close();
  await (await open(folder, { auditedCommit: 5 })).close();
});

test('a deletion that was the newest commit is known after a restart', async (t) => {
  const folder = await madeFolder(t);
  const registry = await open(folder);
  const row = await registry.get('devices', 'c');
  await registry.commit({
    deletions: [{ table: 'devices', key: 'c', expected: row?.version ?? 0 }],
  });
  await registry.close();
  const again = await open(folder, { auditedCommit: 4 });
  t.is(again.number, 4);
  await again.close();
});

test('files of an earlier version are read, and written again with checksums', async (t) => {
  const folder = await madeFolder(t);
  const names = await readdir(join(folder, 'devices'));
  const before = new Map<string, string>();
  for (const name of names) {
    const path = join(folder, 'devices', name);
    const text = await readFile(path, 'utf8');
    before.set(path, text);
    await writeFile(path, text.replace(/"\$crc32": "[0-9a-f]{8}",\n/, ''));
  }
  await rm(join(folder, 'manifest.json'));
  const registry = await open(folder, { auditedCommit: 9 });
  t.is(await registry.count('devices'), 3);
  await registry.close();
  for (const [path, text] of before) t.is(await readFile(path, 'utf8'), text);
});

test('a missing journal is damage', async (t) => {
  const folder = join(tempFolder(t), 'registry');
  const first = await open(folder);
  await first.commit({ puts: [{ table: 'devices', record: deviceRow('a'), expected: 0 }] });
  await first.close();
  const [number = 0] = await journalNumbers(folder);
  await rm(journalPath(folder, number));
  await t.throwsAsync(open(folder), { code: 'registry-damaged', message: /missing/ });
});

test('an audit log without the lines that the manifest has recorded does not open, unless the loss is accepted', async (t) => {
  const folder = await madeFolder(t);
  const head = { seq: 7, hash: '7'.repeat(64) };
  await (await open(folder, { auditHead: () => head })).close();
  for (const lost of [
    { seq: 6, hash: '6'.repeat(64) },
    { seq: 7, hash: '8'.repeat(64) },
  ]) {
    await t.throwsAsync(open(folder, { auditHead: () => lost }), { code: 'audit-behind-registry' });
  }
  const none = { seq: 0, hash: '0'.repeat(64) };
  await t.throwsAsync(open(folder, { auditHead: () => none }), { code: 'audit-missing' });
  const later = { seq: 9, hash: '9'.repeat(64) };
  await (await open(folder, { auditHead: () => later })).close();
  await t.throwsAsync(open(folder, { auditHead: () => head }), { code: 'audit-behind-registry' });
  await (await open(folder, { auditHead: () => none, acceptLoss: 'audit' })).close();
});
