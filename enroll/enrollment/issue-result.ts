/**
 * An issued certificate on its way to its holder.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { readCertificate, type CertificateFacts } from '../../certs/certificate.ts';
import type { DeviceId } from '../../core/device-id.ts';
import type { Issued } from '../../core/protocol/enrollment-api.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { AnswerRecord } from '../registry/records.ts';

export interface IssuedAnswer {
  readonly device: DeviceId;
  readonly serial: string;
  readonly fingerprint: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly der: Buffer;
  readonly pem: string;
  /** The issuer's certificate. */
  readonly issuer: CertificateFacts;
}

/** The key of an answer that may be asked for again: by the same authority, with the same CSR. */
export function replayKey(authority: string, csr: Buffer): string {
  return createHash('sha256').update(authority).update('\0').update(csr).digest('hex');
}

/** An answer that was given before. @returns undefined when its issuer is gone */
export function replay(record: AnswerRecord, ca: CertificateAuthority): IssuedAnswer | undefined {
  const issuer = ca.issuer(record.issuer)?.certificate;
  if (issuer === undefined) return undefined;
  const { serial, fingerprint, notBeforeMs, notAfterMs, der, pem } = readCertificate(
    Buffer.from(record.certificate, 'base64'),
  );
  return { device: record.device, serial, fingerprint, notBeforeMs, notAfterMs, der, pem, issuer };
}

/** As the JSON API gives it. */
export function issuedJson(answer: IssuedAnswer, ca: CertificateAuthority): Issued {
  return {
    device: answer.device,
    serial: answer.serial,
    fingerprint: answer.fingerprint,
    notBefore: new Date(answer.notBeforeMs).toISOString(),
    notAfter: new Date(answer.notAfterMs).toISOString(),
    certificate: answer.pem,
    chain: answer.pem + answer.issuer.pem,
    ca: ca.bundle,
  };
}
