/**
 * An identity's four files, as the service keeps its own: written, and looked at.
 *
 * @module
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { readCertificate, type CertificateFacts } from '../certs/certificate.ts';
import { privateKeyPem } from '../certs/key.ts';
import { assertSecret, makeSecretFolder, writeFileAtomic } from '../core/atomic-file.ts';
import { FlotillaError } from '../core/errors/flotilla-error.ts';
import { identityFiles } from '../core/state-folder.ts';

/** The part of its validity that must be left, else a certificate of the service's own is made anew. */
export const renewAtPart = 1 / 3;

export interface HeldIdentity {
  readonly certificate: CertificateFacts;
  /** PEM: leaf, then issuer. */
  readonly chain: string;
  /** PEM, PKCS#8. */
  readonly key: string;
}

/**
 * Writes key, certificate, chain and trusted certificates. The certificate comes last: what is found
 * without one that fits the key was interrupted.
 */
export async function writeIdentity(
  folder: string,
  identity: { key: KeyObject; certificate: string; issuer: string; ca: string },
): Promise<void> {
  const files = identityFiles(folder);
  await makeSecretFolder(folder);
  await writeFileAtomic(files.key, privateKeyPem(identity.key));
  await writeFileAtomic(files.ca, identity.ca, 0o644);
  await writeFileAtomic(files.chain, identity.certificate + identity.issuer, 0o644);
  await writeFileAtomic(files.cert, identity.certificate, 0o644);
}

/** Reads an identity. @returns undefined when it is not there whole */
export async function readIdentity(folder: string): Promise<HeldIdentity | undefined> {
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
