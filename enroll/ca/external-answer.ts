/**
 * Which certificates of an external issuing CA are accepted. The CA decides what it signs; this service decides what
 * it takes. Pure.
 *
 * @module
 */
import type { CertificateFacts } from '../../certs/certificate.ts';
import { pathFault } from '../../certs/certification-path.ts';
import { oids } from '../../certs/oids.ts';
import { plainNames, type SubjectNames } from '../../certs/subject-names.ts';
import { dayMs } from '../../core/config/duration.ts';

/** How much longer than requested a certificate may be valid: the clocks and the rounding of two machines differ. */
const validitySlackMs = dayMs / 24;

/** What was requested. */
export interface ExpectedCertificate {
  readonly device: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
  readonly names: SubjectNames;
  readonly validityMs: number;
  /** The external issuer that this service trusts now. */
  readonly issuer: CertificateFacts;
  readonly nowMs: number;
}

/**
 * Why a certificate of the external CA is not accepted; undefined when it is. It must be a certificate of a TLS client
 * for the requested key and name, of the trusted issuer, valid now, and not longer than requested. It must not be good
 * for servers: a device could pose as a broker with it.
 */
export function externalAnswerFault(
  certificate: CertificateFacts,
  { device, spki, names, validityMs, issuer, nowMs }: ExpectedCertificate,
): string | undefined {
  const { commonName, extendedKeyUsage, notAfterMs } = certificate;
  if (!certificate.spki.equals(spki)) return 'the certificate is for another key';
  if (!commonName.ok || commonName.id !== device) return `the common name is not ${device}`;
  const requested = new Set(plainNames(names));
  const added = plainNames(certificate.names).filter((name) => !requested.has(name));
  if (added.length > 0) return 'the certificate has names that were not requested';
  if (!extendedKeyUsage.includes(oids.clientAuth)) return 'the certificate is not for TLS clients';
  if (extendedKeyUsage.some((usage) => usage === oids.serverAuth || usage === oids.anyUsage)) {
    return 'the certificate could be used by a server';
  }
  if (notAfterMs > nowMs + validityMs + validitySlackMs) {
    return `the certificate is valid until ${new Date(notAfterMs).toISOString()}, longer than requested`;
  }
  return pathFault([certificate], issuer, nowMs);
}
