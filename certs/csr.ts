/**
 * Certificate signing requests: PKCS#10 (RFC 2986), created and parsed.
 *
 * The input of the parser is hostile. It accepts only canonical DER with a key of a supported type in
 * its one accepted encoding (public-key.ts), signed by that key with an algorithm of its type (proof of
 * possession). Only the common name and the alternative names are used: the CA decides everything else.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto';
import { printable } from '../core/escape.ts';
import { FlotillaError, messageOf } from '../core/errors/flotilla-error.ts';
import { claimedAlgorithm, signatureAlgorithm, signatureIsRight, signDer } from './algorithms.ts';
import { contextTag, decodeDer, DerError, tags, type DerNode } from './der.ts';
import { bitString, element, integer, oid, sequence, setOf } from './der-encode.ts';
import { Fields, oidOf, wholeBytesOf } from './der-fields.ts';
import { nameOf, subjectCommonName } from './distinguished-name.ts';
import { extension, readExtensions } from './extensions.ts';
import { fingerprintOf, spkiOf, type KeyType } from './key.ts';
import { oids } from './oids.ts';
import { derOfText, pemOf } from './pem.ts';
import { publicKeyObject, readSpki } from './public-key.ts';
import type { Signer } from './signer.ts';
import {
  decodeNames,
  encodeNames,
  isEmptyNames,
  noNames,
  subjectNamesOf,
  type SubjectNames,
} from './subject-names.ts';

/** The largest request, as DER, in bytes. */
export const csrMaxBytes = 16 * 1024;
/** How many attributes a request may have. */
export const csrAttributesMax = 16;

/** A parsed and verified request. */
export interface Csr {
  readonly der: Buffer;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
  readonly publicKey: KeyObject;
  readonly keyType: KeyType;
  /** Over the SPKI: the same key always has the same fingerprint. */
  readonly keyFingerprint: string;
  /** A device id, if the subject has a common name. */
  readonly commonName: string | undefined;
  readonly names: SubjectNames;
}

export interface CsrOptions {
  /** The private key, which signs the request. It is not part of the request. */
  readonly key: KeyObject;
  readonly commonName: string;
  /** DNS names, IP addresses and URIs, as text. */
  readonly names?: readonly string[];
}

/** Creates a request. @throws FlotillaError `subject-name-invalid` */
export function createCsr(options: CsrOptions): { der: Buffer; pem: string } {
  const info = requestInfo(options);
  const { algorithm, value } = signDer(info, options.key);
  return encoded(info, algorithm, value);
}

/** Creates a request of a key that is anywhere. @throws FlotillaError `ca-token-failed` */
export async function signCsr(
  signer: Signer,
  commonName: string,
): Promise<{ der: Buffer; pem: string }> {
  const key = signer.publicKey;
  const info = requestInfo({ key, commonName });
  return encoded(info, signatureAlgorithm(key), await signer.sign([info]));
}

function requestInfo({ key, commonName, names = [] }: CsrOptions): Buffer {
  const asked = subjectNamesOf(names);
  const attributes = isEmptyNames(asked)
    ? []
    : [
        sequence(
          oid(oids.extensionRequest),
          setOf(sequence(extension(oids.subjectAltName, encodeNames(asked)))),
        ),
      ];
  return sequence(
    integer(0),
    nameOf(commonName),
    spkiOf(key),
    element(contextTag(0), ...attributes),
  );
}

function encoded(info: Buffer, algorithm: Buffer, value: Buffer): { der: Buffer; pem: string } {
  const der = sequence(info, algorithm, bitString(value));
  return { der, pem: pemOf('CERTIFICATE REQUEST', der) };
}

/**
 * Parses and verifies a request.
 *
 * @param input DER, or the text (also as bytes) of PEM or of base64 alone; at most 16 KiB of DER
 * @throws FlotillaError `csr-too-large`, `csr-malformed`, `csr-key-unsupported`,
 *   `csr-algorithm-unsupported`, `csr-name-invalid`, `csr-signature-invalid`; no other errors
 */
export function parseCsr(input: Uint8Array | string): Csr {
  const der = derOf(input);
  try {
    return read(der);
  } catch (error) {
    if (error instanceof DerError) {
      throw new FlotillaError('csr-malformed', { detail: messageOf(error), cause: error });
    }
    throw error;
  }
}

/** The request, parsed unless it is already. @throws FlotillaError as {@link parseCsr} */
export function parsedCsr(input: Uint8Array | string | Csr): Csr {
  return typeof input === 'string' || input instanceof Uint8Array ? parseCsr(input) : input;
}

function read(der: Buffer): Csr {
  const request = new Fields(decodeDer(der, { maxBytes: csrMaxBytes }), tags.sequence, 'request');
  const infoNode = request.next(tags.sequence);
  const algorithm = request.next(tags.sequence);
  const signature = wholeBytesOf(request.next(tags.bitString));
  request.end();

  const info = new Fields(infoNode, tags.sequence, 'request info');
  const version = info.next(tags.integer).content;
  if (version.length !== 1 || version[0] !== 0) throw new DerError('request info: not version 1');
  const subject = info.next(tags.sequence);
  const facts = readSpki(info.next(tags.sequence));
  // RFC 2986 requires the attributes, even if there are none; some clients leave an empty set out.
  const attributes = info.optional(contextTag(0));
  info.end();

  const claimed = claimedAlgorithm(algorithm, facts.type, 'accept');
  if (claimed === undefined) throw new FlotillaError('csr-algorithm-unsupported');
  const commonName = subjectCommonName(subject);
  const names = attributes === undefined ? noNames : requestedNames(attributes);
  const publicKey = publicKeyObject(facts);
  if (!signatureIsRight(claimed, infoNode.der, publicKey, signature)) {
    throw new FlotillaError('csr-signature-invalid');
  }
  return {
    der,
    spki: facts.spki,
    publicKey,
    keyType: facts.type,
    keyFingerprint: fingerprintOf(facts.spki),
    commonName,
    names,
  };
}

/**
 * Attributes are SET OF Attribute: no type twice, each with at least one value. DER requires them
 * to be sorted, but strongSwan does not sort them (5.9.8: extension request before challenge password).
 * The signature covers their order, so nobody else can change it.
 */
function requestedNames({ children }: DerNode): SubjectNames {
  if (children.length > csrAttributesMax) throw new DerError('attributes: too many');
  const seen = new Set<string>();
  let names = noNames;
  for (const child of children) {
    const fields = new Fields(child, tags.sequence, 'attribute');
    const type = oidOf(fields.next(tags.oid));
    const values = fields.next(tags.set).children;
    fields.end();
    if (seen.has(type)) throw new DerError(`attribute: ${type} comes twice`);
    seen.add(type);
    const [value] = values;
    if (value === undefined) throw new DerError('attribute: no value');
    if (type !== oids.extensionRequest) continue;
    if (values.length !== 1) throw new DerError('extension request: not one value');
    const wanted = readExtensions(value).get(oids.subjectAltName);
    if (wanted !== undefined) names = requestedAltNames(wanted.value);
  }
  return names;
}

/** The alternative names of a request. @throws FlotillaError `csr-name-invalid` */
export function requestedAltNames(value: Buffer): SubjectNames {
  const node = decodeDer(value, { maxBytes: csrMaxBytes });
  try {
    return decodeNames(node, 'refuse');
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    throw new FlotillaError('csr-name-invalid', { detail: messageOf(error), cause: error });
  }
}

const labels = ['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'];
/** Base64 with line breaks and PEM lines is at most 1.5 times as long as the DER. */
const textMaxChars = csrMaxBytes * 1.5;

function derOf(input: Uint8Array | string): Buffer {
  // 0x30 begins a SEQUENCE; the base64 of one begins with "M", PEM with "-".
  if (typeof input !== 'string' && input[0] === tags.sequence) {
    if (input.length > csrMaxBytes) throw tooLarge();
    return Buffer.from(input);
  }
  if (input.length > textMaxChars) throw tooLarge();
  const text = typeof input === 'string' ? input : Buffer.from(input).toString('latin1');
  const der = derOfText(text, labels);
  if (der === undefined) {
    throw new FlotillaError('csr-malformed', {
      detail: `not DER, PEM or base64 of a request: it begins with ${printable(text, 32)}`,
    });
  }
  if (der.length > csrMaxBytes) throw tooLarge();
  return der;
}

function tooLarge(): FlotillaError {
  return new FlotillaError('csr-too-large', { detail: `the limit is ${csrMaxBytes} bytes` });
}
