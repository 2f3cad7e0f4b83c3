import test, { type ExecutionContext } from 'ava';
import type { CrlEntries } from '../../../../certs/crl-entries.ts';
import { decodeDer, tags } from '../../../../certs/der.ts';
import { Fields, serialOf, timeOf } from '../../../../certs/der-fields.ts';
import { parseDeviceId } from '../../../../core/device-id.ts';
import { DeviceAdmin } from '../../../../enroll/devices/devices.ts';
import { silentLog } from '../../../../core/log.ts';
import {
  openLowdbRegistry,
  type LowdbRegistry,
} from '../../../../enroll/registry/lowdb-registry.ts';
import type {
  CertificateRecord,
  DeviceRecord,
  RevocationRecord,
} from '../../../../enroll/registry/records.ts';
import type { Put } from '../../../../enroll/registry/registry.ts';
import { RevokedEntries } from '../../../../enroll/revocation/revoked-entries.ts';
import { certificateOf, deviceRow } from '../../../contract/registry.ts';
import { fakeClock, type FakeClock } from '../../../support/fake-clock.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const issuer = `sha256:${'a'.repeat(64)}`;
const hourMs = 3_600_000;

interface World {
  readonly clock: FakeClock;
  readonly registry: LowdbRegistry;
  readonly entries: RevokedEntries;
  readonly revoke: (serial: string) => Promise<number>;
  /** The serial numbers on the list of an issuer, sorted, with duplicates. */
  readonly serials: (of?: string) => Promise<string[]>;
}

async function open(t: ExecutionContext): Promise<World> {
  const clock = fakeClock();
  const registry = await openLowdbRegistry(`${tempFolder(t)}/registry`, {
    clock,
    log: silentLog,
    sink: () => Promise.resolve(),
  });
  t.teardown(() => registry.close());
  const entries = new RevokedEntries({ registry, clock, keepMs: hourMs });
  return {
    clock,
    registry,
    entries,
    revoke: (serial) => registry.commit({ puts: [revocation(serial, clock)] }),
    serials: async (of = issuer) => serialsOf((await entries.current()).get(of)),
  };
}

function revocation(serial: string, clock: FakeClock, expected = 0): Put {
  const record: RevocationRecord = {
    serial,
    device: parseDeviceId('gone'),
    issuer,
    keyFingerprint: `sha256:${'b'.repeat(64)}`,
    atMs: clock.now(),
    reason: 'superseded',
    notAfterMs: clock.now() + hourMs,
  };
  return { table: 'revocations', record, expected };
}

function serialsOf(entries: CrlEntries | undefined): string[] {
  const list = Buffer.concat(entries?.list() ?? []);
  if (list.length === 0) return [];
  return decodeDer(list, { maxBytes: 1024 * 1024 })
    .children.map((entry) => serialOf(new Fields(entry, tags.sequence, 'entry').next(tags.integer)))
    .sort();
}

test('new revocations are added to those that were read', async (t) => {
  const { revoke, serials, registry } = await open(t);
  await revoke('01');
  t.deepEqual(await serials(), ['01']);
  await revoke('02');
  t.deepEqual(await serials(), ['01', '02']);
  t.deepEqual(await serials(`sha256:${'c'.repeat(64)}`), [], 'of another issuer');
  t.is(await registry.count('revocations'), 2);
});

test('a list that was returned does not change with later revocations', async (t) => {
  const { revoke, entries } = await open(t);
  await revoke('01');
  const before = (await entries.current()).get(issuer)!;
  await revoke('02');
  await entries.current();
  t.deepEqual(serialsOf(before), ['01']);
});

test('a suspended device is on hold until it is resumed or deleted, or its certificate expires', async (t) => {
  const { registry, clock, serials } = await open(t);
  const row = (id: string, serial: string, status: DeviceRecord['status']): DeviceRecord =>
    deviceRow(id, {
      status,
      certificates: [{ ...certificateOf(id), serial, issuer, notAfterMs: clock.now() + hourMs }],
    });
  const set = async (record: DeviceRecord): Promise<number> => {
    const expected = (await registry.get('devices', record.id))?.version ?? 0;
    return registry.commit({ puts: [{ table: 'devices', record, expected }] });
  };
  await set(row('a', 'a1', 'suspended'));
  await set(row('b', 'b1', 'active'));
  t.deepEqual(await serials(), ['a1']);
  await set(row('b', 'b1', 'quarantined'));
  await set(row('c', 'c1', 'suspended'));
  t.deepEqual(await serials(), ['a1', 'b1', 'c1']);
  await set(row('a', 'a1', 'active'));
  const c = (await registry.get('devices', 'c'))!;
  await registry.commit({ deletions: [{ table: 'devices', key: 'c', expected: c.version }] });
  t.deepEqual(await serials(), ['b1']);
  clock.advance(2 * hourMs - 1);
  t.deepEqual(await serials(), ['b1'], 'it must be on a list that is issued after its end');
  clock.advance(1);
  t.deepEqual(await serials(), []);
});

test('a hold keeps the date of its beginning until it ends', async (t) => {
  const { registry, clock, entries } = await open(t);
  const devices = new DeviceAdmin({ registry, clock });
  const id = parseDeviceId('a');
  const certificates = [
    { ...certificateOf('a'), serial: 'a1', issuer, notAfterMs: clock.now() + 90 * hourMs },
  ];
  const record = deviceRow('a', { status: 'active', certificates });
  await registry.commit({ puts: [{ table: 'devices', record, expected: 0 }] });
  const heldSince = async (): Promise<number> => {
    clock.advance(hourMs);
    const list = Buffer.concat((await entries.current()).get(issuer)?.list() ?? []);
    const [entry] = decodeDer(list, { maxBytes: 1024 }).children;
    const fields = new Fields(entry!, tags.sequence, 'entry');
    fields.next(tags.integer);
    return timeOf(fields.next(tags.utcTime));
  };
  const second = (ms: number): number => Math.floor(ms / 1000) * 1000;
  const first = second(clock.now());
  await devices.restrain(id, 'quarantined', 'broker', {});
  t.is(await heldSince(), first);
  await devices.suspend(id, 'operator');
  t.is(await heldSince(), first, 'held more strictly');
  await devices.resume(id, 'operator');
  const again = second(clock.now());
  await devices.suspend(id, 'operator');
  t.is(await heldSince(), again, 'held again');
});

test('entries of deleted rows are removed when everything is read again', async (t) => {
  const { revoke, registry, entries, serials } = await open(t);
  await revoke('01');
  await revoke('02');
  t.deepEqual(await serials(), ['01', '02']);
  const { version } = (await registry.get('revocations', '01'))!;
  await registry.commit({ deletions: [{ table: 'revocations', key: '01', expected: version }] });
  t.deepEqual(await serials(), ['01', '02']);
  entries.forget();
  t.deepEqual(await serials(), ['02']);
});

test('a row that is written twice is one entry', async (t) => {
  const { clock, registry, revoke, serials } = await open(t);
  await revoke('01');
  t.deepEqual(await serials(), ['01']);
  const { version } = (await registry.get('revocations', '01'))!;
  await registry.commit({ puts: [revocation('01', clock, version)] });
  t.deepEqual(await serials(), ['01']);
});

test('a revocation while the registry is read is neither lost nor duplicated', async (t) => {
  const { clock, registry, entries, serials } = await open(t);
  const all: string[] = [];
  const some = (count: number): Put[] =>
    Array.from({ length: count }, () => {
      const serial = `40${all.length.toString(16).padStart(6, '0')}`;
      all.push(serial);
      return revocation(serial, clock);
    });
  await registry.commit({ puts: some(3000) });
  for (let round = 0; round < 5; round++) {
    entries.forget();
    // In memory at once, but durable only while the rows are read.
    const before = registry.commit({ puts: some(50) });
    const state = { reading: true };
    const found = serials().finally(() => (state.reading = false));
    const meanwhile: Promise<number>[] = [];
    while (state.reading) {
      meanwhile.push(registry.commit({ puts: some(20) }));
      await new Promise(setImmediate);
    }
    await found;
    await Promise.all([before, ...meanwhile]);
    t.deepEqual(await serials(), all.toSorted());
  }
});

test('a retired certificate is on the list as superseded, until it is revoked for another reason', async (t) => {
  const { registry, clock, entries, serials, revoke } = await open(t);
  const row = (status: CertificateRecord['status'], notAfterMs: number): DeviceRecord =>
    deviceRow('a', {
      status: 'active',
      certificates: [{ ...certificateOf('a'), serial: 'a1', issuer, status, notAfterMs }],
    });
  const endMs = clock.now() + hourMs;
  await registry.commit({
    puts: [{ table: 'devices', record: row('active', endMs), expected: 0 }],
  });
  t.deepEqual(await serials(), []);
  const { version } = (await registry.get('devices', 'a'))!;
  await registry.commit({
    puts: [{ table: 'devices', record: row('retired', endMs), expected: version }],
  });
  t.deepEqual(await serials(), ['a1']);
  entries.forget();
  t.deepEqual(await serials(), ['a1'], 'read again');
  await revoke('a1');
  t.deepEqual(await serials(), ['a1'], 'one entry');
  entries.forget();
  t.deepEqual(await serials(), ['a1'], 'one entry, read again');
});

test('a revoked certificate whose row was deleted too early is still on the list', async (t) => {
  const { registry, clock, entries, serials, revoke } = await open(t);
  const certificates = [
    {
      ...certificateOf('a'),
      serial: 'a1',
      issuer,
      status: 'revoked',
      notAfterMs: clock.now() + hourMs,
    },
  ] as const;
  const record = deviceRow('a', { status: 'revoked', certificates });
  await registry.commit({ puts: [{ table: 'devices', record, expected: 0 }] });
  await revoke('a1');
  const { version } = (await registry.get('revocations', 'a1'))!;
  await registry.commit({ deletions: [{ table: 'revocations', key: 'a1', expected: version }] });
  entries.forget();
  t.deepEqual(await serials(), ['a1']);
});
