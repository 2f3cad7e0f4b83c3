/**
 * The CA while the service runs: the issuer that signs, and the certificates that are trusted.
 *
 * @module
 */
import type { Authority } from '../../certs/authority.ts';
import type { CertificateFacts } from '../../certs/certificate.ts';
import type { OpenedCa } from './ca-folder.ts';

export class CertificateAuthority {
  #opened: OpenedCa;
  readonly #listeners = new Set<() => void>();

  constructor(opened: OpenedCa) {
    this.#opened = opened;
  }

  get root(): CertificateFacts {
    return this.#opened.root;
  }

  /** The root's list of revoked issuers, DER; undefined when it could not be signed yet. */
  get rootCrl(): Buffer | undefined {
    return this.#opened.rootCrl;
  }

  /** The fingerprint that devices pin: that of the root. */
  get fingerprint(): string {
    return this.#opened.root.fingerprint;
  }

  /** The issuer that signs new certificates. */
  get current(): Authority {
    return this.#opened.current;
  }

  /** Every trusted issuer, the current one first. */
  get issuers(): readonly Authority[] {
    return this.#opened.issuers;
  }

  issuer(fingerprint: string): Authority | undefined {
    return this.issuers.find(({ certificate }) => certificate.fingerprint === fingerprint);
  }

  /** The certificates as PEM: root, then issuers. */
  get pems(): readonly string[] {
    return [this.root.pem, ...this.issuers.map(({ certificate }) => certificate.pem)];
  }

  /** The certificates as one PEM text: root, then issuers. */
  get bundle(): string {
    return this.pems.join('');
  }

  /** Whether a key is the key of the root or of an issuer. */
  ownsKey(keyFingerprint: string): boolean {
    return [this.root, ...this.issuers.map(({ certificate }) => certificate)].some(
      (certificate) => certificate.keyFingerprint === keyFingerprint,
    );
  }

  /** Replaces the CA after it was read from the disk again. */
  replace(opened: OpenedCa): void {
    this.#opened = opened;
    for (const listener of this.#listeners) listener();
  }

  /** Calls after each {@link replace}, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
