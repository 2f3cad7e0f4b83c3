/**
 * A CA for a test: real certificates, created in memory in a millisecond.
 *
 * @module
 */
import { Authority, createRoot } from '../../certs/authority.ts';
import { generateKeySync, privateKeyPem, spkiOf } from '../../certs/key.ts';
import { subjectNamesOf } from '../../certs/subject-names.ts';
import type { CertificateProfile } from '../../certs/profile.ts';
import { systemClock, type Clock } from '../../core/clock.ts';

/** PEM, ready for node:tls. */
export interface TestIdentity {
  readonly key: string;
  /** Leaf, then issuer. */
  readonly cert: string;
  readonly leaf: string;
  readonly serial: string;
  readonly fingerprint: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface TestCa {
  /** PEM of the root, and its fingerprint. */
  readonly root: string;
  readonly fingerprint: string;
  /** PEM: root, then issuer, as `ca.pem` has them. */
  readonly ca: string;
  readonly issuer: Authority;
  issue(options: {
    readonly profile: CertificateProfile;
    readonly commonName: string;
    /** Host names and addresses. */
    readonly names?: readonly string[];
    readonly validityMs?: number;
    readonly notBeforeMs?: number;
  }): TestIdentity;
}

const dayMs = 86_400_000;

/** Creates a root and an issuer below it, both P-256, valid for ten years by `clock`. */
export function testCa(name = 'Test', clock: Clock = systemClock): TestCa {
  const validityMs = 3650 * dayMs;
  const rootKey = generateKeySync('p256');
  const root = createRoot({ commonName: `${name} root`, validityMs, key: rootKey, clock });
  const above = new Authority({ key: rootKey, certificate: root.der, clock });
  const issuerKey = generateKeySync('p256');
  const issued = above.issue({
    spki: spkiOf(issuerKey),
    profile: 'issuer',
    commonName: `${name} issuer`,
    validityMs,
  });
  const issuer = new Authority({ key: issuerKey, certificate: issued.der, clock });
  return {
    root: root.pem,
    fingerprint: root.fingerprint,
    ca: root.pem + issued.pem,
    issuer,
    issue({ profile, commonName, names = [], validityMs: lastsMs = dayMs, notBeforeMs }) {
      const key = generateKeySync('p256');
      const leaf = issuer.issue({
        spki: spkiOf(key),
        profile,
        commonName,
        names: subjectNamesOf(names),
        validityMs: lastsMs,
        ...(notBeforeMs === undefined ? {} : { notBeforeMs }),
      });
      return {
        key: privateKeyPem(key),
        cert: leaf.pem + issued.pem,
        leaf: leaf.pem,
        serial: leaf.serial,
        fingerprint: leaf.fingerprint,
        notBeforeMs: leaf.notBeforeMs,
        notAfterMs: leaf.notAfterMs,
      };
    },
  };
}
