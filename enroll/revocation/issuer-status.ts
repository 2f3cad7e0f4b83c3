/**
 * The status of an issuer, for OCSP requests about the CA itself.
 *
 * @module
 */
import type { CertificateFacts } from '../../certs/certificate.ts';
import type { Crl } from '../../certs/crl.ts';
import type { CertificateStatus } from '../../certs/ocsp.ts';
import type { CaInventory } from '../ca/ca-inventory.ts';

/**
 * The status of a certificate that a root has signed: an issuer, a CA between them, or the certificate of another root.
 * A withdrawn issuer is revoked even if the key of the root was not there to put it on the list.
 *
 * @param list the CRL of the root, if there is one
 */
export function issuerStatus(
  { issuers, withdrawn, cross }: CaInventory,
  root: CertificateFacts,
  list: Pick<Crl, 'revoked'> | undefined,
  serial: string,
): CertificateStatus {
  const listed = list?.revoked.get(serial);
  if (listed !== undefined) {
    const { atMs, reason } = listed;
    return { status: 'revoked', atMs, ...(reason === undefined ? {} : { reason }) };
  }
  const isOf = (one: CertificateFacts): boolean =>
    one.serial === serial && one.x509.checkIssued(root.x509);
  const lost = withdrawn.find(isOf);
  // Nobody knows since when its key is in other hands.
  if (lost !== undefined)
    return { status: 'revoked', atMs: lost.notBeforeMs, reason: 'cACompromise' };
  const known = [...issuers.flatMap(({ certificate, above }) => [certificate, ...above]), ...cross];
  return known.some(isOf) ? { status: 'good' } : { status: 'unknown' };
}
