/**
 * Checks the files of an identity: that they can be used, belong together, and lead to the root.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { readCertificate, splitPem, type CertificateFacts } from '../../certs/certificate.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { holdsIdentity, loadIdentity } from '../../core/identity-folder.ts';
import type { FindingList } from '../../core/integrity/finding.ts';
import { identityFiles } from '../../core/state-folder.ts';

/**
 * @param authorities the CA certificates of the state folder; empty: there are none on this machine
 * @returns the certificate; undefined when the folder has no identity, or it cannot be read
 */
export async function checkIdentityFiles(
  folder: string,
  authorities: readonly CertificateFacts[],
  findings: FindingList,
): Promise<CertificateFacts | undefined> {
  const files = identityFiles(folder);
  const hasFiles = (await holdsIdentity(folder)) || (await isReadable(files.key));
  if (!hasFiles) return undefined;
  try {
    const { chain, ca } = await loadIdentity(folder);
    const certificates = splitPem(chain).map(readCertificate);
    const [leaf] = certificates;
    if (leaf === undefined) throw unusable(`${files.chain}: no certificate`);
    const [shown] = splitPem(await readFile(files.cert, 'utf8')).map(readCertificate);
    if (shown?.fingerprint !== leaf.fingerprint) {
      throw unusable(`${files.cert} is not the first certificate of chain.pem`);
    }
    const fault = chainFault(certificates, splitPem(ca).map(readCertificate), authorities);
    if (fault !== undefined) throw unusable(fault);
    return leaf;
  } catch (error) {
    findings.addError(error, folder, 'identity-unreadable');
    return undefined;
  }
}

/** Why the chain does not end at a root that the holder and the state folder trust. */
function chainFault(
  chain: readonly CertificateFacts[],
  trusted: readonly CertificateFacts[],
  authorities: readonly CertificateFacts[],
): string | undefined {
  if (trusted.length === 0) return 'ca.pem has no certificate';
  for (const [at, certificate] of chain.entries()) {
    const signers = [...chain.slice(at + 1), ...trusted];
    if (!signers.some((signer) => isSignedBy(certificate, signer))) {
      return `chain.pem: no certificate of chain.pem or ca.pem has signed number ${at + 1}`;
    }
  }
  const known = new Set(authorities.map(({ fingerprint }) => fingerprint));
  const roots = trusted.filter((one) => isSignedBy(one, one));
  if (known.size > 0 && !roots.some(({ fingerprint }) => known.has(fingerprint))) {
    return 'ca.pem has another root than the folder ca';
  }
  return undefined;
}

function isSignedBy({ x509 }: CertificateFacts, signer: CertificateFacts): boolean {
  try {
    return x509.checkIssued(signer.x509) && x509.verify(signer.x509.publicKey);
  } catch {
    return false;
  }
}

function unusable(detail: string): FlotillaError {
  return new FlotillaError('identity-unreadable', { detail });
}

async function isReadable(path: string): Promise<boolean> {
  return readFile(path).then(
    () => true,
    () => false,
  );
}
