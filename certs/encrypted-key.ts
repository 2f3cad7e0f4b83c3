/**
 * Private keys at rest: PKCS#8 encrypted under a passphrase (pbes2.ts).
 *
 * Implemented here because node:crypto encrypts with only 2,048 iterations of PBKDF2. The format is the
 * common one: `openssl pkey` and node:crypto can read it.
 *
 * @module
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { FlotillaError } from '../core/errors/flotilla-error.ts';
import { decodeDer, tags, type DerNode } from './der.ts';
import { octetString, sequence } from './der-encode.ts';
import { Fields } from './der-fields.ts';
import { pbes2Decrypt, pbes2Encrypt } from './pbes2.ts';
import { derOfText, pemOf } from './pem.ts';

const label = 'ENCRYPTED PRIVATE KEY';
const encryptedKeyMaxBytes = 16 * 1024;

/** Encrypts a private key. Returns PEM. Blocks the event loop for up to 0.1 s (derived-key.ts). */
export function encryptPrivateKey(key: KeyObject, passphrase: string): string {
  return pemOf(label, encryptedKeyInfo(key, passphrase));
}

/** EncryptedPrivateKeyInfo (RFC 5958, 3), DER. */
export function encryptedKeyInfo(key: KeyObject, passphrase: string): Buffer {
  const plain = key.export({ type: 'pkcs8', format: 'der' });
  const { algorithm, bytes } = pbes2Encrypt(plain, passphrase);
  plain.fill(0);
  return sequence(algorithm, octetString(bytes));
}

/**
 * Decrypts an encrypted private key. Blocks the event loop for up to 0.1 s (derived-key.ts).
 *
 * @throws FlotillaError `ca-key-unreadable` when it is not an encrypted PKCS#8 key,
 *   `ca-passphrase-wrong` when the passphrase does not decrypt it
 */
export function decryptPrivateKey(pem: string, passphrase: string): KeyObject {
  const { algorithm, bytes } = partsOf(pem);
  try {
    const plain = pbes2Decrypt(algorithm, bytes, passphrase);
    // Written by other software, with another scheme or another number of iterations.
    if (plain === undefined) return createPrivateKey({ key: pem, format: 'pem', passphrase });
    try {
      return createPrivateKey({ key: plain, format: 'der', type: 'pkcs8' });
    } finally {
      plain.fill(0);
    }
  } catch (error) {
    throw new FlotillaError('ca-passphrase-wrong', { cause: error });
  }
}

/**
 * Distinguishes a damaged file from a wrong passphrase.
 *
 * @throws FlotillaError `ca-key-unreadable`
 */
export function assertEncryptedKey(pem: string): void {
  partsOf(pem);
}

function partsOf(pem: string): { readonly algorithm: DerNode; readonly bytes: Buffer } {
  try {
    const der = derOfText(pem, [label]);
    if (der === undefined) throw new Error('not PEM of an encrypted private key');
    const node = decodeDer(der, { maxBytes: encryptedKeyMaxBytes });
    const fields = new Fields(node, tags.sequence, 'key');
    const algorithm = fields.next(tags.sequence);
    const bytes = fields.next(tags.octetString).content;
    fields.end();
    return { algorithm, bytes };
  } catch (error) {
    throw new FlotillaError('ca-key-unreadable', { cause: error });
  }
}
