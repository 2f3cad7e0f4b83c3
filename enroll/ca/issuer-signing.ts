/**
 * The root signs the issuer of another state folder: this folder is on a machine without a network, and the other one
 * belongs to the service.
 *
 * @module
 */
import { readCertificate, type CertificateFacts } from '../../certs/certificate.ts';
import { parseCsr } from '../../certs/csr.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { issuerValidityMs } from './ca-folder.ts';
import { openRoot, type CaDeps } from './root-authority.ts';

/**
 * Signs a request of `flotilla issuer request`. The root decides the extensions; from the request it takes the key.
 *
 * @throws FlotillaError `csr-…`, `root-key-missing`, `ca-passphrase-wrong`, `ca-expired`
 */
export async function signIssuerRequest(
  state: StateFolder,
  passphrase: string,
  deps: CaDeps,
  request: string,
  purpose: 'devices' | 'services',
): Promise<CertificateFacts> {
  const csr = parseCsr(request);
  const root = await openRoot(state, passphrase, deps);
  const kind = purpose === 'devices' ? 'Issuing' : 'Service';
  const year = new Date(deps.clock.now()).getUTCFullYear();
  const issued = await root.sign({
    spki: csr.spki,
    profile: purpose === 'devices' ? 'device-issuer' : 'service-issuer',
    commonName: `Flotilla ${kind} CA ${year}-${csr.keyFingerprint.slice(-8)}`,
    validityMs: issuerValidityMs,
  });
  return readCertificate(issued.pem);
}
