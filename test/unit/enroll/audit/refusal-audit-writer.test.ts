/** What a flood of refusals may write into the audit log. @module */
import test from 'ava';
import { join } from 'node:path';
import { parseDeviceId } from '../../../../core/device-id.ts';
import type { Refusal } from '../../../../core/protocol/feed.ts';
import { silentLog } from '../../../../core/log.ts';
import type { AuditLine } from '../../../../enroll/audit/audit-event.ts';
import { AuditLog } from '../../../../enroll/audit/audit-log.ts';
import { tailAudit, verifyAudit } from '../../../../enroll/audit/audit-reader.ts';
import { RefusalAuditWriter } from '../../../../enroll/audit/refusal-audit-writer.ts';
import { fakeClock, type FakeClock } from '../../../support/fake-clock.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const broker = parseDeviceId('broker-1');

interface World {
  readonly clock: FakeClock;
  readonly writer: RefusalAuditWriter;
  readonly audit: AuditLog;
  readonly lines: () => Promise<AuditLine[]>;
  readonly verdict: () => ReturnType<typeof verifyAudit>;
}

async function opened(
  t: { teardown(end: () => Promise<void> | void): void },
  linesPerMinute = 100,
): Promise<World> {
  const folder = join(tempFolder(t), 'audit');
  const clock = fakeClock();
  const audit = await AuditLog.open(folder, clock);
  t.teardown(() => audit.close());
  return {
    clock,
    audit,
    writer: new RefusalAuditWriter({ audit, clock, log: silentLog, linesPerMinute }),
    lines: () => tailAudit(folder, 100_000),
    verdict: () => verifyAudit(folder),
  };
}

const entry = (change: Partial<Refusal> = {}): Refusal => ({
  code: 'certificate-missing',
  stage: 'connect',
  address: '192.0.2.1',
  count: 1,
  firstAtMs: 1000,
  lastAtMs: 2000,
  ...change,
});

test('a line contains the device, code, stage, address, count and times of a refusal, and the broker', async (t) => {
  const { writer, lines, verdict } = await opened(t);
  const refusal = entry({
    code: 'publish-denied',
    stage: 'publish',
    id: parseDeviceId('pump-7'),
    serial: '0a0b',
    topic: 'devices/other/x',
    count: 3,
  });
  await writer.take(broker, { run: 'r', number: 1, entries: [refusal, entry({ detail: 'x' })] });
  const [line, other] = await lines();
  t.like(line, {
    action: 'access-refused',
    actor: 'broker-1',
    device: 'pump-7',
    remoteAddress: '192.0.2.1',
  });
  t.deepEqual(line?.detail, {
    code: 'publish-denied',
    stage: 'publish',
    count: 3,
    first: '1970-01-01T00:00:01.000Z',
    last: '1970-01-01T00:00:02.000Z',
    serial: '0a0b',
    topic: 'devices/other/x',
  });
  t.is(other?.device, undefined);
  t.true((await verdict()).ok);
});

test('a file that could not be reloaded is an event of its own', async (t) => {
  const { writer, lines } = await opened(t);
  const detail = 'policy: line 4, column 5';
  const refused = { code: 'policy-invalid', stage: 'reload', count: 1, detail } as const;
  const entries = [{ ...refused, firstAtMs: 1, lastAtMs: 1 }];
  await writer.take(broker, { run: 'r', number: 1, entries });
  t.like((await lines())[0], { action: 'reload-refused', actor: 'broker-1' });
  t.like((await lines())[0]?.detail, { code: 'policy-invalid', detail });
});

test('a batch that is sent twice is counted once; one of another run is a different batch', async (t) => {
  const { writer, lines } = await opened(t);
  const batch = { run: 'r', number: 1, entries: [entry()] };
  await Promise.all([writer.take(broker, batch), writer.take(broker, batch)]);
  await writer.take(broker, batch);
  await writer.close();
  t.is((await lines()).length, 1);
  await writer.take(broker, { ...batch, run: 's' });
  t.is((await lines()).length, 2);
});

test('a batch whose lines could not be written is written when it is sent again, and counted once', async (t) => {
  const { audit, clock, lines } = await opened(t);
  let isFull = true;
  const writer = new RefusalAuditWriter({
    audit: {
      append: (...events) =>
        isFull ? Promise.reject(new Error('disk full')) : audit.append(...events),
    },
    clock,
    log: silentLog,
    linesPerMinute: 100,
  });
  const batch = { run: 'r', number: 1, entries: [entry(), entry({ code: 'device-unknown' })] };
  await t.throwsAsync(writer.take(broker, batch), { message: 'disk full' });
  isFull = false;
  await writer.take(broker, batch);
  await writer.take(broker, batch);
  t.deepEqual(
    (await lines()).map(({ detail }) => [detail?.['code'], detail?.['count']]),
    [
      ['certificate-missing', 1],
      ['device-unknown', 1],
    ],
  );
  await writer.close();
  t.is((await lines()).length, 2, 'nothing was summed on top');
});

test('repeats are written when the minute is over, with their number', async (t) => {
  const { writer, clock, lines } = await opened(t);
  for (let number = 1; number <= 30; number++) {
    const atMs = number * 1000;
    const entries = [entry({ count: 2, firstAtMs: atMs, lastAtMs: atMs })];
    await writer.take(broker, { run: 'r', number, entries });
    clock.advance(1000);
  }
  t.is((await lines()).length, 1);
  clock.advance(30_000);
  await writer.close();
  const all = await lines();
  t.is(all.length, 2);
  t.like(all[1]?.detail, {
    count: 58,
    first: '1970-01-01T00:00:02.000Z',
    last: '1970-01-01T00:00:30.000Z',
  });
  t.is(clock.pending, 0);
});

test('an hour of flood writes only the allowed lines, counts everything, and hides no device', async (t) => {
  const linesPerMinute = 100;
  const { writer, clock, lines, verdict } = await opened(t, linesPerMinute);
  const codes = ['certificate-missing', 'certificate-untrusted', 'handshake-failed'];
  let number = 0;
  let refusals = 0;
  for (let minute = 0; minute < 60; minute++) {
    for (let batch = 0; batch < 6; batch++) {
      const entries = Array.from({ length: 500 }, (_none, at) =>
        entry({ code: codes[at % 3]!, address: `10.${minute}.${batch}.${at}`, count: 20 }),
      );
      entries.push(entry({ code: 'certificate-revoked', id: parseDeviceId(`d${minute}`) }));
      refusals += 10_001;
      await writer.take(broker, { run: 'r', number: ++number, entries });
      clock.advance(10_000);
    }
  }
  await writer.close();
  const all = await lines();
  t.true(all.length <= 60 * (2 * linesPerMinute + codes.length + 1), `${all.length} lines`);
  const counts = all.map(({ detail }) => Number(detail?.['count']));
  t.is(
    counts.reduce((sum, one) => sum + one, 0),
    refusals,
  );
  for (let minute = 0; minute < 60; minute++) {
    t.true(all.some(({ device }) => device === `d${minute}`));
  }
  t.true((await verdict()).ok);
});

test('a flood does not delay other writers: its lines share a flush', async (t) => {
  const { audit, writer, lines } = await opened(t, 10_000);
  const entries = Array.from({ length: 500 }, (_none, at) => entry({ address: `10.0.0.${at}` }));
  const flood = writer.take(broker, { run: 'r', number: 1, entries });
  await audit.append({ action: 'device-revoked', actor: 'admin', device: 'pump-7' });
  await flood;
  const all = await lines();
  t.is(all.length, 501);
  t.is(all.at(-1)?.action, 'device-revoked');
});
