/**
 * OCSP (RFC 6960): parses requests within limits and signs responses with a delegated responder.
 *
 * The certificate of the responder comes from the issuer that it responds for, with the usage OCSPSigning
 * and `id-pkix-ocsp-nocheck`, so the issuing key itself signs no responses. While there are two issuers,
 * each has its own responder.
 *
 * @module
 */
import { hash, type KeyObject } from 'node:crypto';
import { FlotillaError, messageOf } from '../core/errors/flotilla-error.ts';
import { signDer } from './algorithms.ts';
import type { Authority } from './authority.ts';
import { readCertificate, type CertificateFacts } from './certificate.ts';
import { crlReasonCodes, type CrlReason } from './crl-entries.ts';
import { contextTag, decodeDer, DerError, tags, type DerNode } from './der.ts';
import {
  bitString,
  element,
  enumerated,
  explicit,
  generalizedTime,
  octetString,
  oid,
  sequence,
} from './der-encode.ts';
import { expectTag, Fields, oidOf, serialOf, smallNumberOf, wholeBytesOf } from './der-fields.ts';
import { extension, readExtensions } from './extensions.ts';
import { generateKeySync, spkiOf } from './key.ts';
import { oids } from './oids.ts';
import { bytesOfBase64 } from './pem.ts';

/** The largest request, as DER, in bytes. */
export const ocspRequestMaxBytes = 8 * 1024;
/** How many certificates one request may ask about. */
export const ocspCertificatesMax = 32;
/** RFC 9654, 2.1: a longer nonce, or an empty one, is rejected as malformed. */
export const ocspNonceMaxBytes = 128;

/** The identification of a certificate in a request: hashes of its issuer, and its serial number. */
export interface OcspCertificateId {
  /** CertID, DER: the response repeats the same bytes. */
  readonly der: Buffer;
  readonly hashOid: string;
  readonly issuerNameHash: Buffer;
  readonly issuerKeyHash: Buffer;
  /** Lower-case hexadecimal. */
  readonly serial: string;
}

export interface OcspRequest {
  readonly certificates: readonly OcspCertificateId[];
  readonly nonce: Buffer | undefined;
}

export type CertificateStatus =
  | { readonly status: 'good' }
  | { readonly status: 'revoked'; readonly atMs: number; readonly reason?: CrlReason }
  | { readonly status: 'unknown' };

/** The responder of one issuer. */
export interface OcspResponder {
  readonly issuer: CertificateFacts;
  readonly certificate: CertificateFacts;
  readonly key: KeyObject;
}

/**
 * Creates a responder for an issuer: a new P-256 key that exists in memory only, and its certificate. It
 * is created again at every start and before its certificate ends.
 *
 * @throws FlotillaError as {@link Authority.issue}
 */
export async function createResponder(
  authority: Authority,
  validityMs: number,
): Promise<OcspResponder> {
  const key = generateKeySync('p256');
  const { der } = await authority.sign({
    spki: spkiOf(key),
    profile: 'ocsp',
    commonName: 'Flotilla OCSP responder',
    validityMs,
  });
  return { issuer: authority.certificate, certificate: readCertificate(der), key };
}

/**
 * The bytes of a GET request: everything after `/ocsp/` in the path as it was sent
 * (RFC 6960, A.1: base64, then URL-encoded).
 *
 * @throws FlotillaError `ocsp-request-malformed`
 */
export function ocspRequestOfPath(path: string): Buffer {
  if (path.length <= ocspRequestMaxBytes * 2) {
    try {
      const bytes = bytesOfBase64(decodeURIComponent(path));
      if (bytes !== undefined) return bytes;
    } catch {
      // An invalid escape is malformed as well.
    }
  }
  throw new FlotillaError('ocsp-request-malformed', { detail: 'the path is not base64' });
}

/** Parses a request. Its signature, if any, is ignored. @throws FlotillaError `ocsp-request-malformed` */
export function parseOcspRequest(der: Uint8Array): OcspRequest {
  try {
    return read(der);
  } catch (error) {
    throw new FlotillaError('ocsp-request-malformed', { detail: messageOf(error), cause: error });
  }
}

export interface OcspAnswerOptions {
  /** The body of the request, or {@link ocspRequestOfPath}. */
  readonly request: Uint8Array;
  readonly responders: readonly OcspResponder[];
  /** Returns the status of a certificate of this issuer. Must not throw. */
  readonly statusOf: (serial: string, issuer: CertificateFacts) => CertificateStatus;
  readonly nowMs: number;
  /** How long the response may be cached; limited to the end of the responder's certificate. */
  readonly validityMs: number;
}

/**
 * Responds to any request: in OCSP, the response itself reports that a request is malformed, or is about
 * certificates of another CA (`unauthorized`).
 *
 * @returns OCSPResponse, DER
 */
export function answerOcsp(options: OcspAnswerOptions): Buffer {
  let request: OcspRequest;
  try {
    request = parseOcspRequest(options.request);
  } catch {
    return ocspFailure('malformedRequest');
  }
  const responder = options.responders.find(({ issuer }) => asksAbout(request, issuer));
  if (responder === undefined) return ocspFailure('unauthorized');
  return signAnswer(request, responder, options);
}

/** An unsigned error response (RFC 6960, 2.3). */
export function ocspFailure(status: keyof typeof failureCodes): Buffer {
  return sequence(enumerated(failureCodes[status]));
}

const failureCodes = {
  malformedRequest: 1,
  internalError: 2,
  tryLater: 3,
  unauthorized: 6,
} as const;

const hashNames: Readonly<Partial<Record<string, string>>> = {
  [oids.sha1]: 'sha1',
  [oids.sha256]: 'sha256',
  [oids.sha384]: 'sha384',
  [oids.sha512]: 'sha512',
};

function read(der: Uint8Array): OcspRequest {
  const node = decodeDer(der, { maxBytes: ocspRequestMaxBytes });
  const outer = new Fields(node, tags.sequence, 'request');
  const tbs = new Fields(outer.next(tags.sequence), tags.sequence, 'request');
  outer.optional(contextTag(0));
  outer.end();
  const version = tbs.optional(contextTag(0));
  if (version !== undefined) {
    const fields = new Fields(version, contextTag(0), 'version');
    if (smallNumberOf(fields.next(tags.integer)) !== 0) throw new DerError('not version 1');
    fields.end();
  }
  tbs.optional(contextTag(1));
  const list = tbs.next(tags.sequence).children;
  const wrapped = tbs.optional(contextTag(2));
  tbs.end();
  if (list.length === 0 || list.length > ocspCertificatesMax) {
    throw new DerError(`not 1 to ${ocspCertificatesMax} certificates`);
  }
  const certificates = list.map(readOne);
  return { certificates, nonce: wrapped === undefined ? undefined : readNonce(wrapped) };
}

function readOne(node: DerNode): OcspCertificateId {
  const fields = new Fields(node, tags.sequence, 'single request');
  const id = fields.next(tags.sequence);
  const wrapped = fields.optional(contextTag(0));
  fields.end();
  if (wrapped !== undefined) refuseCritical(wrapped, contextTag(0));
  const parts = new Fields(id, tags.sequence, 'certificate id');
  const algorithm = new Fields(parts.next(tags.sequence), tags.sequence, 'hash');
  const hashOid = oidOf(algorithm.next(tags.oid));
  algorithm.optional(tags.null);
  algorithm.end();
  const issuerNameHash = parts.next(tags.octetString).content;
  const issuerKeyHash = parts.next(tags.octetString).content;
  const serial = serialOf(parts.next(tags.integer));
  parts.end();
  return { der: id.der, hashOid, issuerNameHash, issuerKeyHash, serial };
}

function readNonce(wrapped: DerNode): Buffer | undefined {
  const value = refuseCritical(wrapped, contextTag(2)).get(oids.ocspNonce)?.value;
  if (value === undefined) return undefined;
  const node = decodeDer(value, { maxBytes: ocspNonceMaxBytes + 8 });
  const { content } = expectTag(node, tags.octetString, 'nonce');
  if (content.length === 0 || content.length > ocspNonceMaxBytes) {
    throw new DerError(`a nonce of ${content.length} bytes`);
  }
  return content;
}

/** The extensions. Only the nonce may be critical, because no other is supported. */
function refuseCritical(wrapped: DerNode, tag: number): ReturnType<typeof readExtensions> {
  const fields = new Fields(wrapped, tag, 'extensions');
  const extensions = readExtensions(fields.next(tags.sequence));
  fields.end();
  for (const { oid: name, critical } of extensions.values()) {
    if (critical && name !== oids.ocspNonce) throw new DerError(`critical extension ${name}`);
  }
  return extensions;
}

/** Whether a request is about a certificate of this CA. */
export function asksAbout({ certificates }: OcspRequest, issuer: CertificateFacts): boolean {
  return certificates.some((id) => isOf(id, issuer));
}

function isOf(
  { hashOid, issuerNameHash, issuerKeyHash }: OcspCertificateId,
  issuer: CertificateFacts,
): boolean {
  const algorithm = hashNames[hashOid];
  if (algorithm === undefined) return false;
  return (
    issuerNameHash.equals(hash(algorithm, issuer.subject, 'buffer')) &&
    issuerKeyHash.equals(keyHash(algorithm, issuer))
  );
}

/** Over the content of the key's BIT STRING, without tag, length and unused bits (RFC 6960, 4.1.1). */
function keyHash(algorithm: string, { spki }: CertificateFacts): Buffer {
  const fields = new Fields(decodeDer(spki, { maxBytes: 4096 }), tags.sequence, 'public key');
  fields.next(tags.sequence);
  return hash(algorithm, wholeBytesOf(fields.next(tags.bitString)), 'buffer');
}

function signAnswer(
  { certificates, nonce }: OcspRequest,
  responder: OcspResponder,
  { statusOf, nowMs, validityMs }: OcspAnswerOptions,
): Buffer {
  const now = generalizedTime(nowMs);
  const untilMs = Math.min(nowMs + validityMs, responder.certificate.notAfterMs);
  const until = explicit(0, generalizedTime(untilMs));
  const single = (id: OcspCertificateId): Buffer => {
    const status: CertificateStatus = isOf(id, responder.issuer)
      ? statusOf(id.serial, responder.issuer)
      : { status: 'unknown' };
    return sequence(id.der, statusDer(status), now, until);
  };
  const data = sequence(
    explicit(2, octetString(keyHash('sha1', responder.certificate))),
    now,
    sequence(...certificates.map(single)),
    ...(nonce === undefined
      ? []
      : [explicit(1, sequence(extension(oids.ocspNonce, octetString(nonce))))]),
  );
  const { algorithm, value } = signDer(data, responder.key);
  const basic = sequence(
    data,
    algorithm,
    bitString(value),
    explicit(0, sequence(responder.certificate.der)),
  );
  const successful = enumerated(0);
  return sequence(successful, explicit(0, sequence(oid(oids.ocspBasic), octetString(basic))));
}

function statusDer(status: CertificateStatus): Buffer {
  switch (status.status) {
    case 'good':
      return element(contextTag(0, 'primitive'));
    case 'unknown':
      return element(contextTag(2, 'primitive'));
    case 'revoked': {
      const { atMs, reason = 'unspecified' } = status;
      const code =
        reason === 'unspecified' ? [] : [explicit(0, enumerated(crlReasonCodes[reason]))];
      return element(contextTag(1), generalizedTime(atMs), ...code);
    }
  }
}
