/**
 * The result of issuing a certificate, and how to return it again for a repeated request.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { readCertificate, type CertificateFacts } from '../../certs/certificate.ts';
import type { Clock } from '../../core/clock.ts';
import type { DeviceId } from '../../core/device-id.ts';
import type { Issued } from '../../core/protocol/enrollment-api.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { ReplayRecord } from '../registry/records.ts';
import type { Registry } from '../registry/registry.ts';

export interface IssueResult {
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

/** The key of a replay: only the same authority with the same CSR gets it. */
export function replayKey(authority: string, csr: Buffer): string {
  return createHash('sha256').update(authority).update('\0').update(csr).digest('hex');
}

/** Where the result of a request is kept for a repetition of the request. */
export interface ReplaySlot {
  readonly key: string;
  /** The version of the row that was read; 0: there was none. */
  readonly expected: number;
}

/** Looks for the result of the same request. A certificate that is no longer accepted is no result. */
export async function findReplay(
  key: string,
  device: DeviceId,
  {
    registry,
    ca,
    clock,
  }: { readonly registry: Registry; readonly ca: CertificateAuthority; readonly clock: Clock },
): Promise<{ readonly slot: ReplaySlot; readonly result: IssueResult | undefined }> {
  const found = await registry.get('answers', key);
  const isCurrent =
    found !== undefined && found.expiresAtMs > clock.now() && found.device === device;
  const row = isCurrent ? await registry.get('devices', device) : undefined;
  const isGood =
    row?.status === 'active' &&
    row.certificates.some(({ serial, status }) => serial === found?.serial && status === 'active');
  return {
    slot: { key, expected: found?.version ?? 0 },
    result: found !== undefined && isGood ? replay(found, ca) : undefined,
  };
}

/** @returns undefined when the issuer was retired */
function replay(record: ReplayRecord, ca: CertificateAuthority): IssueResult | undefined {
  const issuer = ca.issuer(record.issuer)?.certificate;
  if (issuer === undefined) return undefined;
  const { serial, fingerprint, notBeforeMs, notAfterMs, der, pem } = readCertificate(
    Buffer.from(record.certificate, 'base64'),
  );
  return { device: record.device, serial, fingerprint, notBeforeMs, notAfterMs, der, pem, issuer };
}

/** The form of the JSON API. @param renewAtMs when the certificate should be renewed */
export function issuedJson(
  result: IssueResult,
  ca: CertificateAuthority,
  renewAtMs: number,
): Issued {
  return {
    device: result.device,
    serial: result.serial,
    fingerprint: result.fingerprint,
    notBefore: new Date(result.notBeforeMs).toISOString(),
    notAfter: new Date(result.notAfterMs).toISOString(),
    certificate: result.pem,
    chain: result.pem + ca.chainAbove(result.issuer.fingerprint),
    ca: ca.bundleOf(result.issuer.fingerprint),
    renewAt: new Date(renewAtMs).toISOString(),
  };
}
