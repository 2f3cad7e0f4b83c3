/**
 * What a CSR must be for a certificate to be issued on it, beyond being one.
 *
 * @module
 */
import type { Csr } from '../../certs/csr.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { Registry } from '../registry/registry.ts';
import type { EnrollmentProfile } from './profiles.ts';

/**
 * The names in a CSR must be the device's own, or none.
 *
 * @throws FlotillaError `csr-name-mismatch`
 */
export function assertNames(csr: Csr, device: DeviceId): void {
  const { dns, ip, uri } = csr.names;
  const fits =
    (csr.commonName === undefined || csr.commonName === device) &&
    ip.length === 0 &&
    uri.length === 0 &&
    // Names are lower case in a CSR that was read.
    dns.every((name) => name === device.toLowerCase());
  if (!fits) throw new FlotillaError('csr-name-mismatch', { detail: `expected was ${device}` });
}

/** @throws FlotillaError `key-type-refused` */
export function assertKeyType(csr: Csr, profile: EnrollmentProfile): void {
  if (profile.keyTypes.includes(csr.keyType)) return;
  throw new FlotillaError('key-type-refused', {
    detail: `${csr.keyType}; profile ${profile.name} takes ${profile.keyTypes.join(', ')}`,
  });
}

/**
 * The key must be nobody else's and not compromised.
 *
 * @throws FlotillaError `key-in-use`, `key-blocked`
 */
export async function assertKeyFree(
  csr: Csr,
  device: DeviceId,
  registry: Registry,
  ca: CertificateAuthority,
): Promise<void> {
  const { keyFingerprint } = csr;
  if ((await registry.get('blockedKeys', keyFingerprint)) !== undefined) {
    throw new FlotillaError('key-blocked', { detail: keyFingerprint });
  }
  const holder = await registry.holderOfKey(keyFingerprint);
  if ((holder !== undefined && holder !== device) || ca.ownsKey(keyFingerprint)) {
    throw new FlotillaError('key-in-use', { detail: keyFingerprint });
  }
}
