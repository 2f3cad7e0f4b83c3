/**
 * The CA while the service runs: the issuers that sign, and the certificates that are trusted.
 *
 * @module
 */
import type { Authority } from '../../certs/authority.ts';
import type { CertificateFacts } from '../../certs/certificate.ts';
import type { CertificateProfile } from '../../certs/profile.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { OpenedCa, OpenedIssuer } from './ca-folder.ts';
import type { CaInventory, IssuerChain, IssuerPurpose, SignedPurpose } from './ca-inventory.ts';
import type { RootCrl } from './root-crl.ts';

/** How many CA certificates are published: devices and brokers accept at most this many. */
export const publishedMax = 16;

/** When a client should try again while a withdrawn issuer is being replaced. */
const replacedInSeconds = 5;

export class CertificateAuthority {
  #opened: OpenedCa;
  readonly #listeners = new Set<() => void>();

  constructor(opened: OpenedCa) {
    this.#opened = opened;
  }

  get inventory(): CaInventory {
    return this.#opened.inventory;
  }

  get root(): CertificateFacts {
    return this.inventory.root;
  }

  /** The list of revoked issuers of a root; undefined when it could not be signed yet. */
  rootCrl(fingerprint: string): RootCrl | undefined {
    return this.#opened.rootCrls.get(fingerprint);
  }

  /** The fingerprint that devices pin: that of the root. */
  get fingerprint(): string {
    return this.root.fingerprint;
  }

  /** The issuer that signs new certificates of devices. @throws FlotillaError `issuer-being-replaced` */
  get current(): Authority {
    return this.#authorityOf(this.inventory.current, 'devices');
  }

  /**
   * The issuer that signs new certificates of services, brokers, administrators and servers.
   *
   * @throws FlotillaError `issuer-being-replaced`
   */
  get service(): Authority {
    return this.#authorityOf(this.inventory.service ?? this.inventory.current, 'services');
  }

  /**
   * Whether an issuer signs this kind of certificate; false while a withdrawn one is being replaced, or the first one
   * for devices that are servers is not there yet.
   */
  signs(profile: CertificateProfile): boolean {
    const { unsigned, deviceServers } = this.inventory;
    const purpose = purposeOfProfile(profile);
    return (
      !unsigned.includes(purpose) && (purpose !== 'device-servers' || deviceServers !== undefined)
    );
  }

  /**
   * The issuer that signs a kind of certificate. Only the one of services may sign for servers that devices trust.
   *
   * @throws FlotillaError `issuer-being-replaced`
   */
  signerOf(profile: CertificateProfile): Authority {
    switch (purposeOfProfile(profile)) {
      case 'devices':
        return this.current;
      case 'services':
        return this.service;
      case 'device-servers':
        return this.#authorityOf(this.inventory.deviceServers, 'device-servers');
    }
  }

  /** Whether this is the issuer of devices that are servers, or was it. */
  isOfDeviceServers(fingerprint: string): boolean {
    return this.deviceServers.some((one) => one.fingerprint === fingerprint);
  }

  /** Every issuer whose clients are trusted, the current one of devices first. */
  get issuers(): readonly Authority[] {
    return this.#opened.issuers.map(({ authority }) => authority);
  }

  /** The issuers whose key is here, or on a token: this service publishes their lists and answers OCSP for them. */
  get ownIssuers(): readonly Authority[] {
    return this.#opened.issuers
      .filter(({ isExternal }) => isExternal !== true)
      .map(({ authority }) => authority);
  }

  /** Whether the key of an issuer is at an external CA. */
  isExternal(fingerprint: string): boolean {
    return this.inventory.issuers.some(
      (one) => one.certificate.fingerprint === fingerprint && one.isExternal === true,
    );
  }

  issuer(fingerprint: string): Authority | undefined {
    return this.#opened.issuers.find(({ certificate }) => certificate.fingerprint === fingerprint)
      ?.authority;
  }

  /** Whether the key of an issuer is in other hands, so that its certificates are not accepted any more. */
  isWithdrawn(fingerprint: string): boolean {
    return this.inventory.withdrawn.some((one) => one.fingerprint === fingerprint);
  }

  /**
   * What the holder of a certificate sends after it, PEM: its issuer, and the CAs above the issuer. Servers also send
   * the new root signed by the former one, for clients that know only the former one (RFC 4210, 4.4).
   */
  chainAbove(fingerprint: string): string {
    const chain = this.#opened.issuers.find((one) => one.certificate.fingerprint === fingerprint);
    // A root is not sent: whoever trusts it has it.
    return chain === undefined || chain.purpose === 'device-servers'
      ? ''
      : pemOfChain(chain, this.inventory);
  }

  /** The certificates that decide whether a client is trusted: roots, issuers, and the CAs between them. */
  get pems(): readonly string[] {
    const { roots, issuers } = this.inventory;
    return publishedOf(roots, issuers, []).map(({ pem }) => pem);
  }

  /**
   * What devices get: the root first, then the current issuer, and while a root is replaced the certificates that lead
   * from one root to the other. The issuer of services is not among them, because servers send it. That of devices
   * that are servers is not either: such a device must not be able to pose as a broker.
   */
  get certificates(): readonly CertificateFacts[] {
    const { roots, cross } = this.inventory;
    return publishedOf(roots, this.#issuersFor(['all', 'devices']), cross);
  }

  /** The roots of devices that are servers, the current one first, for programs that connect to such a device. */
  get deviceServers(): readonly CertificateFacts[] {
    return this.#issuersFor(['device-servers']).map(({ certificate }) => certificate);
  }

  /**
   * What the holder of a certificate of this issuer trusts, as one PEM text. Services get every issuer below the
   * roots of the services.
   */
  bundleOf(fingerprint: string): string {
    const { roots, cross, service } = this.inventory;
    const isService = service?.certificate.fingerprint === fingerprint;
    const below = this.#issuersFor(['all', 'devices', 'services']);
    const all = isService ? publishedOf(roots, below, cross) : this.certificates;
    return all.map(({ pem }) => pem).join('');
  }

  #issuersFor(purposes: readonly IssuerPurpose[]): readonly IssuerChain[] {
    return this.inventory.issuers.filter(({ purpose }) => purposes.includes(purpose));
  }

  #authorityOf(chain: IssuerChain | undefined, purpose: SignedPurpose): Authority {
    const isAbsent = purpose === 'device-servers' && chain === undefined;
    if (isAbsent || this.inventory.unsigned.includes(purpose)) {
      throw new FlotillaError('issuer-being-replaced', {
        detail: purpose,
        retryAfterSeconds: replacedInSeconds,
      });
    }
    return (
      (chain === undefined ? undefined : this.issuer(chain.certificate.fingerprint)) ?? missing()
    );
  }

  /** Whether a key is the key of a root or of an issuer. */
  ownsKey(keyFingerprint: string): boolean {
    const { roots, issuers, withdrawn } = this.inventory;
    return [...publishedOf(roots, issuers, []), ...withdrawn].some(
      (certificate) => certificate.keyFingerprint === keyFingerprint,
    );
  }

  /**
   * Stops trusting what is not in this inventory, at once: no key is opened. Issuers whose keys are not open yet are
   * trusted after the next {@link replace}.
   */
  reduce(inventory: CaInventory): void {
    const kept = new Set(inventory.issuers.map(({ certificate }) => certificate.fingerprint));
    const issuers = this.#opened.issuers.filter(({ certificate }) =>
      kept.has(certificate.fingerprint),
    );
    this.replace({ ...this.#opened, inventory: { ...inventory, issuers }, issuers });
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

function purposeOfProfile(profile: CertificateProfile): SignedPurpose {
  if (profile === 'device') return 'devices';
  return profile === 'device-server' ? 'device-servers' : 'services';
}

/**
 * The current root, then the issuers, then the rest; each once. If there are too many, the oldest issuers are left out:
 * without the other root or a CA above an issuer, devices that renew would be lost.
 */
function publishedOf(
  [root, ...others]: readonly CertificateFacts[],
  issuers: readonly IssuerChain[],
  cross: readonly CertificateFacts[],
): readonly CertificateFacts[] {
  const first = root === undefined ? [] : [root];
  const rest = onceEach([...others, ...cross, ...issuers.flatMap(({ above }) => above)]);
  const room = Math.max(1, publishedMax - first.length - rest.length);
  const kept = issuers.slice(0, room).map(({ certificate }) => certificate);
  return onceEach([...first, ...kept, ...rest]).slice(0, publishedMax);
}

function onceEach(all: readonly CertificateFacts[]): readonly CertificateFacts[] {
  return [...new Map(all.map((one) => [one.fingerprint, one])).values()];
}

function pemOfChain(
  { certificate, above, root, purpose }: OpenedIssuer,
  { cross, roots }: CaInventory,
): string {
  // A client whose root is another one needs this root, signed by that one.
  const bridges =
    purpose === 'devices' || roots.length === 1
      ? []
      : cross.filter(({ keyFingerprint }) => keyFingerprint === root.keyFingerprint);
  return [certificate, ...above, ...bridges].map(({ pem }) => pem).join('');
}

function missing(): never {
  throw new FlotillaError('ca-missing', { detail: 'the current issuer' });
}
