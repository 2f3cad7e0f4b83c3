/**
 * The private keys of the CA folder. A key is found by its public key, so that a crash between the files of a change
 * leaves a working CA.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto';
import { join } from 'node:path';
import type { CertificateFacts } from '../../certs/certificate.ts';
import { decryptPrivateKey } from '../../certs/encrypted-key.ts';
import { spkiOf } from '../../certs/key.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { readSecretText } from './ca-files.ts';
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
 * Decrypts the keys of these certificates. Each key blocks the event loop for 0.1 s.
 *
 * @returns the keys that were found, by the certificate's key fingerprint
 * @throws FlotillaError `ca-passphrase-wrong`, `ca-key-unreadable`, `file-too-open`
 */
export async function openKeys(
  files: readonly string[],
  certificates: readonly CertificateFacts[],
  passphrase: string,
): Promise<ReadonlyMap<string, KeyObject>> {
  const wanted = new Map(
    certificates.map(({ spki, keyFingerprint }) => [spki.toString('hex'), keyFingerprint]),
  );
  const keys = new Map<string, KeyObject>();
  const seen = new Set<string>();
  for (const file of files) {
    if (keys.size === new Set(wanted.values()).size) break;
    const pem = await readSecretText(file);
    if (pem === undefined || seen.has(pem)) continue;
    seen.add(pem);
    const key = decryptPrivateKey(pem, passphrase);
    const fingerprint = wanted.get(spkiOf(key).toString('hex'));
    if (fingerprint !== undefined) keys.set(fingerprint, key);
  }
  return keys;
}
