/**
 * An identity's four files, as the service keeps its own: written, and looked at.
 *
 * @module
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { renameSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { readCertificate, type CertificateFacts } from '../../certs/certificate.ts';
import { privateKeyPem } from '../../certs/key.ts';
import {
  assertSecret,
  makeSecretFolder,
  syncFolder,
  writeFileAtomic,
} from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { identityFiles } from '../../core/state-folder.ts';

/** The part of its validity that must be left, else a certificate of the service's own is made anew. */
export const renewAtPart = 1 / 3;

export interface StoredIdentity {
  readonly certificate: CertificateFacts;
  /** PEM: leaf, then issuer. */
  readonly chain: string;
  /** PEM, PKCS#8. */
  readonly key: string;
}

/**
 * Writes key, certificate, chain and trusted certificates: first beside the old ones, then all four
 * take their places in one turn, so that who reads meanwhile hardly ever finds a key beside another
 * one's certificate. The certificate comes last: what is found without one that fits the key was
 * interrupted.
 */
export async function writeIdentity(
  folder: string,
  identity: { key: KeyObject; certificate: string; issuer: string; ca: string },
): Promise<void> {
  const files = identityFiles(folder);
  await makeSecretFolder(folder);
  const { key, certificate, issuer, ca } = identity;
  await writeFileAtomic(beside(files.key), privateKeyPem(key));
  await writeFileAtomic(beside(files.ca), ca, 0o644);
  await writeFileAtomic(beside(files.chain), certificate + issuer, 0o644);
  await writeFileAtomic(beside(files.cert), certificate, 0o644);
  for (const path of [files.key, files.ca, files.chain, files.cert]) {
    renameSync(beside(path), path);
  }
  await syncFolder(folder);
}

function beside(path: string): string {
  return `${path}.making`;
}

/** Reads an identity. @returns undefined when it is not there whole */
export async function readIdentity(folder: string): Promise<StoredIdentity | undefined> {
  const files = identityFiles(folder);
  try {
    const [key, cert, chain] = await Promise.all([
      readFile(files.key, 'utf8'),
      readFile(files.cert, 'utf8'),
      readFile(files.chain, 'utf8'),
    ]);
    await assertSecret(files.key);
    const certificate = readCertificate(cert);
    const whole = chain.startsWith(cert) && certificate.x509.checkPrivateKey(createPrivateKey(key));
    return whole ? { certificate, chain, key } : undefined;
  } catch (error) {
    if (error instanceof FlotillaError && error.code === 'file-too-open') throw error;
    return undefined;
  }
}

/** Whether enough of a certificate's time is left. */
export function isFresh(certificate: CertificateFacts, nowMs: number): boolean {
  const { notBeforeMs, notAfterMs } = certificate;
  return notBeforeMs <= nowMs && notAfterMs - nowMs > (notAfterMs - notBeforeMs) * renewAtPart;
}
