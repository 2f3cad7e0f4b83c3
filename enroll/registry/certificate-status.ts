/**
 * What a certificate is worth now, derived from its row and the row of its holder.
 *
 * @module
 */
import type { CertificateRecord, DeviceRecord } from './records.ts';

/** The status that the API shows. */
export function certificateStatus(
  { status, notAfterMs }: CertificateRecord,
  nowMs: number,
): CertificateRecord['status'] | 'expired' {
  return status === 'active' && notAfterMs <= nowMs ? 'expired' : status;
}

/** Whether an identity is locked out, but may be let in again. */
export function isHeld({ status }: Pick<DeviceRecord, 'status'>): boolean {
  return status === 'suspended' || status === 'quarantined';
}

/** Since when an identity has been locked out, in ms since 1970; undefined when it is not. */
export function heldSinceMs(record: DeviceRecord, nowMs: number): number | undefined {
  return isHeld(record) ? (record.heldSinceMs ?? nowMs) : undefined;
}

/**
 * When a certificate lost its validity, for one without a row in `revocations`. Rows of earlier versions do not have
 * the time; the first use, or the beginning of the certificate, is never too late.
 */
export function endedSinceMs({ retiredAtMs, seenAtMs, notBeforeMs }: CertificateRecord): number {
  return retiredAtMs ?? seenAtMs ?? notBeforeMs;
}

/**
 * The revocation of a certificate that has no row of its own in `revocations`: undefined when it is good.
 * A retired certificate was superseded by a newer one.
 * The certificates of an identity that is locked out are on hold (RFC 5280, 5.3.1).
 */
export function revocationOf(
  holder: DeviceRecord,
  certificate: CertificateRecord,
  nowMs: number,
): { readonly atMs: number; readonly reason?: 'certificateHold' | 'superseded' } | undefined {
  const { status } = certificate;
  if (status === 'revoked') return { atMs: endedSinceMs(certificate) };
  if (status === 'retired') return { atMs: endedSinceMs(certificate), reason: 'superseded' };
  const atMs = heldSinceMs(holder, nowMs);
  return atMs === undefined ? undefined : { atMs, reason: 'certificateHold' };
}
