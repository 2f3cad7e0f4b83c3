/**
 * Encryption with a passphrase: PBES2 (RFC 8018, 6.2) with PBKDF2-HMAC-SHA256 and AES-256-CBC.
 *
 * @module
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { tags, type DerNode } from './der.ts';
import { derNull, integer, octetString, oid, sequence } from './der-encode.ts';
import { Fields, oidOf, smallNumberOf } from './der-fields.ts';
import { keyForDecryption, keyForEncryption } from './derived-key.ts';
import { oids } from './oids.ts';

/** The recommendation of OWASP for PBKDF2-HMAC-SHA256: about 0.1 s for each guess on one core. */
export const pbkdf2Iterations = 600_000;

const keyBytes = 32;
const ivBytes = 16;
const saltMaxBytes = 64;

export interface Encrypted {
  /** AlgorithmIdentifier, DER: the scheme with its salt and iteration count. */
  readonly algorithm: Buffer;
  readonly bytes: Buffer;
}

/** Encrypts. Blocks the event loop for about 0.1 s, unless the same passphrase was used in the last seconds. */
export function pbes2Encrypt(plain: Uint8Array, passphrase: string): Encrypted {
  const { salt, secret } = keyForEncryption(passphrase, pbkdf2Iterations);
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv('aes-256-cbc', secret, iv);
  const bytes = Buffer.concat([cipher.update(plain), cipher.final()]);
  const derivation = sequence(
    octetString(salt),
    integer(pbkdf2Iterations),
    integer(keyBytes),
    sequence(oid(oids.hmacWithSha256), derNull),
  );
  const algorithm = sequence(
    oid(oids.pbes2),
    sequence(
      sequence(oid(oids.pbkdf2), derivation),
      sequence(oid(oids.aes256Cbc), octetString(iv)),
    ),
  );
  return { algorithm, bytes };
}

/**
 * Decrypts what {@link pbes2Encrypt} wrote. Blocks the event loop as that does.
 *
 * @param algorithm - the AlgorithmIdentifier
 * @returns undefined when another scheme or another iteration count was used
 * @throws Error when the padding is wrong, which nearly always means: the passphrase is wrong
 */
export function pbes2Decrypt(
  algorithm: DerNode,
  bytes: Uint8Array,
  passphrase: string,
): Buffer | undefined {
  const scheme = ownScheme(algorithm);
  if (scheme === undefined) return undefined;
  const { secret } = keyForDecryption(passphrase, scheme.salt, pbkdf2Iterations);
  const decipher = createDecipheriv('aes-256-cbc', secret, scheme.iv);
  return Buffer.concat([decipher.update(bytes), decipher.final()]);
}

/** Salt and IV, if this is exactly the scheme that this module writes. */
function ownScheme(algorithm: DerNode): { readonly salt: Buffer; readonly iv: Buffer } | undefined {
  try {
    const outer = new Fields(algorithm, tags.sequence, 'PBES2');
    if (oidOf(outer.next(tags.oid)) !== oids.pbes2) return undefined;
    const parts = new Fields(outer.next(tags.sequence), tags.sequence, 'PBES2 parameters');
    const derivation = new Fields(parts.next(tags.sequence), tags.sequence, 'PBKDF2');
    const cipher = new Fields(parts.next(tags.sequence), tags.sequence, 'AES-256-CBC');
    if (oidOf(derivation.next(tags.oid)) !== oids.pbkdf2) return undefined;
    if (oidOf(cipher.next(tags.oid)) !== oids.aes256Cbc) return undefined;
    const iv = Buffer.from(cipher.next(tags.octetString).content);
    const values = new Fields(derivation.next(tags.sequence), tags.sequence, 'PBKDF2 parameters');
    const salt = Buffer.from(values.next(tags.octetString).content);
    const iterations = smallNumberOf(values.next(tags.integer));
    const length = values.optional(tags.integer);
    const hash = new Fields(values.next(tags.sequence), tags.sequence, 'PBKDF2 hash');
    const isOurs =
      oidOf(hash.next(tags.oid)) === oids.hmacWithSha256 &&
      iterations === pbkdf2Iterations &&
      (length === undefined || smallNumberOf(length) === keyBytes) &&
      iv.length === ivBytes &&
      salt.length <= saltMaxBytes;
    return isOurs ? { salt, iv } : undefined;
  } catch {
    return undefined;
  }
}
