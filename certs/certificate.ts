/**
 * Parses certificates into the facts that decisions need.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { isDeviceId, type DeviceId } from '../core/device-id.ts';
import type { ErrorCode } from '../core/errors/catalogue.ts';
import { FlotillaError, messageOf } from '../core/errors/flotilla-error.ts';
import { contextTag, decodeDer, tags } from './der.ts';
import { expectTag, Fields, oidOf, serialOf, timeOf } from './der-fields.ts';
import { readExtensions, type Extension } from './extensions.ts';
import { fingerprintOf } from './key.ts';
import { oids } from './oids.ts';
import { pemOf } from './pem.ts';
import { decodeNames, noNames, type SubjectNames } from './subject-names.ts';

export { splitPem } from './pem.ts';

/** The identity in the subject of a certificate, or the reason why there is none. */
export type CommonName =
  | { readonly ok: true; readonly id: DeviceId }
  | {
      readonly ok: false;
      readonly code: Extract<
        ErrorCode,
        'certificate-cn-missing' | 'certificate-cn-multiple' | 'certificate-cn-invalid'
      >;
    };

export interface CertificateFacts {
  readonly der: Buffer;
  readonly pem: string;
  readonly x509: X509Certificate;
  /** Lower-case hexadecimal, even count of digits. */
  readonly serial: string;
  readonly fingerprint: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
  /** Over the SPKI. */
  readonly keyFingerprint: string;
  readonly commonName: CommonName;
  readonly names: SubjectNames;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Name, DER: equal bytes are equal names. */
  readonly subject: Buffer;
  /** Name, DER. */
  readonly issuer: Buffer;
  readonly isCa: boolean;
  /** OIDs; empty when there is no such extension. */
  readonly extendedKeyUsage: readonly string[];
  readonly subjectKeyId: Buffer | undefined;
  /** By OID. */
  readonly extensions: ReadonlyMap<string, Extension>;
  /** AlgorithmIdentifier, DER, of the signature. */
  readonly signatureAlgorithm: Buffer;
}

/** The largest certificate that is read, as DER, in bytes. */
export const certificateMaxBytes = 64 * 1024;

/**
 * Reads a certificate. Its signature, its dates and its issuer are not checked.
 *
 * @param input DER, or PEM of one certificate
 * @throws FlotillaError `certificate-unreadable`
 */
export function readCertificate(input: X509Certificate | Buffer | string): CertificateFacts {
  try {
    return read(input instanceof X509Certificate ? input : new X509Certificate(input));
  } catch (error) {
    throw new FlotillaError('certificate-unreadable', { detail: messageOf(error), cause: error });
  }
}

/**
 * The identity in the subject of a certificate: exactly one common name, alone in its relative name,
 * that follows the grammar of {@link DeviceId}. Takes 2 µs, because it runs for every connection.
 */
export function commonNameOf(x509: X509Certificate): CommonName {
  // One relative name per line; "+" joins the values of one. node:crypto escapes line breaks, control
  // characters and "+" inside values, so a value cannot pretend to be another attribute: an escaped
  // "+" in front of "CN=" counts as a second name, which is rejected.
  // The published type is string, but a certificate without a subject has undefined.
  const subject = (x509.subject as string | undefined) ?? '';
  const found = subject.split('\n').filter((line) => /(?:^|\+ )CN=/.test(line));
  const [line] = found;
  if (line === undefined) return { ok: false, code: 'certificate-cn-missing' };
  if (found.length > 1 || line.split(/(?:^|\+ )CN=/).length > 2) {
    return { ok: false, code: 'certificate-cn-multiple' };
  }
  const id = line.slice('CN='.length);
  return line.startsWith('CN=') && isDeviceId(id)
    ? { ok: true, id }
    : { ok: false, code: 'certificate-cn-invalid' };
}

/** The SHA-256 fingerprint over the DER: `sha256:` and 64 lower-case hexadecimal digits. */
export function certificateFingerprint(x509: X509Certificate): string {
  return `sha256:${x509.fingerprint256.replaceAll(':', '').toLowerCase()}`;
}

/**
 * Why OpenSSL did not accept the certificate chain of a TLS peer, by its name in Node.js
 * (`CERT_HAS_EXPIRED`); undefined when it accepted the chain.
 */
export function chainError(
  socket: Pick<TLSSocket, 'authorized' | 'authorizationError'>,
): string | undefined {
  if (socket.authorized) return undefined;
  // The published type says Error; the value is the code, or an error that has the code.
  const error: unknown = socket.authorizationError;
  if (typeof error === 'string' && error !== '') return error;
  if (error instanceof Error) return 'code' in error ? String(error.code) : error.message;
  return 'unauthorized';
}

function read(x509: X509Certificate): CertificateFacts {
  const der = x509.raw;
  const outer = new Fields(
    decodeDer(der, { maxBytes: certificateMaxBytes }),
    tags.sequence,
    'certificate',
  );
  const tbs = new Fields(outer.next(tags.sequence), tags.sequence, 'certificate');
  tbs.optional(contextTag(0));
  const serial = serialOf(tbs.next(tags.integer));
  tbs.next(tags.sequence);
  const issuer = tbs.next(tags.sequence).der;
  const validity = new Fields(tbs.next(tags.sequence), tags.sequence, 'validity');
  const notBeforeMs = timeOf(validity.any());
  const notAfterMs = timeOf(validity.any());
  const subject = tbs.next(tags.sequence).der;
  const spki = tbs.next(tags.sequence).der;
  // Unique identifiers are obsolete, but may occur before the extensions.
  tbs.optional(contextTag(1, 'primitive'));
  tbs.optional(contextTag(2, 'primitive'));
  const wrapped = tbs.optional(contextTag(3));
  tbs.end();
  const found =
    wrapped === undefined ? undefined : new Fields(wrapped, contextTag(3), 'extensions');
  const extensions =
    found === undefined ? new Map<string, Extension>() : readExtensions(found.next(tags.sequence));
  const value = (name: string): Buffer | undefined => extensions.get(name)?.value;
  const altNames = value(oids.subjectAltName);
  const keyId = value(oids.subjectKeyIdentifier);
  const usages = value(oids.extendedKeyUsage);
  return {
    der,
    pem: pemOf('CERTIFICATE', der),
    x509,
    serial,
    fingerprint: fingerprintOf(der),
    spki,
    keyFingerprint: fingerprintOf(spki),
    commonName: commonNameOf(x509),
    names: altNames === undefined ? noNames : decodeNames(inner(altNames), 'skip'),
    notBeforeMs,
    notAfterMs,
    subject,
    issuer,
    isCa: x509.ca,
    extendedKeyUsage: usages === undefined ? [] : inner(usages).children.map(oidOf),
    subjectKeyId:
      keyId === undefined
        ? undefined
        : expectTag(inner(keyId), tags.octetString, 'subject key identifier').content,
    extensions,
    signatureAlgorithm: outer.next(tags.sequence).der,
  };
}

function inner(value: Buffer): ReturnType<typeof decodeDer> {
  return decodeDer(value, { maxBytes: certificateMaxBytes });
}
