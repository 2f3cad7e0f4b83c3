/**
 * The fingerprint that devices pin.
 *
 * @module
 */
import { fingerprintOf } from '../../certs/key.ts';
import { readCertificate, splitPem } from '../../certs/certificate.ts';

/** The fingerprint of the root in a bundle that starts with it (`ca.pem`). */
export function caFingerprint(bundle: string): string {
  const [root] = splitPem(bundle);
  return fingerprintOf(readCertificate(root ?? '').der);
}
