/**
 * Key and certificate of an enrolled device.
 *
 * @module
 */

/** Key and certificate in PEM. */
export interface DeviceCredential {
  readonly id: string;
  readonly key: string;
  /** Leaf, then issuer. */
  readonly chain: string;
  /** Lower-case hexadecimal. */
  readonly serial: string;
  readonly notAfterMs: number;
  /** `sha256:…` over the public key. */
  readonly keyFingerprint: string;
}
