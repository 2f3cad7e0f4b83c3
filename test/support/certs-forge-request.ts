/**
 * Certificate signing requests with any part manipulated, but correctly signed, as hostile clients send
 * them.
 *
 * @module
 */
import { sign, type KeyObject } from 'node:crypto';
import { contextTag } from '../../certs/der.ts';
import {
  bitString,
  derNull,
  element,
  integer,
  oid,
  sequence,
  setOf,
  utf8String,
} from '../../certs/der-encode.ts';
import { spkiOf } from '../../certs/key.ts';
import { oids } from '../../certs/oids.ts';

export interface RequestParts {
  readonly key: KeyObject;
  readonly version?: Buffer;
  readonly subject?: Buffer;
  readonly spki?: Buffer;
  /** Attribute elements, in the order given. */
  readonly attributes?: readonly Buffer[];
  /** The whole `[0]` element, instead of `attributes`. */
  readonly attributesElement?: Buffer;
  /** Elements after the attributes. */
  readonly extra?: readonly Buffer[];
  readonly algorithm?: Buffer;
  readonly digest?: string | null;
  readonly signature?: Buffer;
}

/** The DER of a request with these parts; omitted parts are valid. */
export function forgeRequest(parts: RequestParts): Buffer {
  const { key } = parts;
  const info = sequence(
    parts.version ?? integer(0),
    parts.subject ?? name([[oids.commonName, utf8String('dev-1')]]),
    parts.spki ?? spkiOf(key),
    parts.attributesElement ?? element(contextTag(0), ...(parts.attributes ?? [])),
    ...(parts.extra ?? []),
  );
  const usual = usualAlgorithm(key);
  const digest = parts.digest === undefined ? usual.digest : parts.digest;
  return sequence(
    info,
    parts.algorithm ?? usual.algorithm,
    parts.signature ?? bitString(sign(digest, info, key)),
  );
}

/** A Name with one relative name for each pair. */
export function name(pairs: readonly (readonly [string, Buffer])[]): Buffer {
  return sequence(...pairs.map(([type, value]) => setOf(sequence(oid(type), value))));
}

/** An Attribute with these values. */
export function attribute(type: string, ...values: readonly Buffer[]): Buffer {
  return sequence(oid(type), setOf(...values));
}

function usualAlgorithm(key: KeyObject): { algorithm: Buffer; digest: string | null } {
  switch (key.asymmetricKeyType) {
    case 'ec':
      return { algorithm: sequence(oid(oids.ecdsaWithSha256)), digest: 'sha256' };
    case 'ed25519':
    case 'ed448':
      return { algorithm: sequence(oid(oids.ed25519)), digest: null };
    default:
      return { algorithm: sequence(oid(oids.sha256WithRsa), derNull), digest: 'sha256' };
  }
}
