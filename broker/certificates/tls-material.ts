/**
 * The certificates in force: the broker's own certificate, and the CA certificates that client
 * certificates are verified with. The latter come from the feed or, until the feed has sent some, from
 * the broker's CA file.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import { commonNameOf } from '../../certs/certificate.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { ServerKeyPair } from '../../core/server-tls.ts';
import {
  certificatesIn,
  readBrokerCertificate,
  type BrokerCertificate,
} from './broker-certificate.ts';
import { sharedTicketKeys } from './ticket-keys.ts';

/** What a TLS listener needs. Can be replaced while the listener runs. */
export interface TlsMaterial extends ServerKeyPair {
  /** The RSA certificate for clients without ECDSA. */
  readonly rsa?: ServerKeyPair;
  /** The CA certificates that client certificates are verified with, PEM. */
  readonly authorities: readonly string[];
  readonly sessionTickets: boolean;
  /** 48 random bytes, the same in all threads of a port; undefined: each listener makes its own. */
  readonly ticketKeys?: Uint8Array;
  /** The keys of a port that all nodes of a cluster have; undefined: this broker has its own. */
  readonly sharedTicketKeys?: (port: string) => Uint8Array;
}

/** All certificates that a listener shows. */
export function keyPairsOf(material: TlsMaterial): readonly ServerKeyPair[] {
  return material.rsa === undefined ? [material] : [material, material.rsa];
}

/** Where the certificates are. */
export interface MaterialFolders {
  readonly identity: string;
  /** Set when the broker has an RSA certificate as well. */
  readonly rsa?: string;
}

export class BrokerTlsMaterial {
  readonly #folders: MaterialFolders;
  readonly #sessionTickets: boolean;
  #identity: BrokerCertificate;
  #rsa: BrokerCertificate | undefined;
  #ticketSecret: { readonly secret: Uint8Array; readonly nowMs: () => number } | undefined;
  #fromFeed: readonly X509Certificate[] = [];
  #authorities: readonly X509Certificate[] = [];

  private constructor(
    folders: MaterialFolders,
    { identity, rsa }: StoredCertificates,
    sessionTickets: boolean,
  ) {
    this.#folders = folders;
    this.#identity = identity;
    this.#rsa = rsa;
    this.#sessionTickets = sessionTickets;
    this.#selectAuthorities();
  }

  /** @throws FlotillaError `broker-identity-missing`, `broker-identity-invalid`, `file-too-open` */
  static async read(folders: MaterialFolders, sessionTickets: boolean): Promise<BrokerTlsMaterial> {
    return new BrokerTlsMaterial(folders, await readCertificates(folders), sessionTickets);
  }

  get identity(): BrokerCertificate {
    return this.#identity;
  }

  /** The name of the broker in the registry: the common name of its certificate. */
  get name(): string {
    const name = commonNameOf(this.#identity.leaf);
    return name.ok ? name.id : '';
  }

  /** The RSA certificate; undefined when it is not enabled, or not there yet. */
  get rsa(): BrokerCertificate | undefined {
    return this.#rsa;
  }

  /** Of the broker's own certificates, the one that ends first. */
  get firstToEnd(): X509Certificate {
    const { leaf } = this.#identity;
    return this.#rsa !== undefined && this.#rsa.leaf.validToDate < leaf.validToDate
      ? this.#rsa.leaf
      : leaf;
  }

  get authorities(): readonly X509Certificate[] {
    return this.#authorities;
  }

  tls(): TlsMaterial {
    return {
      key: this.#identity.key,
      chain: this.#identity.chain,
      ...(this.#rsa === undefined ? {} : { rsa: { key: this.#rsa.key, chain: this.#rsa.chain } }),
      authorities: this.#authorities.map(String),
      sessionTickets: this.#sessionTickets,
      ...this.#sharedTicketKeys(),
    };
  }

  /** Derives the keys of session tickets from a secret that all nodes of a cluster have. */
  shareTickets(secret: Uint8Array, nowMs: () => number): void {
    this.#ticketSecret = { secret, nowMs };
  }

  #sharedTicketKeys(): Pick<TlsMaterial, 'sharedTicketKeys'> {
    const shared = this.#ticketSecret;
    if (shared === undefined) return {};
    const authorities = this.#authorities.map(String);
    const { secret, nowMs } = shared;
    return {
      sharedTicketKeys: (port) => sharedTicketKeys({ secret, port, authorities, nowMs: nowMs() }),
    };
  }

  /**
   * Reads the files again.
   *
   * @returns whether anything changed
   * @throws FlotillaError `broker-identity-missing`, `broker-identity-invalid`, `file-too-open`; the previous ones stay in force
   */
  async reload(): Promise<boolean> {
    const { identity, rsa } = await readCertificates(this.#folders);
    if (isSame(identity, this.#identity) && isSame(rsa, this.#rsa)) return false;
    this.#identity = identity;
    this.#rsa = rsa;
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

interface StoredCertificates {
  readonly identity: BrokerCertificate;
  readonly rsa: BrokerCertificate | undefined;
}

async function readCertificates({ identity, rsa }: MaterialFolders): Promise<StoredCertificates> {
  return {
    identity: await readBrokerCertificate(identity),
    rsa: rsa === undefined ? undefined : await readRsaCertificate(rsa),
  };
}

/** @returns undefined when it cannot be used: the broker requests another one and works without it until then */
async function readRsaCertificate(folder: string): Promise<BrokerCertificate | undefined> {
  try {
    const found = await readBrokerCertificate(folder);
    return found.leaf.publicKey.asymmetricKeyType === 'rsa' ? found : undefined;
  } catch (error) {
    if (isFlotillaError(error, 'broker-identity-missing')) return undefined;
    if (isFlotillaError(error, 'broker-identity-invalid')) return undefined;
    throw error;
  }
}

function isSame(one: BrokerCertificate | undefined, other: BrokerCertificate | undefined): boolean {
  return one?.key === other?.key && one?.chain === other?.chain && one?.ca === other?.ca;
}
