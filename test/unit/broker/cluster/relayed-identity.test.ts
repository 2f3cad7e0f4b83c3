import test from 'ava';
import {
  identityOfRelayed,
  relayedFactsOf,
  relayedFactsSchema,
} from '../../../../broker/cluster/relayed-identity.ts';
import type { Identity } from '../../../../broker/contracts/identity.ts';
import type { DirectoryEntry } from '../../../../core/protocol/feed.ts';
import { identityOf } from '../../../support/broker-identity.ts';

const identity = {
  ...identityOf('device-1', { remoteAddress: '::ffff:10.1.2.3' }),
  issuer: Array.from({ length: 32 }, () => '0A').join(':'),
};
const nowMs = identity.notAfterMs - 1000;

function directory(
  entry: DirectoryEntry | undefined,
  ready = true,
): Parameters<typeof identityOfRelayed>[1] {
  return { ready, graceMs: 5000, get: (id) => (id === entry?.id ? entry : undefined) };
}

/** The facts as the other node reads them. */
function transferred(from: Identity = identity): unknown {
  return JSON.parse(JSON.stringify(relayedFactsOf(from)));
}

test('the facts of a connection arrive unchanged, and the directory adds the rest', (t) => {
  const facts = relayedFactsSchema.parse(transferred());
  t.deepEqual(identityOfRelayed(facts, directory(identity.entry), nowMs), identity);
  const without: Identity = identityOf('device-1', { notAfterMs: identity.notAfterMs });
  const fewer = relayedFactsSchema.parse(transferred(without));
  t.deepEqual(identityOfRelayed(fewer, directory(identity.entry), nowMs), without);
});

test('the directory of the receiving node decides', (t) => {
  const facts = relayedFactsSchema.parse(transferred());
  const { entry } = identity;
  const codeOf = (found: DirectoryEntry | undefined, ms = nowMs, ready = true): unknown => {
    const decided = identityOfRelayed(facts, directory(found, ready), ms);
    return 'code' in decided ? decided.code : decided.standing;
  };
  const certificate = entry.certificates[0]!;
  const withCertificate = (change: object): DirectoryEntry => ({
    ...entry,
    certificates: [{ ...certificate, ...change }],
  });
  t.is(codeOf(undefined), 'device-unknown');
  t.is(codeOf(entry, nowMs, false), 'directory-missing');
  t.is(codeOf({ ...entry, certificates: [] }), 'certificate-unknown');
  t.is(codeOf(withCertificate({ serial: '0b' })), 'certificate-unknown');
  t.is(codeOf(withCertificate({ status: 'revoked' })), 'certificate-revoked');
  t.is(codeOf(withCertificate({ status: 'retired' })), 'full');
  t.is(codeOf({ ...entry, status: 'suspended' }), 'device-suspended');
  t.is(codeOf({ ...entry, status: 'revoked' }), 'device-revoked');
  t.is(codeOf({ ...entry, status: 'quarantined' }), 'quarantined');
  t.is(codeOf(entry, identity.notAfterMs), 'renewal-only');
  t.is(codeOf(entry, identity.notAfterMs + 5000), 'certificate-expired');
});

test('facts that are not complete, not bounded or not known are refused', (t) => {
  const good = transferred() as Record<string, unknown>;
  const bad: Record<string, unknown>[] = [
    { id: 'a/b' },
    { id: undefined },
    { serial: 'A0' },
    { serial: '0'.repeat(42) },
    { fingerprint: 'sha256:00' },
    { issuer: 'x' },
    { remoteAddress: 'x'.repeat(65) },
    { tlsVersion: 'SSLv3' },
    { tlsResumed: 'yes' },
    { standing: 'full' },
  ];
  t.true(relayedFactsSchema.safeParse(good).success);
  for (const change of bad) t.false(relayedFactsSchema.safeParse({ ...good, ...change }).success);
});
