/**
 * The certificates in force: the broker's own certificate, and the CA certificates that client
 * certificates are verified with. The latter come from the feed or, until the feed has sent some, from
 * the broker's CA file.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import {
  certificatesIn,
  readBrokerCertificate,
  type BrokerCertificate,
} from './broker-certificate.ts';

/** What a TLS listener needs. Can be replaced while the listener runs. */
export interface TlsMaterial {
  readonly key: string;
  readonly chain: string;
  /** The CA certificates that client certificates are verified with, PEM. */
  readonly authorities: readonly string[];
  readonly sessionTickets: boolean;
  /** 48 random bytes, the same in all threads of a port; undefined: each listener makes its own. */
  readonly ticketKeys?: Uint8Array;
}

export class BrokerTlsMaterial {
  readonly #folder: string;
  readonly #sessionTickets: boolean;
  #identity: BrokerCertificate;
  #fromFeed: readonly X509Certificate[] = [];
  #authorities: readonly X509Certificate[] = [];

  private constructor(folder: string, identity: BrokerCertificate, sessionTickets: boolean) {
    this.#folder = folder;
    this.#identity = identity;
    this.#sessionTickets = sessionTickets;
    this.#selectAuthorities();
  }

  /** @throws FlotillaError `broker-identity-invalid`, `file-too-open` */
  static async read(folder: string, sessionTickets: boolean): Promise<BrokerTlsMaterial> {
    return new BrokerTlsMaterial(folder, await readBrokerCertificate(folder), sessionTickets);
  }

  get identity(): BrokerCertificate {
    return this.#identity;
  }

  get authorities(): readonly X509Certificate[] {
    return this.#authorities;
  }

  tls(): TlsMaterial {
    return {
      key: this.#identity.key,
      chain: this.#identity.chain,
      authorities: this.#authorities.map(String),
      sessionTickets: this.#sessionTickets,
    };
  }

  /**
   * Reads the files again.
   *
   * @returns whether anything changed
   * @throws FlotillaError `broker-identity-invalid`, `file-too-open`; the previous ones stay in force
   */
  async reload(): Promise<boolean> {
    const current = await readBrokerCertificate(this.#folder);
    const previous = this.#identity;
    if (
      current.key === previous.key &&
      current.chain === previous.chain &&
      current.ca === previous.ca
    )
      return false;
    this.#identity = current;
    this.#selectAuthorities();
    return true;
  }

  /**
   * Uses the CA certificates of the feed.
   *
   * @throws when one of them cannot be parsed; the previous ones stay in force
   */
  trust(pem: readonly string[]): void {
    this.#fromFeed = pem.flatMap((one) => certificatesIn(one));
    this.#selectAuthorities();
  }

  #selectAuthorities(): void {
    const byFingerprint = new Map<string, X509Certificate>();
    // A CA that the feed no longer sends is no longer trusted, even if it is in the CA file.
    for (const one of this.#fromFeed.length > 0 ? this.#fromFeed : this.#identity.authorities) {
      byFingerprint.set(one.fingerprint256, one);
    }
    this.#authorities = [...byFingerprint.values()];
  }
}
