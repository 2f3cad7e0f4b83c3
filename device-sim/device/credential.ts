/**
 * What a device holds after it has enrolled.
 *
 * @module
 */

/** What a device holds after enrollment; PEM. */
export interface Credential {
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
