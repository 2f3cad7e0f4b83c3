import test from 'ava';
import { judge, review, type Judgement } from '../../../../broker/admission/admission.ts';
import type { DirectoryCertificate, DirectoryEntry } from '../../../../core/protocol/feed.ts';
import { identityOf } from '../../../support/broker-identity.ts';

const nowMs = 1_000_000;
const graceMs = 1000;
const notAfterMs = nowMs + 50_000;
const full: Judgement = { standing: 'full', notAfterMs };

const identity = identityOf('dev', { notAfterMs });
const [certificate] = identity.entry.certificates;

/** The directory entry of the device. */
function entryWith(
  entry: Partial<Pick<DirectoryEntry, 'status'>>,
  change: Partial<DirectoryCertificate> = {},
): DirectoryEntry {
  return { ...identity.entry, ...entry, certificates: [{ ...certificate!, ...change }] };
}

function judgeNew(entry: DirectoryEntry, atMs = nowMs): Judgement {
  return judge(entry, identity.fingerprint, graceMs, atMs);
}

function reviewLive(entry: DirectoryEntry | undefined): Judgement {
  return review(identity, { ready: true, graceMs, get: () => entry }, nowMs);
}

test('the dates of a certificate decide, to the millisecond', (t) => {
  const entry = entryWith({}, { notBeforeMs: nowMs });
  t.deepEqual(judgeNew(entry, nowMs - 1), { code: 'certificate-not-yet-valid' });
  t.deepEqual(judgeNew(entry, nowMs), full);
  t.deepEqual(judgeNew(entry, notAfterMs - 1), full);
  t.deepEqual(judgeNew(entry, notAfterMs), { standing: 'renewal-only', notAfterMs });
  t.deepEqual(judgeNew(entry, notAfterMs + graceMs - 1), { standing: 'renewal-only', notAfterMs });
  t.deepEqual(judgeNew(entry, notAfterMs + graceMs), { code: 'certificate-expired' });
});

test('a certificate that is unknown, revoked or suspended in the directory is refused', (t) => {
  const other = `sha256:${'1'.repeat(64)}`;
  t.deepEqual(judgeNew(entryWith({}, { fingerprint: other })), { code: 'certificate-unknown' });
  t.deepEqual(judgeNew(entryWith({}, { status: 'revoked' })), { code: 'certificate-revoked' });
  t.deepEqual(judgeNew(entryWith({}, { status: 'retired' })), { code: 'certificate-retired' });
  t.deepEqual(judgeNew(entryWith({ status: 'revoked' })), { code: 'device-revoked' });
  t.deepEqual(judgeNew(entryWith({ status: 'suspended' })), { code: 'device-suspended' });
  const held = entryWith({ status: 'quarantined' });
  t.deepEqual(judgeNew(held), { standing: 'quarantined', notAfterMs });
  t.deepEqual(
    judgeNew(held, notAfterMs),
    { standing: 'quarantined', notAfterMs },
    'in quarantine, renewal is not allowed either',
  );
});

test('a live connection continues with a retired certificate, unless something else forbids it', (t) => {
  const retired = { status: 'retired' } as const;
  t.deepEqual(reviewLive(entryWith({}, retired)), full);
  t.deepEqual(reviewLive(entryWith({ status: 'suspended' }, retired)), {
    code: 'device-suspended',
  });
  t.deepEqual(reviewLive(entryWith({ status: 'revoked' }, retired)), { code: 'device-revoked' });
  t.deepEqual(reviewLive(entryWith({ status: 'quarantined' }, retired)), {
    standing: 'quarantined',
    notAfterMs,
  });
  t.deepEqual(reviewLive(entryWith({}, { status: 'revoked' })), { code: 'certificate-revoked' });
  t.deepEqual(reviewLive(undefined), { code: 'device-removed' });
});

test('a live connection with a retired certificate has full permissions after its quarantine', (t) => {
  identity.standing = 'quarantined';
  t.deepEqual(reviewLive(entryWith({}, { status: 'retired' })), full);
});
