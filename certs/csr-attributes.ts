/**
 * CSR attributes of EST: what the request of a device should contain (RFC 7030, 4.5.2, as clarified by
 * RFC 9908).
 *
 * The response has both forms: the old list, which requests one key type, and the template of RFC 9908,
 * which newer clients follow instead.
 *
 * @module
 */
import { contextTag } from './der.ts';
import { bitString, element, integer, oid, sequence, setOf, utf8String } from './der-encode.ts';
import { encodeNames, isEmptyNames, noNames, type SubjectNames } from './subject-names.ts';
import { extension } from './extensions.ts';
import type { KeyType } from './key.ts';
import { oids } from './oids.ts';

export interface CsrAttributesOptions {
  /** The key type that the device should generate. */
  readonly keyType: KeyType;
  /** The common name of the subject (default: chosen by the client). */
  readonly commonName?: string;
  /** Names that the request must contain. */
  readonly names?: SubjectNames;
  /** Whether the device fills in names, for a certificate with which it is also a server. Excludes `names`. */
  readonly ownNames?: boolean;
}

/** CsrAttrs, DER. @throws FlotillaError `subject-name-invalid` */
export function csrAttributes(options: CsrAttributesOptions): Buffer {
  const { keyType, names = noNames } = options;
  const { key, parameters, signature } = requestedKeys[keyType];
  const wanted = isEmptyNames(names)
    ? []
    : [attribute(oids.extensionRequest, sequence(altNames(names)))];
  return sequence(
    attribute(key, ...parameters),
    oid(signature),
    ...wanted,
    attribute(oids.requestTemplate, template(options, wanted)),
  );
}

/** RFC 9908, 3.4: CertificationRequestInfoTemplate. */
function template(options: CsrAttributesOptions, wanted: Buffer[]): Buffer {
  const { keyType, commonName, ownNames = false } = options;
  const value = commonName === undefined ? [] : [utf8String(commonName)];
  const subject = sequence(setOf(sequence(oid(oids.commonName), ...value)));
  return sequence(
    integer(0),
    subject,
    element(contextTag(0), ...requestedKeys[keyType].keyTemplate),
    element(contextTag(1), ...(ownNames ? [serverExtensions()] : wanted)),
  );
}

/** Names whose values the client adds, and the usages that the certificate will have (RFC 9908, 3.4). */
function serverExtensions(): Buffer {
  const usages = sequence(oid(oids.serverAuth), oid(oids.clientAuth));
  return attribute(
    oids.extensionTemplate,
    sequence(sequence(oid(oids.subjectAltName)), extension(oids.extendedKeyUsage, usages)),
  );
}

function attribute(type: string, ...values: readonly Buffer[]): Buffer {
  return sequence(oid(type), setOf(...values));
}

function altNames(names: SubjectNames): Buffer {
  return extension(oids.subjectAltName, encodeNames(names));
}

interface RequestedKey {
  readonly key: string;
  readonly parameters: readonly Buffer[];
  readonly signature: string;
  /** The parts of SubjectPublicKeyInfoTemplate. */
  readonly keyTemplate: readonly Buffer[];
}

function curve(name: string, signature: string): RequestedKey {
  const key = oids.ecPublicKey;
  return { key, parameters: [oid(name)], signature, keyTemplate: [sequence(oid(key), oid(name))] };
}

/** The size is given by a placeholder: a modulus with this number of bits (RFC 9908, 3.4). */
function rsa(bits: number): RequestedKey {
  const key = oids.rsaEncryption;
  const modulus = Buffer.alloc(1 + bits / 8);
  modulus[1] = 0x80;
  const placeholder = sequence(element(0x02, modulus), integer(65_537));
  return {
    key,
    parameters: [integer(bits)],
    signature: oids.sha256WithRsa,
    keyTemplate: [sequence(oid(key), Buffer.from([0x05, 0])), bitString(placeholder)],
  };
}

const requestedKeys: Readonly<Record<KeyType, RequestedKey>> = {
  p256: curve(oids.p256, oids.ecdsaWithSha256),
  p384: curve(oids.p384, oids.ecdsaWithSha384),
  ed25519: {
    key: oids.ed25519,
    parameters: [],
    signature: oids.ed25519,
    keyTemplate: [sequence(oid(oids.ed25519))],
  },
  rsa2048: rsa(2048),
  rsa3072: rsa(3072),
  rsa4096: rsa(4096),
};
