/**
 * SubjectPublicKeyInfo from requests: the accepted keys and their one accepted encoding.
 *
 * Each key has exactly one accepted encoding, so that its fingerprint identifies it: a device cannot use
 * a revoked key again in another encoding (a compressed point, explicit curve parameters, a PSS key).
 *
 * @module
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { FlotillaError } from '../core/errors/flotilla-error.ts';
import { decodeDer, tags, type DerNode } from './der.ts';
import { Fields, oidOf, wholeBytesOf } from './der-fields.ts';
import { keyTypeOf, type KeyType } from './key.ts';
import { oids } from './oids.ts';
import { rsaWeakness } from './weak-rsa.ts';

/** The parts of an accepted SubjectPublicKeyInfo. */
export interface PublicKeyFacts {
  readonly spki: Buffer;
  readonly type: KeyType;
  /** The content of the BIT STRING without its first octet: the input of key identifiers. */
  readonly keyBits: Buffer;
}

/**
 * Checks the encoding of a public key: P-256 and P-384 by name with an uncompressed point, Ed25519,
 * RSA of 2048, 3072 or 4096 bits with exponent 65537. That the point is on the curve is checked by
 * {@link publicKeyObject}.
 *
 * @throws FlotillaError `csr-key-unsupported` for another key type or another encoding
 * @throws DerError if it is not a SubjectPublicKeyInfo
 */
export function readSpki(node: DerNode): PublicKeyFacts {
  const fields = new Fields(node, tags.sequence, 'public key');
  const algorithm = new Fields(fields.next(tags.sequence), tags.sequence, 'key algorithm');
  const keyBits = wholeBytesOf(fields.next(tags.bitString));
  fields.end();
  const name = oidOf(algorithm.next(tags.oid));
  const type = typeOf(name, algorithm, keyBits);
  return { spki: node.der, type, keyBits };
}

/** {@link readSpki} of bytes. @throws the same */
export function readSpkiBytes(spki: Uint8Array): PublicKeyFacts {
  return readSpki(decodeDer(spki, { maxBytes: 1024 }));
}

/**
 * The key as an object of node:crypto.
 *
 * @throws FlotillaError `csr-key-unsupported` if node:crypto rejects it (a point that is not on the curve)
 *   or detects another key type than its encoding says
 */
export function publicKeyObject({ spki, type }: PublicKeyFacts): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  } catch (error) {
    throw new FlotillaError('csr-key-unsupported', { detail: 'not a valid key', cause: error });
  }
  if (keyTypeOf(key) !== type) throw unsupported('not the key type that it is declared as');
  return key;
}

function typeOf(name: string, algorithm: Fields, keyBits: Buffer): KeyType {
  switch (name) {
    case oids.ecPublicKey: {
      // Explicit parameters are a SEQUENCE: node:crypto would treat them as the named curve, but
      // OpenSSL would reject the certificate (RFC 5480, 2.1.1: they must not be used).
      const curve = algorithm.optional(tags.oid);
      if (curve === undefined) throw unsupported('explicit elliptic curve parameters');
      algorithm.end();
      return curveOf(oidOf(curve), keyBits);
    }
    case oids.ed25519:
      if (algorithm.hasMore()) throw unsupported('Ed25519 with parameters');
      if (!isSoundEd25519(keyBits)) throw unsupported('a weak or non-canonical Ed25519 key');
      return 'ed25519';
    case oids.rsaEncryption:
      if (algorithm.optional(tags.null) === undefined || algorithm.hasMore()) {
        throw unsupported('RSA without the parameter NULL');
      }
      return rsaTypeOf(keyBits);
    default:
      throw unsupported(`the algorithm ${name}`);
  }
}

function curveOf(name: string, point: Buffer): KeyType {
  const curve =
    name === oids.p256
      ? ({ type: 'p256', octets: 65 } as const)
      : name === oids.p384
        ? ({ type: 'p384', octets: 97 } as const)
        : undefined;
  if (curve === undefined) throw unsupported(`the curve ${name}`);
  if (point[0] !== 4 || point.length !== curve.octets) {
    throw unsupported('a point that is not in uncompressed form');
  }
  return curve.type;
}

const rsaTypes = new Map<number, KeyType>([
  [2048, 'rsa2048'],
  [3072, 'rsa3072'],
  [4096, 'rsa4096'],
]);

function rsaTypeOf(keyBits: Buffer): KeyType {
  const fields = new Fields(decodeDer(keyBits, { maxBytes: 1024 }), tags.sequence, 'RSA key');
  const modulus = fields.next(tags.integer).content;
  const exponent = fields.next(tags.integer).content;
  fields.end();
  if (exponent.toString('hex') !== '010001') throw unsupported('an RSA exponent other than 65537');
  // A modulus of whole octets has its top bit set, hence the sign octet before it.
  const bits = modulus[0] === 0 ? (modulus.length - 1) * 8 : 0;
  if (((modulus.at(-1) ?? 0) & 1) === 0) throw unsupported('an even RSA modulus');
  const type = rsaTypes.get(bits);
  if (type === undefined) throw unsupported('an RSA key without 2048, 3072 or 4096 bits');
  const weakness = rsaWeakness(modulus);
  if (weakness !== undefined) throw unsupported(`an RSA modulus with ${weakness}`);
  return type;
}

/**
 * Rejects non-canonical encodings of points (y of p or more), and the points of small order, for which
 * anybody can create a signature that is valid for most messages.
 */
function isSoundEd25519(key: Buffer): boolean {
  if (key.length !== 32) return false;
  const y = Buffer.from(key);
  y[31] = (y[31] ?? 0) & 0x7f;
  const value = BigInt(
    `0x${y.toReversed().reduce((hex, octet) => hex + octet.toString(16).padStart(2, '0'), '')}`,
  );
  return value < fieldPrime && !smallOrderY.has(value);
}

const fieldPrime = 2n ** 255n - 19n;

/** The y coordinates of the eight points of order 1, 2, 4 and 8. */
const smallOrderY = new Set([
  0n,
  1n,
  fieldPrime - 1n,
  0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
  fieldPrime - 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
]);

function unsupported(detail: string): FlotillaError {
  return new FlotillaError('csr-key-unsupported', { detail });
}
