/**
 * Rows of identities and the certificates in them.
 *
 * @module
 */
import type { IssuedCertificate } from '../../certs/authority.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { isHeld } from './certificate-status.ts';
import type { CertificateRecord, DeviceRecord } from './records.ts';

/** The row of a certificate that was just issued. */
export function certificateRow(
  issued: IssuedCertificate,
  spki: Buffer,
  issuer: string,
): CertificateRecord {
  return {
    serial: issued.serial,
    fingerprint: issued.fingerprint,
    keyFingerprint: issued.keyFingerprint,
    key: spki.toString('base64'),
    issuer,
    notBeforeMs: issued.notBeforeMs,
    notAfterMs: issued.notAfterMs,
    status: 'active',
  };
}

/**
 * The certificates of an identity with a new one at the end. If there are too many, revoked, retired and
 * expired ones are removed first, then the oldest. The certificate with serial number `keep`, which made the
 * request, stays.
 */
export function withCertificate(
  certificates: readonly CertificateRecord[],
  added: CertificateRecord,
  limits: { readonly max: number; readonly nowMs: number; readonly keep?: string },
): CertificateRecord[] {
  const kept = [...certificates];
  while (kept.length >= limits.max) {
    const spent = kept.findIndex(
      ({ status, notAfterMs, serial }) =>
        serial !== limits.keep && (status !== 'active' || notAfterMs < limits.nowMs),
    );
    const oldest = kept.findIndex(({ serial }) => serial !== limits.keep);
    kept.splice(spent === -1 ? Math.max(0, oldest) : spent, 1);
  }
  return [...kept, added];
}

/** A row for an identity that does not exist yet. */
export function newIdentity(
  fields: Pick<DeviceRecord, 'id' | 'role' | 'createdAtMs'> & Partial<DeviceRecord>,
): DeviceRecord {
  return {
    status: 'active',
    group: null,
    attributes: {},
    profile: 'default',
    certificates: [],
    ...fields,
  };
}

/**
 * Checks that a certificate may be used, and that its identity is not locked out.
 *
 * @throws FlotillaError `device-suspended`, `device-revoked`, `client-certificate-revoked`,
 *   `client-certificate-expired`
 */
export function assertStanding(
  row: DeviceRecord,
  certificate: CertificateRecord,
  nowMs: number,
  graceMs: number,
): void {
  if (isHeld(row)) throw new FlotillaError('device-suspended', { detail: row.id });
  if (row.status === 'revoked') throw new FlotillaError('device-revoked', { detail: row.id });
  if (certificate.status !== 'active') throw new FlotillaError('client-certificate-revoked');
  if (nowMs < certificate.notBeforeMs || nowMs >= certificate.notAfterMs + graceMs) {
    throw new FlotillaError('client-certificate-expired', {
      detail: new Date(certificate.notAfterMs).toISOString(),
    });
  }
}
