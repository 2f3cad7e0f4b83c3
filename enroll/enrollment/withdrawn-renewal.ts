/** Which certificates of a withdrawn issuer may still be renewed. @module */
import type { Config } from '../../core/config/config.ts';

/**
 * Whether an identity with this role may renew a certificate although its issuer was withdrawn. Its holder proves to have
 * the key of a certificate that is in the registry. A broker always gets a new certificate: it has to apply the
 * withdrawal of the issuer.
 */
export function mayRenewWithdrawn({ enroll }: Config, role: string): boolean {
  return enroll.renewWithdrawn || role === 'broker';
}
