import test from 'ava';
import { backdateMs } from '../../../../certs/authority.ts';
import {
  isUndecided,
  strictestEntry,
  type EarlierDirectory,
} from '../../../../broker/feed/earlier-directory.ts';
import { parseDeviceId } from '../../../../core/device-id.ts';
import type { DirectoryCertificate, DirectoryEntry } from '../../../../core/protocol/feed.ts';

const sinceMs = 10_000_000;
const certificate = (
  name: string,
  more: Partial<DirectoryCertificate> = {},
): DirectoryCertificate => ({
  serial: Buffer.from(name).toString('hex'),
  fingerprint: `sha256:${Buffer.from(name).toString('hex').padStart(64, '0')}`,
  notBeforeMs: 1,
  notAfterMs: 20_000_000,
  status: 'active',
  ...more,
});
const entry = (more: Partial<DirectoryEntry> = {}): DirectoryEntry => ({
  id: parseDeviceId('d'),
  role: 'device',
  status: 'active',
  group: null,
  attributes: {},
  certificates: [certificate('a')],
  createdAtMs: 5,
  ...more,
});
const earlierWith = (...entries: DirectoryEntry[]): EarlierDirectory => ({
  sinceMs,
  generation: { registry: 'r', run: 'x', commit: 1, startedAtMs: 1 },
  entries: new Map(entries.map((one) => [one.id as string, one])),
});
const issuedNow = certificate('new', { notBeforeMs: sinceMs - backdateMs + 1 });

test('the stricter status is in force, and group and role are those of the service', (t) => {
  for (const status of ['revoked', 'suspended', 'quarantined'] as const) {
    const now = entry({ group: 'g', role: 'gateway' });
    t.deepEqual(strictestEntry(earlierWith(entry({ status })), now), { ...now, status });
    t.true(isUndecided(earlierWith(entry({ status })), 'd', now));
  }
  const suspended = entry({ status: 'suspended' });
  t.is(strictestEntry(earlierWith(entry()), suspended), suspended);
  t.false(isUndecided(earlierWith(entry()), 'd', suspended));
});

test('a certificate that was revoked, retired or no longer known stays unusable', (t) => {
  for (const status of ['revoked', 'retired'] as const) {
    const before = entry({ certificates: [certificate('a', { status }), certificate('b')] });
    t.is(strictestEntry(earlierWith(before), entry())?.certificates[0]?.status, status);
  }
  const other = earlierWith(entry({ certificates: [certificate('b')] }));
  t.is(strictestEntry(other, entry())?.certificates[0]?.status, 'retired');
});

test('a deleted identity stays refused, and a new one of the restored service is not', (t) => {
  t.is(strictestEntry(earlierWith(), entry()), undefined);
  t.true(isUndecided(earlierWith(), 'd', entry()));
  const created = entry({ createdAtMs: sinceMs, certificates: [issuedNow] });
  t.is(strictestEntry(earlierWith(), created), created);
  t.false(isUndecided(earlierWith(), 'd', created));
});

test('a certificate that is issued in the second of the restore is in force, although it begins before', (t) => {
  const earlier = { ...earlierWith(), sinceMs: sinceMs + 700 };
  const issued = certificate('new', { notBeforeMs: sinceMs - backdateMs });
  const created = entry({ createdAtMs: sinceMs + 900, certificates: [issued] });
  t.is(strictestEntry(earlier, created), created);
  const before = certificate('old', { notBeforeMs: sinceMs - backdateMs - 1000 });
  const found = strictestEntry(earlier, { ...created, certificates: [before, issued] });
  t.deepEqual(
    found?.certificates.map(({ status }) => status),
    ['retired', 'active'],
  );
});

test('what the restored service issues is in force at once, and earlier certificates are not', (t) => {
  const now = entry({ certificates: [certificate('a'), issuedNow] });
  const revoked = entry({
    status: 'revoked',
    certificates: [certificate('a', { status: 'revoked' })],
  });
  const both = strictestEntry(earlierWith(revoked), now);
  t.is(both?.status, 'active');
  t.deepEqual(
    both?.certificates.map(({ status }) => status),
    ['revoked', 'active'],
  );
  t.is(
    strictestEntry(earlierWith(), now)?.certificates.length,
    2,
    'enrolled again after it was deleted',
  );
});

test('certificates and identities that the service does not know are to be decided', (t) => {
  t.true(isUndecided(earlierWith(entry()), 'd', undefined));
  t.true(
    isUndecided(
      earlierWith(entry({ certificates: [certificate('a'), certificate('b')] })),
      'd',
      entry(),
    ),
  );
  t.false(isUndecided(earlierWith(entry()), 'd', entry()));
});
