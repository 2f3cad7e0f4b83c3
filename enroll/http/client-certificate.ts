/**
 * Identifies a TLS client by the certificate whose key it has proved to own.
 *
 * The registry decides: the certificate must be one that this service has issued, byte for byte (compared by
 * fingerprint). TLS must also have verified the chain. The check is made for every request, including those
 * of resumed TLS sessions, because resumption skips the verification.
 *
 * @module
 */
import { type X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { certificateFingerprint, chainError } from '../../certs/certificate.ts';
import type { Config } from '../../core/config/config.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import { mayRenewWithdrawn } from '../enrollment/withdrawn-renewal.ts';
import { assertStanding } from '../registry/device-rows.ts';
import type { CertificateRecord, DeviceRecord } from '../registry/records.ts';
import type { Registry, Stored } from '../registry/registry.ts';

export interface ClientIdentity {
  readonly record: Stored<DeviceRecord>;
  readonly certificate: CertificateRecord;
  readonly x509: X509Certificate;
}

/** The certificate that the client has proved to own; nothing else is checked. */
export function peerCertificate(socket: Socket): X509Certificate | undefined {
  return socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
}

/** What a call accepts besides a valid certificate. */
export interface Leniency {
  /** How long after its expiry a certificate is still accepted. */
  readonly graceMs: number;
  /** Whether a certificate of a holder with this role is accepted although its issuer was withdrawn. */
  readonly withdrawn: (role: string) => boolean;
}

/** Only valid certificates. */
export const strict: Leniency = { graceMs: 0, withdrawn: () => false };

/**
 * A broker applies the withdrawal of the issuer of its own certificate, and reports that, before it has a new
 * certificate. A forged one gives nothing, because the registry does not contain it.
 */
export const brokerLeniency: Leniency = { graceMs: 0, withdrawn: (role) => role === 'broker' };

/** What a renewal accepts. */
export function leniencyOf(config: Config): Leniency {
  const withdrawn = (role: string): boolean => mayRenewWithdrawn(config, role);
  return { graceMs: config.enroll.renewGrace, withdrawn };
}

/**
 * The identity of a client.
 *
 * @throws FlotillaError `client-certificate-…`, `device-suspended`, `device-revoked`
 */
export async function identifyClient(
  socket: Socket,
  { registry, ca }: { readonly registry: Registry; readonly ca: CertificateAuthority },
  nowMs: number,
  { graceMs, withdrawn }: Leniency,
): Promise<ClientIdentity> {
  const x509 = peerCertificate(socket);
  if (x509 === undefined) throw new FlotillaError('client-certificate-required');
  const record = await registry.holderOfSerial(certificateSerial(x509));
  const certificate = record?.certificates.find(
    (one) => one.fingerprint === certificateFingerprint(x509),
  );
  if (record === undefined || certificate === undefined || !isChained(socket)) {
    throw new FlotillaError('client-certificate-untrusted');
  }
  assertStanding(record, certificate, nowMs, graceMs);
  if (ca.isWithdrawn(certificate.issuer) && !withdrawn(record.role)) {
    throw new FlotillaError('client-certificate-withdrawn', { detail: record.id });
  }
  return { record, certificate, x509 };
}

/** @throws FlotillaError `client-certificate-required` */
export function requireIdentity(identity: ClientIdentity | undefined): ClientIdentity {
  if (identity === undefined) throw new FlotillaError('client-certificate-required');
  return identity;
}

/** The serial number in the form of the registry. */
export function certificateSerial(x509: X509Certificate): string {
  const digits = x509.serialNumber.toLowerCase();
  return digits.length % 2 === 0 ? digits : `0${digits}`;
}

/** The dates are decided above, by the service's own clock and with the grace period. OpenSSL checks them last. */
function isChained(socket: Socket): boolean {
  if (!(socket instanceof TLSSocket)) return false;
  if (socket.authorized) return true;
  const error = chainError(socket);
  return error === 'CERT_HAS_EXPIRED' || error === 'CERT_NOT_YET_VALID';
}
