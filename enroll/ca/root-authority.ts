/**
 * The root, with its key: it signs issuers and its own CRL, and nothing else.
 *
 * @module
 */
import type { AuthorityUrls } from '../../certs/authority-points.ts';
import { Authority } from '../../certs/authority.ts';
import { readCertificate, type CertificateFacts } from '../../certs/certificate.ts';
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { readText } from './ca-files.ts';
import { openKeys, rootKeyFiles } from './ca-keys.ts';

export interface CaDeps {
  readonly clock: Clock;
  /** The addresses that a CA's certificates carry, by the CA's fingerprint. */
  readonly urls?: (fingerprint: string) => AuthorityUrls;
}

/**
 * Opens a root with its key.
 *
 * @param root the root (default: the current one)
 * @throws FlotillaError `ca-missing`, `root-key-missing` when the root's key is stored elsewhere,
 *   `ca-passphrase-wrong`, `file-too-open`
 */
export async function openRoot(
  state: StateFolder,
  passphrase: string,
  { clock, urls }: CaDeps,
  root?: CertificateFacts,
): Promise<Authority> {
  const certificate = root ?? (await currentRoot(state));
  const { keyFingerprint, fingerprint, pem } = certificate;
  const keys = await openKeys(rootKeyFiles(state), [certificate], passphrase);
  const key = keys.get(keyFingerprint);
  if (key === undefined) {
    throw new FlotillaError('root-key-missing', {
      detail: `${state.ca.rootKey} of ${fingerprint}`,
    });
  }
  // Issuers carry the addresses of the root's CRL and of the responder for issuers.
  return new Authority({ key, certificate: pem, clock, urls: urls?.(fingerprint) ?? {} });
}

/** The certificate of the current root. @throws FlotillaError `ca-missing` */
async function currentRoot(state: StateFolder): Promise<CertificateFacts> {
  const pem = await readText(state.ca.rootCert);
  if (pem === undefined) throw new FlotillaError('ca-missing', { detail: state.ca.rootCert });
  return readCertificate(pem);
}
