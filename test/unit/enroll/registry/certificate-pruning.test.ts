import test from 'ava';
import { silentLog } from '../../../../core/log.ts';
import type { NumberedEvent } from '../../../../enroll/audit/audit-event.ts';
import {
  pruneCertificates,
  withoutEnded,
} from '../../../../enroll/registry/certificate-pruning.ts';
import { openLowdbRegistry } from '../../../../enroll/registry/lowdb-registry.ts';
import { certificateOf, deviceRow } from '../../../contract/registry.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const ending = (name: string, notAfterMs: number): ReturnType<typeof certificateOf> =>
  certificateOf(name, { notAfterMs, status: 'retired' });

test('certificates that ended long ago leave the row, and the newest one stays', (t) => {
  const all = [ending('a', 10), ending('b', 20), ending('c', 30)];
  t.deepEqual(withoutEnded(all, 20), [all[2]!]);
  t.deepEqual(withoutEnded(all, 5), all);
  t.deepEqual(withoutEnded(all, 1000), [all[2]!]);
  t.deepEqual(withoutEnded([], 1000), []);
});

test('the audit log has the serial numbers, and a serial number that left is free', async (t) => {
  const clock = fakeClock();
  const events: NumberedEvent[] = [];
  const registry = await openLowdbRegistry(`${tempFolder(t)}/registry`, {
    clock,
    log: silentLog,
    sink: (some) => Promise.resolve(void events.push(...some)),
  });
  t.teardown(() => registry.close());
  const now = clock.now();
  const old = ending('old', now - 1001);
  const recent = ending('recent', now - 999);
  const record = deviceRow('d', {
    certificates: [old, recent, certificateOf('live', { notAfterMs: now + 1 })],
  });
  await registry.commit({ puts: [{ table: 'devices', record, expected: 0 }] });
  const deps = { registry, clock, keepMs: 1000 };
  t.is(await pruneCertificates(deps, () => true), 0);
  t.is(await pruneCertificates(deps, () => false), 1);
  t.is(await pruneCertificates(deps, () => false), 0);
  const row = await registry.get('devices', 'd');
  t.deepEqual(
    row?.certificates.map(({ serial }) => serial),
    record.certificates.slice(1).map(({ serial }) => serial),
  );
  t.like(events.at(-1)?.event, {
    action: 'certificates-pruned',
    actor: 'system',
    device: 'd',
    detail: { serials: old.serial },
  });
  t.is(await registry.holderOfSerial(old.serial), undefined);
  t.is((await registry.holderOfSerial(recent.serial))?.id, record.id);
});
