/**
 * Who has protected a CMP message (RFC 9483, 3.5): the holder of a token, by a MAC; a device, by the signature of its
 * current certificate; or a new device, by the signature of its factory certificate.
 *
 * @module
 */
import { timingSafeEqual, type X509Certificate } from 'node:crypto';
import { claimedAlgorithm, signatureIsRight } from '../../certs/algorithms.ts';
import { readCertificate, type CertificateFacts } from '../../certs/certificate.ts';
import { pathIntermediatesMax } from '../../certs/certification-path.ts';
import { isMacAlgorithm, macOf, readMac, type CmpMac } from '../../certs/cmp-mac.ts';
import { readCmp, type CmpMessage } from '../../certs/cmp-message.ts';
import type { DerNode } from '../../certs/der.ts';
import { publicKeyObject, readSpkiBytes } from '../../certs/public-key.ts';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { Factories, FactoryAuthorization } from '../enrollment/factories.ts';
import { tokenName, type Tokens } from '../enrollment/tokens.ts';
import { mayRenewWithdrawn } from '../enrollment/withdrawn-renewal.ts';
import { assertStanding } from '../registry/device-rows.ts';
import type { CertificateRecord, DeviceRecord } from '../registry/records.ts';
import type { Registry } from '../registry/registry.ts';

export type CmpSender =
  | {
      readonly kind: 'token';
      /** In the audit log. */
      readonly name: string;
      readonly token: string;
      /** Null: a token for a group. */
      readonly device: DeviceId | null;
      readonly mac: CmpMac;
    }
  | {
      readonly kind: 'factory';
      readonly name: string;
      readonly factory: FactoryAuthorization;
    }
  | {
      readonly kind: 'identity';
      readonly name: string;
      readonly row: DeviceRecord;
      readonly certificate: CertificateRecord;
      readonly facts: CertificateFacts;
    };

export interface CmpSenderDeps {
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly config: Config;
  readonly factories: Factories;
  readonly registry: Registry;
  readonly tokens: Tokens;
}

/**
 * Verifies the protection of a message.
 *
 * @throws FlotillaError `cmp-protection-missing`, `cmp-protection-invalid`, `cmp-algorithm-refused`, `cmp-malformed`,
 *   `token-invalid` (no such token for CMP, or another secret), `client-certificate-…`, `device-…`,
 *   `factory-certificate-refused`
 */
export async function cmpSender(message: CmpMessage, deps: CmpSenderDeps): Promise<CmpSender> {
  const { header, protection } = message;
  const { algorithm } = header;
  if (algorithm === undefined || protection === undefined) {
    throw new FlotillaError('cmp-protection-missing');
  }
  return readCmp(() => isMacAlgorithm(algorithm))
    ? byToken(message, algorithm, protection, deps)
    : bySignature(message, algorithm, protection, deps);
}

/** The MAC is computed only for a reference that exists: nobody can guess one of 256 bits. */
async function byToken(
  { header, protectedPart }: CmpMessage,
  algorithm: DerNode,
  protection: Buffer,
  { tokens }: CmpSenderDeps,
): Promise<CmpSender> {
  const mac = readCmp(() => readMac(algorithm));
  const reference = header.senderKeyId?.toString('latin1') ?? '';
  const { token, record } = await tokens.ofReference(reference);
  const expected = await macOf(mac, Buffer.from(token), protectedPart);
  if (expected.length !== protection.length || !timingSafeEqual(expected, protection)) {
    throw new FlotillaError('token-invalid', { detail: 'the MAC is not valid' });
  }
  return { kind: 'token', name: tokenName(record.hash), token, device: record.device, mac };
}

async function bySignature(
  message: CmpMessage,
  algorithm: DerNode,
  protection: Buffer,
  deps: CmpSenderDeps,
): Promise<CmpSender> {
  const { registry } = deps;
  const [first, ...others] = message.certificates;
  if (first === undefined) {
    throw new FlotillaError('cmp-protection-invalid', { detail: 'extraCerts is empty' });
  }
  const facts = readCertificate(first);
  const row = await registry.holderOfSerial(facts.serial);
  const certificate = row?.certificates.find((one) => one.fingerprint === facts.fingerprint);
  if (row !== undefined && certificate !== undefined) {
    assertSigned(message, algorithm, protection, facts);
    assertMayAct(row, certificate, deps);
    return { kind: 'identity', name: facts.fingerprint, row, certificate, facts };
  }
  const chain = chainOf(facts.x509, others);
  const factory = deps.factories.authorization(facts.x509, chain);
  if (factory === undefined) throw new FlotillaError('client-certificate-untrusted');
  assertSigned(message, algorithm, protection, facts);
  return { kind: 'factory', name: facts.fingerprint, factory };
}

/** @throws FlotillaError `cmp-protection-invalid`, `cmp-algorithm-refused` */
function assertSigned(
  { header, protectedPart }: CmpMessage,
  algorithm: DerNode,
  protection: Buffer,
  { spki, subject, subjectKeyId }: CertificateFacts,
): void {
  const invalid = (detail: string): FlotillaError =>
    new FlotillaError('cmp-protection-invalid', { detail });
  // RFC 9483, 3.1: sender and senderKID are those of the certificate.
  if (header.senderName?.equals(subject) !== true) throw invalid('the sender is another one');
  const { senderKeyId } = header;
  if (senderKeyId !== undefined && subjectKeyId?.equals(senderKeyId) === false) {
    throw invalid('senderKID is of another certificate');
  }
  const facts = readCmp(() => supportedKey(spki));
  const claimed = readCmp(() => claimedAlgorithm(algorithm, facts.type));
  if (claimed === undefined) throw new FlotillaError('cmp-algorithm-refused');
  if (!signatureIsRight(claimed, protectedPart, publicKeyObject(facts), protection)) {
    throw invalid('the signature is not valid');
  }
}

function supportedKey(spki: Buffer): ReturnType<typeof readSpkiBytes> {
  try {
    return readSpkiBytes(spki);
  } catch (error) {
    if (!isFlotillaError(error, 'csr-key-unsupported')) throw error;
    throw new FlotillaError('cmp-algorithm-refused', {
      cause: error,
      ...(error.detail === undefined ? {} : { detail: error.detail }),
    });
  }
}

/** The certificate may have expired, for a renewal. @throws FlotillaError `device-…`, `client-certificate-…` */
function assertMayAct(
  row: DeviceRecord,
  certificate: CertificateRecord,
  { ca, clock, config }: CmpSenderDeps,
): void {
  assertStanding(row, certificate, clock.now(), config.enroll.renewGrace);
  if (ca.isWithdrawn(certificate.issuer)) {
    if (mayRenewWithdrawn(config, row.role)) return;
    throw new FlotillaError('client-certificate-withdrawn', { detail: row.id });
  }
  if (ca.issuer(certificate.issuer) === undefined) {
    throw new FlotillaError('client-certificate-untrusted');
  }
}

/** A leaf, then the certificates that signed each other, out of a set in any order. */
function chainOf(leaf: X509Certificate, others: readonly Buffer[]): X509Certificate[] {
  const rest = others.map((der) => readCertificate(der).x509);
  const chain = [leaf];
  for (let last = leaf; chain.length <= pathIntermediatesMax;) {
    const next = rest.find((one) => last.checkIssued(one) && !chain.includes(one));
    if (next === undefined) break;
    chain.push(next);
    last = next;
  }
  return chain;
}
