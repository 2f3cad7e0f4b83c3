/**
 * Checks of a CSR before a certificate is issued for it.
 *
 * @module
 */
import type { Csr } from '../../certs/csr.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { Registry } from '../registry/registry.ts';
import type { EnrollmentProfile } from './profiles.ts';

/** The common name in a CSR must be that of its device, or absent. @throws FlotillaError `csr-name-mismatch` */
export function assertCommonName({ commonName }: Csr, device: DeviceId): void {
  if (commonName === undefined || commonName === device) return;
  throw new FlotillaError('csr-name-mismatch', { detail: `expected ${device}` });
}

/** Whether a CSR has no names but the id of the device: as common name, as DNS names, or not at all. */
export function areOwnNames(csr: Csr, device: DeviceId): boolean {
  const { dns, ip, uri } = csr.names;
  return (
    (csr.commonName === undefined || csr.commonName === device) &&
    ip.length === 0 &&
    uri.length === 0 &&
    // `parseCsr` converts DNS names to lower case.
    dns.every((name) => name === device.toLowerCase())
  );
}

/** @throws FlotillaError `key-type-refused` */
export function assertKeyType(csr: Csr, profile: EnrollmentProfile): void {
  if (profile.keyTypes.includes(csr.keyType)) return;
  throw new FlotillaError('key-type-refused', {
    detail: `${csr.keyType}; profile ${profile.name} allows ${profile.keyTypes.join(', ')}`,
  });
}

/** A CSR whose key may be certified for a device. Only {@link CheckedCsr.check} makes one. */
export class CheckedCsr {
  readonly csr: Csr;
  readonly device: DeviceId;

  private constructor(csr: Csr, device: DeviceId) {
    this.csr = csr;
    this.device = device;
  }

  /**
   * The key must not be compromised, and must not be the key of another identity or of the CA. The registry
   * refuses a key that another identity gets in the meantime.
   *
   * @throws FlotillaError `key-in-use`, `key-blocked`
   */
  static async check(
    csr: Csr,
    device: DeviceId,
    { registry, ca }: { readonly registry: Registry; readonly ca: CertificateAuthority },
  ): Promise<CheckedCsr> {
    const { keyFingerprint } = csr;
    if ((await registry.get('blockedKeys', keyFingerprint)) !== undefined) {
      throw new FlotillaError('key-blocked', { detail: keyFingerprint });
    }
    const holder = await registry.holderOfKey(keyFingerprint);
    if ((holder !== undefined && holder !== device) || ca.ownsKey(keyFingerprint)) {
      throw new FlotillaError('key-in-use', { detail: keyFingerprint });
    }
    return new CheckedCsr(csr, device);
  }
}
