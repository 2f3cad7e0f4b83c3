/**
 * Compares the broker's RSA certificate with its P-256 certificate, which it follows: another name or another
 * issuer there causes a new RSA certificate.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import type { BrokerTlsMaterial } from './tls-material.ts';

/**
 * Why the RSA certificate has to be replaced although its renewal is not due.
 *
 * @returns undefined when it has the same names, and no issuer that the newer P-256 certificate no longer has
 */
export function rsaDifference({
  identity,
  rsa,
}: Pick<BrokerTlsMaterial, 'identity' | 'rsa'>): string | undefined {
  if (rsa === undefined) return 'missing';
  const { leaf } = identity;
  if (rsa.leaf.subjectAltName !== leaf.subjectAltName) return `names ${namesOf(leaf)}`;
  // With an older P-256 certificate, the RSA certificate already has the issuer of the next one.
  const isOlder = leaf.validFromDate < rsa.leaf.validFromDate;
  return !isOlder && rsa.leaf.issuer !== leaf.issuer ? `issuer ${leaf.issuer}` : undefined;
}

function namesOf({ subjectAltName = '' }: X509Certificate): string {
  return subjectAltName;
}
