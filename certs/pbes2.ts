/**
 * Encryption with a passphrase: PBES2 (RFC 8018, 6.2) with PBKDF2-HMAC-SHA256 and AES-256-CBC.
 *
 * @module
 */
import { createCipheriv, pbkdf2Sync, randomBytes } from 'node:crypto';
import { derNull, integer, octetString, oid, sequence } from './der-encode.ts';
import { oids } from './oids.ts';

/** The recommendation of OWASP for PBKDF2-HMAC-SHA256: about 0.1 s for each guess on one core. */
export const pbkdf2Iterations = 600_000;

const keyBytes = 32;

export interface Encrypted {
  /** AlgorithmIdentifier, DER: the scheme with its salt and iteration count. */
  readonly algorithm: Buffer;
  readonly bytes: Buffer;
}

/** Encrypts. Blocks the event loop for about 0.1 s. */
export function pbes2Encrypt(plain: Uint8Array, passphrase: string): Encrypted {
  const salt = randomBytes(16);
  const iv = randomBytes(16);
  const secret = pbkdf2Sync(passphrase, salt, pbkdf2Iterations, keyBytes, 'sha256');
  const cipher = createCipheriv('aes-256-cbc', secret, iv);
  const bytes = Buffer.concat([cipher.update(plain), cipher.final()]);
  secret.fill(0);
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
