/**
 * The root, with its key: it signs issuers and its own CRL, and nothing else.
 *
 * @module
 */
import { Authority, type AuthorityUrls } from '../../certs/authority.ts';
import { readCertificate } from '../../certs/certificate.ts';
import { decryptPrivateKey } from '../../certs/encrypted-key.ts';
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { readSecretText, readText } from './ca-files.ts';

export interface CaDeps {
  readonly clock: Clock;
  /** The addresses that a CA's certificates carry, by the CA's fingerprint. */
  readonly urls?: (fingerprint: string) => AuthorityUrls;
}

/**
 * Opens the root with its key.
 *
 * @throws FlotillaError `ca-missing`, `root-key-missing` when the root's key is stored elsewhere,
 *   `ca-passphrase-wrong`, `ca-key-mismatch`, `file-too-open`
 */
export async function openRoot(
  state: StateFolder,
  passphrase: string,
  { clock, urls }: CaDeps,
): Promise<Authority> {
  const certificate = await readText(state.ca.rootCert);
  if (certificate === undefined) {
    throw new FlotillaError('ca-missing', { detail: state.ca.rootCert });
  }
  const key = await readSecretText(state.ca.rootKey);
  if (key === undefined) throw new FlotillaError('root-key-missing', { detail: state.ca.rootKey });
  // Issuers carry the address of the root's CRL. The root has no OCSP responder.
  const { crl } = urls?.(readCertificate(certificate).fingerprint) ?? {};
  return new Authority({
    key: decryptPrivateKey(key, passphrase),
    certificate,
    clock,
    urls: crl === undefined ? {} : { crl },
  });
}
