import test from 'ava';
import { appendFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { auditFilePath } from '../../../../enroll/audit/audit-files.ts';
import { AuditLog } from '../../../../enroll/audit/audit-log.ts';
import { tailAudit, verifyAudit } from '../../../../enroll/audit/audit-reader.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { openAppendFile } from '../../../../core/append-file.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const event = { action: 'device-changed', actor: 'test' } as const;

test('the chain continues across all files', async (t) => {
  const folder = join(tempFolder(t), 'audit');
  const clock = fakeClock();
  const log = await AuditLog.open(folder, clock, { fileMaxBytes: 1000 });
  for (let at = 0; at < 20; at++) await log.append({ ...event, device: `d${at}` });
  await log.close();
  const again = await AuditLog.open(folder, clock, { fileMaxBytes: 1000 });
  await again.append({ ...event, device: 'last' });
  const { head } = again;
  await again.close();
  t.true((await readdir(folder)).length > 3);
  const verdict = await verifyAudit(folder);
  t.true(verdict.ok, verdict.detail);
  t.is(verdict.lines, 21);
  t.deepEqual(verdict.head, head);
  const tail = await tailAudit(folder, 7);
  t.deepEqual(
    tail.map(({ seq }) => seq),
    [15, 16, 17, 18, 19, 20, 21],
  );
  await rm(auditFilePath(folder, 2));
  t.regex((await verifyAudit(folder)).detail, /missing/);
  await t.throwsAsync(AuditLog.open(folder, fakeClock()), {
    code: 'audit-damaged',
    message: /audit-000002\.jsonl is missing/,
  });
});

test('lines that were removed at the end are noticed by a line that is known', async (t) => {
  const folder = join(tempFolder(t), 'audit');
  const log = await AuditLog.open(folder, fakeClock());
  await log.append(event, event, event);
  const { head } = log;
  await log.append(event);
  await log.close();
  t.true((await verifyAudit(folder, head)).ok);
  t.regex((await verifyAudit(folder, { ...head, hash: 'x' })).detail, /recorded/);
  const path = auditFilePath(folder, 1);
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.split('\n').slice(0, 2).join('\n') + '\n');
  t.true((await verifyAudit(folder)).ok);
  t.like(await verifyAudit(folder, head), { ok: false, lines: 2 });
});

test('an incomplete line after a crash is removed, and the chain continues', async (t) => {
  const folder = join(tempFolder(t), 'audit');
  const log = await AuditLog.open(folder, fakeClock());
  await log.append(event, event);
  await log.close();
  await appendFile(auditFilePath(folder, 1), '{"seq":3,"at":"20');
  t.like(
    await verifyAudit(folder),
    { ok: true, lines: 2 },
    'it may be a line that is being written',
  );
  const again = await AuditLog.open(folder, fakeClock());
  await again.append(event);
  await again.close();
  const verdict = await verifyAudit(folder);
  t.true(verdict.ok, verdict.detail);
  t.is(verdict.lines, 3);
});

test('lines that are written concurrently share a flush and keep their order', async (t) => {
  const folder = join(tempFolder(t), 'audit');
  const log = await AuditLog.open(folder, fakeClock());
  await Promise.all(
    Array.from({ length: 200 }, (_none, at) => log.append({ ...event, device: `d${at}` })),
  );
  await log.close();
  const lines = await tailAudit(folder, 200);
  t.deepEqual(
    lines.map(({ device }) => device),
    Array.from({ length: 200 }, (_none, at) => `d${at}`),
  );
  t.true((await verifyAudit(folder)).ok);
  t.is((await readFile(auditFilePath(folder, 1), 'utf8')).split('\n').length, 201);
});

test('an empty folder is a valid log', async (t) => {
  const folder = join(tempFolder(t), 'audit');
  await (await AuditLog.open(folder, fakeClock())).close();
  t.like(await verifyAudit(folder), { ok: true, lines: 0, head: null });
  t.deepEqual(await tailAudit(folder, 5), []);
});

test('a failed write leaves nothing behind, and the log continues when the disk works again', async (t) => {
  const folder = join(tempFolder(t), 'audit');
  const disk = { failsAt: 'never' as 'never' | 'append' | 'flush', cannotCut: false };
  const log = await AuditLog.open(folder, fakeClock(), {
    fileMaxBytes: 1000,
    async openFile(path) {
      const file = await openAppendFile(path);
      return {
        ...file,
        async append(bytes, offset) {
          // A full disk writes only a part of the bytes.
          if (disk.failsAt === 'append') await file.append(bytes.subarray(0, 100), offset);
          if (disk.failsAt === 'append') throw new Error('ENOSPC');
          await file.append(bytes, offset);
        },
        flush: () => (disk.failsAt === 'flush' ? Promise.reject(new Error('EIO')) : file.flush()),
        truncate: (bytes) =>
          disk.cannotCut ? Promise.reject(new Error('EIO')) : file.truncate(bytes),
      };
    },
  });
  const event = { action: 'device-changed', actor: 'test', device: 'a' } as const;
  await log.append(event);
  for (const failsAt of ['append', 'flush'] as const) {
    for (const cannotCut of [false, true]) {
      Object.assign(disk, { failsAt, cannotCut });
      const results = await Promise.allSettled([log.append(event), log.append(event, event)]);
      t.true(results.every(({ status }) => status === 'rejected'));
      await t.throwsAsync(log.append(event), { code: 'file-write-failed' });
      await log.probe();
      t.true(log.isBroken);
      Object.assign(disk, { failsAt: 'never', cannotCut: false });
      await log.probe();
      t.false(log.isBroken);
      await log.append(event, event);
    }
  }
  t.is(log.head.seq, 9);
  await log.close();
  const verified = await verifyAudit(folder);
  t.true(verified.ok);
  t.is(verified.lines, 9);
});
