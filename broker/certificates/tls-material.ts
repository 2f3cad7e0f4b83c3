/**
 * The certificates in force: the broker's own, and the CA certificates that clients may come from.
 * Those are the broker's CA file and, once the feed named them, the feed's.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import { messageOf } from '../../core/errors/flotilla-error.ts';
import {
  certificatesIn,
  readBrokerCertificate,
  type BrokerCertificate,
} from './broker-certificate.ts';

/** What TLS is set up with; can be replaced while the listener runs. */
export interface TlsMaterial {
  readonly key: string;
  readonly chain: string;
  /** All CA certificates that clients' certificates may come from, PEM. */
  readonly authorities: readonly string[];
  readonly sessionTickets: boolean;
}

export class BrokerTlsMaterial {
  readonly #folder: string;
  readonly #sessionTickets: boolean;
  #identity: BrokerCertificate;
  #fromFeed: readonly string[] = [];
  #authorities: readonly X509Certificate[] = [];

  private constructor(folder: string, identity: BrokerCertificate, sessionTickets: boolean) {
    this.#folder = folder;
    this.#identity = identity;
    this.#sessionTickets = sessionTickets;
    this.#gather();
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
   * Reads the files anew.
   *
   * @returns whether anything changed
   * @throws FlotillaError; then the old ones stay
   */
  async reload(): Promise<boolean> {
    const fresh = await readBrokerCertificate(this.#folder);
    const old = this.#identity;
    if (fresh.key === old.key && fresh.chain === old.chain && fresh.ca === old.ca) return false;
    this.#identity = fresh;
    this.#gather();
    return true;
  }

  /**
   * Takes over the CA certificates that the feed names.
   *
   * @returns a sentence when they cannot be read; then the old ones stay
   */
  trust(pem: readonly string[]): string | undefined {
    try {
      for (const one of pem) certificatesIn(one);
    } catch (error) {
      return messageOf(error);
    }
    this.#fromFeed = pem;
    this.#gather();
    return undefined;
  }

  #gather(): void {
    const byFingerprint = new Map<string, X509Certificate>();
    const named = this.#fromFeed.flatMap((pem) => certificatesIn(pem));
    // The feed's word counts alone once it was given: a CA that it no longer names is out.
    for (const one of named.length > 0 ? named : this.#identity.authorities) {
      byFingerprint.set(one.fingerprint256, one);
    }
    this.#authorities = [...byFingerprint.values()];
  }
}
