/**
 * Signature algorithms: the one that each key type signs with, and the ones that are accepted for each
 * key type. An algorithm is bound to the key type, so that it cannot be substituted.
 *
 * @module
 */
import { createSign, sign, verify, type KeyObject } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { tags, type DerNode } from './der.ts';
import { derNull, oid, sequence } from './der-encode.ts';
import { Fields, oidOf } from './der-fields.ts';
import { keyTypeOf, type KeyType } from './key.ts';
import { oids } from './oids.ts';

/** A signature and the AlgorithmIdentifier (DER) that goes with it. */
export interface Signature {
  readonly algorithm: Buffer;
  readonly value: Buffer;
}

/** The AlgorithmIdentifier (DER) that a key signs with. @throws TypeError for an unsupported key type */
export function signatureAlgorithm(key: KeyObject): Buffer {
  return rowOf(key).algorithm;
}

/** The hash of {@link signatureAlgorithm}; null if the scheme has its own (Ed25519). */
export function signatureDigest(key: KeyObject): string | null {
  return rowOf(key).digest;
}

/** Signs with the algorithm of {@link signatureAlgorithm}. ECDSA returns a DER ECDSA-Sig-Value. */
export function signDer(data: Uint8Array, key: KeyObject): Signature {
  const { algorithm, digest } = rowOf(key);
  return { algorithm, value: sign(digest, data, key) };
}

/** How long hashing may block the event loop at a time, in ms. */
const hashTurnMs = 1;

/**
 * Signs data in chunks of any total length. They are hashed one by one, so that the event loop can do
 * other work in between. Ed25519 hashes twice, so it gets one chunk, on another thread.
 */
export async function signPieces(
  pieces: readonly Uint8Array[],
  key: KeyObject,
): Promise<Signature> {
  const { algorithm, digest } = rowOf(key);
  if (digest === null) {
    const value = await new Promise<Buffer>((resolve, reject) => {
      sign(digest, Buffer.concat(pieces), key, (error, signature) => {
        if (error === null) resolve(signature);
        else reject(error);
      });
    });
    return { algorithm, value };
  }
  const signer = createSign(digest);
  let turnEndMs = performance.now() + hashTurnMs;
  for (const piece of pieces) {
    signer.update(piece);
    if (performance.now() < turnEndMs) continue;
    await nextTurn();
    turnEndMs = performance.now() + hashTurnMs;
  }
  return { algorithm, value: signer.sign(key) };
}

/** The hash of an AlgorithmIdentifier, or null if the scheme has its own (Ed25519). */
export interface ClaimedAlgorithm {
  readonly digest: string | null;
}

/**
 * Parses the AlgorithmIdentifier of a signature, if a key of this type may use it: ECDSA or RSA
 * PKCS#1 v1.5 with SHA-256, 384 or 512, or Ed25519. SHA-1 and MD5 are rejected.
 *
 * @param ecdsaNull whether NULL parameters are accepted behind ECDSA. RFC 5758, 3.2 says that they are absent,
 *   but the OpenSSL provider for TPM 2.0 writes them into requests
 * @returns undefined if the key type does not allow it
 * @throws DerError if it is not an AlgorithmIdentifier
 */
export function claimedAlgorithm(
  node: DerNode,
  type: KeyType,
  ecdsaNull: 'accept' | 'refuse' = 'refuse',
): ClaimedAlgorithm | undefined {
  const fields = new Fields(node, tags.sequence, 'signature algorithm');
  const name = oidOf(fields.next(tags.oid));
  const hasNull = fields.optional(tags.null) !== undefined;
  if (fields.hasMore()) return undefined;
  const family = type === 'p256' || type === 'p384' ? 'ec' : type === 'ed25519' ? 'ed25519' : 'rsa';
  const row = claims.get(name);
  if (row?.family !== family) return undefined;
  // RFC 5758, 8410: absent. RFC 4055, 5: NULL; absent parameters must be accepted as well.
  const allowsNull = family === 'rsa' || (family === 'ec' && ecdsaNull === 'accept');
  if (hasNull && !allowsNull) return undefined;
  return { digest: row.digest };
}

/** Whether a signature is valid. Any error counts as invalid. */
export function signatureIsRight(
  { digest }: ClaimedAlgorithm,
  data: Uint8Array,
  key: KeyObject,
  signature: Uint8Array,
): boolean {
  try {
    return verify(digest, data, key, signature);
  } catch {
    return false;
  }
}

interface Row {
  readonly algorithm: Buffer;
  readonly digest: string | null;
}

const p256Row: Row = { algorithm: sequence(oid(oids.ecdsaWithSha256)), digest: 'sha256' };
const p384Row: Row = { algorithm: sequence(oid(oids.ecdsaWithSha384)), digest: 'sha384' };
const ed25519Row: Row = { algorithm: sequence(oid(oids.ed25519)), digest: null };
const rsaRow: Row = { algorithm: sequence(oid(oids.sha256WithRsa), derNull), digest: 'sha256' };

function rowOf(key: KeyObject): Row {
  switch (keyTypeOf(key)) {
    case 'p256':
      return p256Row;
    case 'p384':
      return p384Row;
    case 'ed25519':
      return ed25519Row;
    case 'rsa2048':
    case 'rsa3072':
    case 'rsa4096':
      return rsaRow;
    case undefined:
      throw new TypeError('a key of an unsupported type cannot sign');
  }
}

const claims = new Map<string, { family: 'ec' | 'rsa' | 'ed25519'; digest: string | null }>([
  [oids.ecdsaWithSha256, { family: 'ec', digest: 'sha256' }],
  [oids.ecdsaWithSha384, { family: 'ec', digest: 'sha384' }],
  [oids.ecdsaWithSha512, { family: 'ec', digest: 'sha512' }],
  [oids.sha256WithRsa, { family: 'rsa', digest: 'sha256' }],
  [oids.sha384WithRsa, { family: 'rsa', digest: 'sha384' }],
  [oids.sha512WithRsa, { family: 'rsa', digest: 'sha512' }],
  [oids.ed25519, { family: 'ed25519', digest: null }],
]);
