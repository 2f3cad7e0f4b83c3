import test from 'ava';
import { appendFile, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AuditLog, auditFilePath } from '../../../../enroll/audit/audit-log.ts';
import { tailAudit, verifyAudit } from '../../../../enroll/audit/audit-reader.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const event = { action: 'device-changed', actor: 'test' } as const;

test('files follow one another and the chain runs through all of them', async (t) => {
  const folder = join(tempFolder(t), 'audit');
  const clock = fakeClock();
  const log = await AuditLog.open(folder, clock, 1000);
  for (let at = 0; at < 20; at++) await log.append({ ...event, device: `d${at}` });
  await log.close();
  const again = await AuditLog.open(folder, clock, 1000);
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
});

test('a line that a crash tore is cut off, and the chain goes on', async (t) => {
  const folder = join(tempFolder(t), 'audit');
  const log = await AuditLog.open(folder, fakeClock());
  await log.append(event, event);
  await log.close();
  await appendFile(auditFilePath(folder, 1), '{"seq":3,"at":"20');
  const again = await AuditLog.open(folder, fakeClock());
  await again.append(event);
  await again.close();
  const verdict = await verifyAudit(folder);
  t.true(verdict.ok, verdict.detail);
  t.is(verdict.lines, 3);
});

test('lines that are written at once share a flush and keep their order', async (t) => {
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

test('an empty folder is a log that is whole', async (t) => {
  const folder = join(tempFolder(t), 'audit');
  await (await AuditLog.open(folder, fakeClock())).close();
  t.like(await verifyAudit(folder), { ok: true, lines: 0, head: null });
  t.deepEqual(await tailAudit(folder, 5), []);
});
