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

/** The entry of the device, as the directory might say. */
function entryWith(
  entry: Partial<Pick<DirectoryEntry, 'status'>>,
  change: Partial<DirectoryCertificate> = {},
): DirectoryEntry {
  return { ...identity.entry, ...entry, certificates: [{ ...certificate!, ...change }] };
}

function judged(entry: DirectoryEntry, atMs = nowMs): Judgement {
  return judge(entry, identity.fingerprint, graceMs, atMs);
}

function reviewed(entry: DirectoryEntry | undefined): Judgement {
  return review(identity, { ready: true, graceMs, get: () => entry }, nowMs);
}

test('what a certificate allows follows from its dates, to the millisecond', (t) => {
  const entry = entryWith({}, { notBeforeMs: nowMs });
  t.deepEqual(judged(entry, nowMs - 1), { code: 'certificate-not-yet-valid' });
  t.deepEqual(judged(entry, nowMs), full);
  t.deepEqual(judged(entry, notAfterMs - 1), full);
  t.deepEqual(judged(entry, notAfterMs), { standing: 'renewal-only', notAfterMs });
  t.deepEqual(judged(entry, notAfterMs + graceMs - 1), { standing: 'renewal-only', notAfterMs });
  t.deepEqual(judged(entry, notAfterMs + graceMs), { code: 'certificate-expired' });
});

test('a certificate lets nobody in that the directory does not know, or has thrown out', (t) => {
  const other = `sha256:${'1'.repeat(64)}`;
  t.deepEqual(judged(entryWith({}, { fingerprint: other })), { code: 'certificate-unknown' });
  t.deepEqual(judged(entryWith({}, { status: 'revoked' })), { code: 'certificate-revoked' });
  t.deepEqual(judged(entryWith({}, { status: 'retired' })), { code: 'certificate-retired' });
  t.deepEqual(judged(entryWith({ status: 'revoked' })), { code: 'device-revoked' });
  t.deepEqual(judged(entryWith({ status: 'suspended' })), { code: 'device-suspended' });
  const held = entryWith({ status: 'quarantined' });
  t.deepEqual(judged(held), { standing: 'quarantined', notAfterMs });
  t.deepEqual(
    judged(held, notAfterMs),
    { standing: 'quarantined', notAfterMs },
    'not even the renewal, in quarantine',
  );
});

test('a live connection stays on a retired certificate, and obeys everything else', (t) => {
  const retired = { status: 'retired' } as const;
  t.deepEqual(reviewed(entryWith({}, retired)), full);
  t.deepEqual(reviewed(entryWith({ status: 'suspended' }, retired)), { code: 'device-suspended' });
  t.deepEqual(reviewed(entryWith({ status: 'revoked' }, retired)), { code: 'device-revoked' });
  t.deepEqual(reviewed(entryWith({ status: 'quarantined' }, retired)), {
    standing: 'quarantined',
    notAfterMs,
  });
  t.deepEqual(reviewed(entryWith({}, { status: 'revoked' })), { code: 'certificate-revoked' });
  t.deepEqual(reviewed(undefined), { code: 'device-removed' });
});

test('a live connection on a retired certificate that was let out of quarantine is whole again', (t) => {
  identity.standing = 'quarantined';
  t.deepEqual(reviewed(entryWith({}, { status: 'retired' })), full);
});
