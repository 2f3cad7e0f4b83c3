/**
 * Certificate revocation lists, version 2 (RFC 5280, 5), of any length without blocking the event
 * loop: entries are collected, hashed and parsed in slices.
 *
 * @module
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { verify } from 'node:crypto';
import { FlotillaError, messageOf } from '../core/errors/flotilla-error.ts';
import { claimedAlgorithm, signatureAlgorithm } from './algorithms.ts';
import type { Authority } from './authority.ts';
import type { CertificateFacts } from './certificate.ts';
import type { CrlEntries, CrlReason, RevokedCertificate } from './crl-entries.ts';
import { contextTag, decodeDer, DerError, rangeAt, tags } from './der.ts';
import {
  bitString,
  element,
  elementHeader,
  explicit,
  integer,
  sequence,
  time,
} from './der-encode.ts';
import { expectTag, Fields, serialOf, smallNumberOf, timeOf, wholeBytesOf } from './der-fields.ts';
import { extension, readExtensions } from './extensions.ts';
import { keyTypeOf } from './key.ts';
import { oids } from './oids.ts';

/** The part of an {@link Authority} that signs lists. */
export type CrlSigner = Pick<Authority, 'certificate' | 'keyId' | 'signer'>;

export interface CrlOptions {
  readonly signer: CrlSigner;
  /** Grows with each list of one CA. */
  readonly number: number | bigint;
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number;
  readonly entries: CrlEntries;
}

/** The longest slice of work on the event loop, in ms. */
const sliceMs = 4;

/**
 * Signs a list. Returns its DER as chunks, to be sent one after the other: the chunks with the entries
 * are shared with other lists and not copied. 100,000 entries take about 5 ms of CPU time.
 */
export async function signCrl(options: CrlOptions): Promise<readonly Buffer[]> {
  const { signer, number, thisUpdateMs, nextUpdateMs, entries } = options;
  const { keyId, certificate } = signer;
  const algorithm = signatureAlgorithm(signer.signer.publicKey);
  const head = [integer(1), algorithm, certificate.subject, time(thisUpdateMs), time(nextUpdateMs)];
  const extensions = sequence(
    extension(oids.authorityKeyIdentifier, sequence(element(contextTag(0, 'primitive'), keyId))),
    extension(oids.crlNumber, integer(number)),
  );
  const tbs = framed([...head, ...entries.list(), explicit(0, extensions)]);
  const value = await signer.signer.sign(tbs);
  return framed([...tbs, algorithm, bitString(value)]);
}

/** A SEQUENCE around chunks. */
function framed(pieces: readonly Buffer[]): Buffer[] {
  return [elementHeader(tags.sequence, bytesOf(pieces)), ...pieces];
}

/** The total length of chunks. */
export function bytesOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}

/** A parsed list with a verified signature. */
export interface Crl {
  readonly number: bigint;
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number;
  /** By serial number, lower-case hexadecimal. */
  readonly revoked: ReadonlyMap<string, RevokedCertificate>;
}

/** The largest list that is parsed, in bytes: about 400,000 entries. */
export const crlMaxBytes = 16 * 1024 * 1024;

/**
 * Parses a list and verifies that this CA signed it. The caller checks its dates.
 *
 * @throws FlotillaError `crl-malformed`, `crl-untrusted` (of another CA, or with an invalid signature)
 */
export async function parseCrl(der: Buffer, issuer: CertificateFacts): Promise<Crl> {
  try {
    return await read(der, issuer);
  } catch (error) {
    if (error instanceof FlotillaError) throw error;
    throw new FlotillaError('crl-malformed', { detail: messageOf(error), cause: error });
  }
}

async function read(der: Buffer, issuer: CertificateFacts): Promise<Crl> {
  if (der.length > crlMaxBytes) throw new DerError(`more than ${crlMaxBytes} bytes`);
  const outer = rangeAt(der, 0);
  if (outer.tag !== tags.sequence || outer.end !== der.length) throw new DerError('not a CRL');
  const tbs = rangeAt(der, outer.contentStart, outer.end);
  const tail = elementsIn(der, tbs.end, outer.end);
  const [algorithm, signature] = tail;
  if (algorithm === undefined || signature === undefined || tail.length > 2) {
    throw new DerError('not a CRL');
  }
  await assertSigned(der.subarray(outer.contentStart, tbs.end), algorithm, signature, issuer);
  return readTbs(der, tbs, issuer);
}

async function assertSigned(
  tbs: Buffer,
  algorithm: Buffer,
  signature: Buffer,
  { x509 }: CertificateFacts,
): Promise<void> {
  const key = x509.publicKey;
  const type = keyTypeOf(key);
  const claimed =
    type === undefined ? undefined : claimedAlgorithm(decodeDer(algorithm, small), type);
  if (claimed === undefined) throw new FlotillaError('crl-untrusted', { detail: 'algorithm' });
  const value = wholeBytesOf(decodeDer(signature, small));
  const right = await new Promise<boolean>((resolve, reject) => {
    verify(claimed.digest, tbs, key, value, (error, result) => {
      if (error === null) resolve(result);
      else reject(error);
    });
  });
  if (!right) throw new FlotillaError('crl-untrusted', { detail: 'the signature is wrong' });
}

const small = { maxBytes: 16 * 1024 };

async function readTbs(
  der: Buffer,
  tbs: { tag: number; contentStart: number; end: number },
  issuer: CertificateFacts,
): Promise<Crl> {
  if (tbs.tag !== tags.sequence) throw new DerError('not a CRL');
  let at = tbs.contentStart;
  const next = (): Buffer => {
    const { end } = rangeAt(der, at, tbs.end);
    const bytes = der.subarray(at, end);
    at = end;
    return bytes;
  };
  if (smallNumberOf(expectTag(decodeDer(next(), small), tags.integer, 'version')) !== 1) {
    throw new DerError('not version 2');
  }
  next();
  if (!next().equals(issuer.subject)) {
    throw new FlotillaError('crl-untrusted', { detail: 'it is the list of another CA' });
  }
  const thisUpdateMs = timeOf(decodeDer(next(), small));
  const nextUpdateMs = timeOf(decodeDer(next(), small));
  const revoked = new Map<string, RevokedCertificate>();
  if (der[at] === tags.sequence) {
    const list = rangeAt(der, at, tbs.end);
    at = list.end;
    await readEntries(der, list, revoked);
  }
  const wrapped = new Fields(decodeDer(next(), small), contextTag(0), 'extensions');
  if (at !== tbs.end) throw new DerError('a part too many');
  const number = readExtensions(wrapped.next(tags.sequence)).get(oids.crlNumber)?.value;
  if (number === undefined) throw new DerError('no number');
  const { content } = expectTag(decodeDer(number, small), tags.integer, 'number');
  return { number: BigInt(`0x${content.toString('hex')}`), thisUpdateMs, nextUpdateMs, revoked };
}

async function readEntries(
  der: Buffer,
  list: { contentStart: number; end: number },
  revoked: Map<string, RevokedCertificate>,
): Promise<void> {
  let sliceEndMs = performance.now() + sliceMs;
  for (let at = list.contentStart, count = 1; at < list.end; count++) {
    const { end } = rangeAt(der, at, list.end);
    const fields = new Fields(decodeDer(der.subarray(at, end), small), tags.sequence, 'entry');
    at = end;
    const serial = serialOf(fields.next(tags.integer));
    const atMs = timeOf(fields.any());
    const extensions = fields.optional(tags.sequence);
    fields.end();
    const code =
      extensions === undefined ? undefined : readExtensions(extensions).get(oids.reasonCode)?.value;
    const reason = code === undefined ? undefined : reasonOf(code);
    revoked.set(serial, reason === undefined ? { serial, atMs } : { serial, atMs, reason });
    if ((count & 63) === 0 && performance.now() > sliceEndMs) {
      await nextTurn();
      sliceEndMs = performance.now() + sliceMs;
    }
  }
}

const reasonsByCode = new Map<number, CrlReason>([
  [1, 'keyCompromise'],
  [2, 'cACompromise'],
  [3, 'affiliationChanged'],
  [4, 'superseded'],
  [5, 'cessationOfOperation'],
  [6, 'certificateHold'],
  [9, 'privilegeWithdrawn'],
]);

function reasonOf(value: Buffer): CrlReason | undefined {
  return reasonsByCode.get(
    smallNumberOf(expectTag(decodeDer(value, small), tags.enumerated, 'reason')),
  );
}

function elementsIn(der: Buffer, from: number, to: number): Buffer[] {
  const elements: Buffer[] = [];
  for (let at = from; at < to && elements.length < 3;) {
    const { end } = rangeAt(der, at, to);
    elements.push(der.subarray(at, end));
    at = end;
  }
  return elements;
}
