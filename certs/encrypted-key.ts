/**
 * Private keys at rest: PKCS#8 encrypted with PBES2 (RFC 8018), PBKDF2-HMAC-SHA256 and AES-256-CBC.
 *
 * Written here because what node:crypto writes itself has 2,048 iterations of PBKDF2. The format is
 * the common one: `openssl pkey` and node:crypto read it.
 *
 * @module
 */
import {
  createCipheriv,
  createPrivateKey,
  pbkdf2Sync,
  randomBytes,
  type KeyObject,
} from 'node:crypto';
import { FlotillaError } from '../core/errors/flotilla-error.ts';
import { decodeDer, tags } from './der.ts';
import { derNull, integer, octetString, oid, sequence } from './der-encode.ts';
import { Fields } from './der-fields.ts';
import { oids } from './oids.ts';
import { derOfText, pemOf } from './pem.ts';

/** OWASP's figure for PBKDF2-HMAC-SHA256: about 0.1 s for each guess on one core. */
export const pbkdf2Iterations = 600_000;

const keyBytes = 32;
const label = 'ENCRYPTED PRIVATE KEY';

/** Encrypts a private key, PEM. Takes about 0.1 s, on the event loop. */
export function encryptPrivateKey(key: KeyObject, passphrase: string): string {
  const salt = randomBytes(16);
  const iv = randomBytes(16);
  const secret = pbkdf2Sync(passphrase, salt, pbkdf2Iterations, keyBytes, 'sha256');
  const cipher = createCipheriv('aes-256-cbc', secret, iv);
  const plain = key.export({ type: 'pkcs8', format: 'der' });
  const encrypted = Buffer.concat([cipher.update(plain), cipher.final()]);
  plain.fill(0);
  secret.fill(0);
  const parameters = sequence(
    octetString(salt),
    integer(pbkdf2Iterations),
    integer(keyBytes),
    sequence(oid(oids.hmacWithSha256), derNull),
  );
  const scheme = sequence(
    oid(oids.pbes2),
    sequence(
      sequence(oid(oids.pbkdf2), parameters),
      sequence(oid(oids.aes256Cbc), octetString(iv)),
    ),
  );
  return pemOf(label, sequence(scheme, octetString(encrypted)));
}

/**
 * Opens an encrypted private key. Takes about 0.1 s, on the event loop.
 *
 * @throws FlotillaError `ca-key-unreadable` when it is not an encrypted PKCS#8 key,
 *   `ca-passphrase-wrong` when the passphrase does not open it
 */
export function decryptPrivateKey(pem: string, passphrase: string): KeyObject {
  assertEncryptedKey(pem);
  try {
    return createPrivateKey({ key: pem, format: 'pem', passphrase });
  } catch (error) {
    throw new FlotillaError('ca-passphrase-wrong', { cause: error });
  }
}

/** So that a damaged file is not taken for a wrong passphrase. RFC 5958, 3: EncryptedPrivateKeyInfo. */
function assertEncryptedKey(pem: string): void {
  try {
    const der = derOfText(pem, [label]);
    if (der === undefined) throw new Error('not PEM of an encrypted private key');
    const fields = new Fields(decodeDer(der, { maxBytes: 16 * 1024 }), tags.sequence, 'key');
    fields.next(tags.sequence);
    fields.next(tags.octetString);
    fields.end();
  } catch (error) {
    throw new FlotillaError('ca-key-unreadable', { cause: error });
  }
}
