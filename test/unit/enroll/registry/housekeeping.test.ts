import test, { type ExecutionContext } from 'ava';
import { silentLog } from '../../../../core/log.ts';
import { parseDeviceId } from '../../../../core/device-id.ts';
import { Housekeeping } from '../../../../enroll/registry/housekeeping.ts';
import { openLowdbRegistry } from '../../../../enroll/registry/lowdb-registry.ts';
import { fakeClock, type FakeClock } from '../../../support/fake-clock.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** A registry with the revocation of a certificate that ends in a day. */
async function open(
  t: ExecutionContext,
): Promise<{ clock: FakeClock; housekeeping: Housekeeping; count: () => Promise<number> }> {
  const clock = fakeClock();
  const registry = await openLowdbRegistry(`${tempFolder(t)}/registry`, {
    clock,
    log: silentLog,
    sink: () => Promise.resolve(),
  });
  t.teardown(() => registry.close());
  const record = {
    serial: '01',
    device: parseDeviceId('d1'),
    issuer: `sha256:${'a'.repeat(64)}`,
    keyFingerprint: `sha256:${'b'.repeat(64)}`,
    atMs: clock.now(),
    reason: 'keyCompromise',
    notAfterMs: clock.now() + dayMs,
  } as const;
  await registry.commit({ puts: [{ table: 'revocations', record, expected: 0 }] });
  const housekeeping = new Housekeeping({
    registry,
    clock,
    log: silentLog,
    revocationKeepMs: dayMs,
    certificateKeepMs: dayMs,
  });
  t.teardown(() => housekeeping.stop());
  return { clock, housekeeping, count: () => registry.count('revocations') };
}

/** Lets the sweeps of some time happen; a sweep ends before the next one is planned. */
async function pass(clock: FakeClock, minutes: number): Promise<void> {
  for (let minute = 0; minute < minutes; minute++) {
    clock.advance(60_000);
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  }
}

test('a revocation is kept until it was on a list that was issued after the end of its certificate', async (t) => {
  const { clock, housekeeping, count } = await open(t);
  clock.advance(2 * dayMs - 1);
  await housekeeping.sweep();
  t.is(await count(), 1);
  clock.advance(1);
  await housekeeping.sweep();
  t.is(await count(), 0);
});

test('a clock that jumps ahead deletes nothing', async (t) => {
  const { clock, housekeeping, count } = await open(t);
  housekeeping.start();
  await pass(clock, 90);
  clock.jump(3 * 365 * dayMs);
  await pass(clock, 30);
  t.is(await count(), 1);
  clock.jump(-3 * 365 * dayMs);
  await pass(clock, 90);
  t.is(await count(), 1, 'the clock is right again');
  clock.jump(3 * dayMs);
  await pass(clock, 90);
  t.is(await count(), 0, 'this time it is right: the clock has run evenly for an hour');
});
