/**
 * The private keys of the CA folder. A key is found by its public key, so that a crash between the files of a change
 * leaves a working CA.
 *
 * @module
 */
import { join } from 'node:path';
import type { CertificateFacts } from '../../certs/certificate.ts';
import { decryptPrivateKey } from '../../certs/encrypted-key.ts';
import { spkiOf } from '../../certs/key.ts';
import { pkcs11Signer } from '../../certs/pkcs11-signer.ts';
import { isPkcs11Uri } from '../../certs/pkcs11-uri.ts';
import { keySigner, type Signer } from '../../certs/signer.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { isExternalKey, readSecretText } from './ca-files.ts';
import { foldersIn, formerRoot, nextRoot } from './ca-inventory.ts';

/** The files that may contain the key of a root. */
export function rootKeyFiles({ ca }: StateFolder): string[] {
  return [ca.rootKey, ...[nextRoot, formerRoot].map((name) => join(ca.roots, name, 'key.pem'))];
}

/** The files that contain keys of issuers: trusted, withdrawn and requested ones. Some may not exist. */
export async function issuerKeyFiles({ ca }: StateFolder): Promise<string[]> {
  const folders = await Promise.all([ca.issuers, ca.withdrawn, ca.requests].map(foldersIn));
  return [ca.issuerKey, ...folders.flat().map((folder) => join(folder, 'key.pem'))];
}

/**
 * Opens the content of a key file: an encrypted private key, or the PKCS#11 URI of a key on a token.
 *
 * @throws FlotillaError `ca-passphrase-wrong`, `ca-key-unreadable`, `ca-token-failed`
 */
export async function openSigner(content: string, passphrase: string): Promise<Signer> {
  return isPkcs11Uri(content)
    ? pkcs11Signer(content)
    : keySigner(decryptPrivateKey(content, passphrase));
}

/**
 * Opens the keys of these certificates. Each encrypted key blocks the event loop for 0.1 s.
 *
 * @returns the keys that were found, by the certificate's key fingerprint
 * @throws FlotillaError `ca-passphrase-wrong`, `ca-key-unreadable`, `file-too-open`
 */
export async function openKeys(
  files: readonly string[],
  certificates: readonly CertificateFacts[],
  passphrase: string,
): Promise<ReadonlyMap<string, Signer>> {
  const wanted = new Map(
    certificates.map(({ spki, keyFingerprint }) => [spki.toString('hex'), keyFingerprint]),
  );
  const keys = new Map<string, Signer>();
  const seen = new Set<string>();
  for (const file of files) {
    if (keys.size === new Set(wanted.values()).size) break;
    const pem = await readSecretText(file);
    if (pem === undefined || seen.has(pem) || isExternalKey(pem)) continue;
    seen.add(pem);
    const key = await openSigner(pem, passphrase);
    const fingerprint = wanted.get(spkiOf(key.publicKey).toString('hex'));
    if (fingerprint !== undefined) keys.set(fingerprint, key);
  }
  return keys;
}
