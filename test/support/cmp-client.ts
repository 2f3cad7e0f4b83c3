/**
 * A client of CMP that can also send what openssl cannot: every part of a message is chosen by the test.
 *
 * @module
 */
import { randomBytes, X509Certificate, type KeyObject } from 'node:crypto';
import { signDer } from '../../certs/algorithms.ts';
import { readCertificate, splitPem } from '../../certs/certificate.ts';
import { encodeMac, macOf, type CmpMac } from '../../certs/cmp-mac.ts';
import {
  directoryName,
  encodeCmp,
  parseCmp,
  type CmpEncoding,
  type CmpMessage,
} from '../../certs/cmp-message.ts';
import { contextTag, type DerNode } from '../../certs/der.ts';
import { bitString, element, explicit, integer, sequence } from '../../certs/der-encode.ts';
import { nameOf } from '../../certs/distinguished-name.ts';
import { spkiOf } from '../../certs/key.ts';
import { oids } from '../../certs/oids.ts';
import type { TestService } from './enroll-service.ts';

/** The default of RFC 9481: PBMAC1 with SHA-256. */
export function pbmac1(iterations = 1000): CmpMac {
  const hmac = { oid: oids.hmacWithSha256, digest: 'sha256' };
  return {
    kind: 'pbmac1',
    salt: randomBytes(16),
    digest: 'sha256',
    iterations,
    keyBytes: 32,
    hmac,
  };
}

/** As openssl 3 does it: SHA-256, 500 times, and HMAC-SHA1. */
export function passwordMac(iterations = 500): CmpMac {
  const hmac = { oid: oids.hmacSha1, digest: 'sha1' };
  return { kind: 'password', salt: randomBytes(16), digest: 'sha256', iterations, hmac };
}

export interface CrmfParts {
  readonly key: KeyObject;
  readonly commonName: string;
  /** The proof of possession (default: the right one), DER. */
  readonly proof?: Buffer;
  /** Whether the template has the public key (default: yes). */
  readonly withKey?: boolean;
  /** How many requests there are (default: one). */
  readonly count?: number;
}

/** CertReqMessages, DER. */
export function crmfOf(parts: CrmfParts): Buffer {
  const { key, commonName, withKey = true, count = 1 } = parts;
  const spki = spkiOf(key);
  // IMPLICIT: the tag of the template replaces that of the SEQUENCE.
  const publicKey = Buffer.concat([Buffer.from([contextTag(6)]), spki.subarray(1)]);
  const template = sequence(explicit(5, nameOf(commonName)), ...(withKey ? [publicKey] : []));
  const request = sequence(integer(0), template);
  const { algorithm, value } = signDer(request, key);
  const proof = parts.proof ?? element(contextTag(1), algorithm, bitString(value));
  const one = sequence(request, proof);
  return sequence(...Array.from({ length: count }, () => one));
}

export type MessageParts = Partial<CmpEncoding> & Pick<CmpEncoding, 'body' | 'value'>;

/** A message that is protected by a secret. */
export function macMessage(
  { reference, token }: { readonly reference: string; readonly token: string },
  mac: CmpMac,
  parts: MessageParts,
): Promise<Buffer> {
  return encodeCmp({
    ...usual(),
    senderKeyId: Buffer.from(reference),
    protection: {
      algorithm: encodeMac(mac),
      of: (part) => macOf(mac, Buffer.from(token), part),
    },
    ...parts,
  });
}

/** A message that is signed with a certificate (PEM, with its chain). */
export function signedMessage(
  { cert, key }: { readonly cert: string; readonly key: KeyObject },
  parts: MessageParts,
): Promise<Buffer> {
  const certificates = splitPem(cert).map(readCertificate);
  const [leaf] = certificates;
  if (leaf === undefined) throw new Error('no certificate');
  const { algorithm } = signDer(Buffer.alloc(0), key);
  return encodeCmp({
    ...usual(),
    sender: directoryName(leaf.subject),
    senderKeyId: leaf.subjectKeyId,
    certificates: certificates.map(({ der }) => der),
    protection: { algorithm, of: (part) => Promise.resolve(signDer(part, key).value) },
    ...parts,
  });
}

function usual(): Omit<CmpEncoding, 'body' | 'value' | 'protection'> {
  return {
    version: 2,
    sender: directoryName(sequence()),
    recipient: directoryName(sequence()),
    timeMs: Date.now(),
    senderKeyId: undefined,
    transactionId: randomBytes(16),
    senderNonce: randomBytes(16),
    certificates: [],
  };
}

/** The response of the service. */
export interface CmpAnswer {
  readonly status: number;
  readonly message: CmpMessage;
  /** Of an error: the text, which begins with the code, and the number of the bit of PKIFailureInfo. */
  readonly text: string;
  readonly failure: number | undefined;
  /** Of a granted request. */
  readonly certificate: X509Certificate | undefined;
}

export async function sendCmp(service: TestService, body: Buffer, path = ''): Promise<CmpAnswer> {
  const answer = await service.call({
    method: 'POST',
    path: `/.well-known/cmp${path}`,
    headers: { 'content-type': 'application/pkixcmp' },
    body,
  });
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body.toString()}`);
  const message = parseCmp(answer.body);
  const isError = message.bodyName === 'error';
  const [, text, bits] = isError ? (message.body.children[0]?.children ?? []) : [];
  return {
    status: answer.status,
    message,
    text: text?.children[0]?.content.toString() ?? '',
    failure: bits === undefined ? undefined : highestBit(bits),
    certificate: isError ? undefined : certificateIn(message.body),
  };
}

function highestBit({ content }: DerNode): number {
  return (content.length - 1) * 8 - 1 - (content[0] ?? 0);
}

/** CertRepMessage: the response is the last part; the certificate has the tag 0 in the key pair. */
function certificateIn(body: DerNode): X509Certificate | undefined {
  const pair = body.children.at(-1)?.children[0]?.children[2];
  const certificate = pair?.children[0]?.children[0]?.der;
  return certificate === undefined ? undefined : new X509Certificate(certificate);
}
