import test from 'ava';
import { uncheckedIdentity } from '../../../../bench/unchecked-identity.ts';
import { CurrentRights } from '../../../../broker/admission/current-rights.ts';
import { IncidentHolds } from '../../../../broker/admission/incident-holds.ts';
import type { LeftBehind, RightsNow } from '../../../../broker/contracts/identity-rights.ts';
import type { DirectoryEntry } from '../../../../core/protocol/feed.ts';

const last = uncheckedIdentity('d');
const certificate = {
  serial: '01',
  fingerprint: last.fingerprint,
  notBeforeMs: 0,
  notAfterMs: 1,
  status: 'active' as const,
};
const active: DirectoryEntry = { ...last.entry, certificates: [certificate] };

function rights(entry: DirectoryEntry | undefined, holds = new IncidentHolds()): CurrentRights {
  return new CurrentRights({ ready: true, graceMs: 0, get: () => entry }, holds);
}

/** What an earlier version stored. */
const unmarked: LeftBehind = { identityCreatedAtMs: undefined, fingerprint: undefined };

const codeOf = (now: RightsNow): string | undefined =>
  now !== 'unknown' && 'code' in now ? now.code : undefined;

test('the rights of an identity without a connection are those of the directory now', (t) => {
  for (const [entry, code] of [
    [undefined, 'device-removed'],
    [{ ...active, status: 'revoked' }, 'device-revoked'],
    [{ ...active, status: 'suspended' }, 'device-suspended'],
    [active, undefined],
  ] as const) {
    t.is(codeOf(rights(entry).of('d', last, unmarked)), code);
    t.is(codeOf(rights(entry).of('d', undefined, unmarked)), code);
  }
});

test('a revoked or unknown certificate ends the rights of the connection that used it, an expired one does not', (t) => {
  const revoked = { ...active, certificates: [{ ...certificate, status: 'revoked' as const }] };
  t.is(codeOf(rights(revoked).of('d', last, unmarked)), 'certificate-revoked');
  t.is(
    codeOf(rights({ ...active, certificates: [] }).of('d', last, unmarked)),
    'certificate-unknown',
  );
  const now = rights(active).of('d', { ...last, entry: { ...active, role: 'old' } }, unmarked);
  if (now === 'unknown' || 'code' in now) return t.fail();
  t.is(now.identity.entry, active);
  t.is(now.identity.standing, 'full');
});

test('quarantine, incident holds and a missing directory count too', (t) => {
  const quarantined = rights({ ...active, status: 'quarantined' }).of('d', last, unmarked);
  if (quarantined === 'unknown' || 'code' in quarantined) return t.fail();
  t.is(quarantined.identity.standing, 'quarantined');
  const holds = new IncidentHolds();
  holds.add('d', 'suspend', 'device-cloned', active);
  t.is(codeOf(rights(active, holds).of('d', undefined, unmarked)), 'device-cloned');
  const empty = { ready: false, graceMs: 0, get: () => undefined };
  t.is(new CurrentRights(empty, holds).of('d', last, unmarked), 'unknown');
});

test('after a restart, what was stored names the identity and the certificate', (t) => {
  const { fingerprint } = last;
  const revoked = { ...active, certificates: [{ ...certificate, status: 'revoked' as const }] };
  const stored = { identityCreatedAtMs: 5, fingerprint };
  const of = (entry: DirectoryEntry, left: LeftBehind): string | undefined =>
    codeOf(rights(entry).of('d', undefined, left));
  t.is(of({ ...active, createdAtMs: 5 }, stored), undefined);
  t.is(of({ ...active, createdAtMs: 6 }, stored), 'device-removed', 'another one has the name');
  t.is(of(active, stored), undefined, 'the directory of an earlier version');
  t.is(of(revoked, stored), 'certificate-revoked');
  t.is(of({ ...active, certificates: [] }, stored), 'certificate-unknown');
  t.is(of(revoked, unmarked), undefined, 'the store of an earlier version');
});
