/**
 * The CA while the service runs: who signs, who is trusted.
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

  /** What devices pin. */
  get fingerprint(): string {
    return this.#opened.root.fingerprint;
  }

  /** The issuer that signs. */
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

  /** PEM of each: root, then issuers. */
  get pems(): readonly string[] {
    return [this.root.pem, ...this.issuers.map(({ certificate }) => certificate.pem)];
  }

  /** PEM: root, then issuers. */
  get bundle(): string {
    return this.pems.join('');
  }

  /** Whether a key is one of the CA's own. */
  ownsKey(keyFingerprint: string): boolean {
    return [this.root, ...this.issuers.map(({ certificate }) => certificate)].some(
      (certificate) => certificate.keyFingerprint === keyFingerprint,
    );
  }

  /** Puts the CA, read anew, in the place of the old one. */
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
