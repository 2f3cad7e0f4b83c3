/**
 * Replaces the issuer without disconnecting any device.
 *
 * 1. The new issuer is created and published: `cacerts`, `/v1/ca` and the feed contain both issuers.
 * 2. When every connected broker trusts it, it becomes the current one.
 * 3. Devices renew when they are due, and get certificates of the new issuer.
 * 4. When no active certificate of the old issuer is left, it can be retired.
 *
 * @module
 */
import type { CertificateFacts } from '../../certs/certificate.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { activateIssuer, createIssuer, issuersMax, removeIssuer } from '../ca/ca-folder.ts';
import {
  waitingIssuer,
  type CaInventory,
  type IssuerChain,
  type RootedPurpose,
  type SignedPurpose,
} from '../ca/ca-inventory.ts';
import { activateImported, importIssuer, requestIssuer } from '../ca/issuer-import.ts';
import type { CaChange } from './ca-change.ts';

export class IssuerRollover {
  readonly #change: CaChange;

  constructor(change: CaChange) {
    this.#change = change;
  }

  /**
   * Creates a new issuer and makes it the current one.
   *
   * @param purpose what it signs: certificates of devices, of services, brokers and servers, or of devices that are
   *   servers
   * @throws FlotillaError `root-key-missing`, `issuer-in-use` (there are too many, or a change is in
   *   progress), `brokers-late` (the new issuer is trusted, but not current yet: try again)
   */
  introduce(actor: string, purpose: SignedPurpose = 'devices'): Promise<CertificateFacts> {
    return this.#change.alone(async (passphrase) => {
      const { state, ca, clock, caDeps } = this.#change.deps;
      // An issuer of an earlier attempt that could not be activated is used again.
      const waiting = waitingIssuer(ca.inventory, purpose, clock.now());
      if (waiting === undefined) assertRoom(ca.inventory, clock.now());
      const made = waiting ?? (await createIssuer(state, passphrase, caDeps, purpose));
      if (waiting === undefined) await this.#change.publish(passphrase);
      await this.#change.brokersReady();
      await activateIssuer(state, made.fingerprint, purpose);
      await this.#change.publish(passphrase);
      await this.#added(made, purpose, actor);
      return made;
    });
  }

  /** Makes the key and the request for an issuer of another CA. @throws FlotillaError `issuer-in-use` */
  request(
    actor: string,
    purpose: RootedPurpose = 'devices',
  ): Promise<{ readonly key: string; readonly csr: string }> {
    return this.#change.alone(async (passphrase) => {
      const { state, audit, clock } = this.#change.deps;
      const made = await requestIssuer(state, passphrase, purpose, clock.now());
      const detail = { key: made.key, purpose };
      await audit.append({ action: 'issuer-requested', actor, detail });
      return made;
    });
  }

  /**
   * Takes an issuer that another CA has certified, and makes it the current one of its purpose. One below the next
   * root waits until that is the current root.
   *
   * @param pem the issuer, then the CAs between it and the root
   * @param place where its key is
   * @throws FlotillaError as {@link importIssuer}; `brokers-late` (it is trusted, but not current yet: try again)
   */
  importSigned(
    pem: string,
    actor: string,
    place: 'here' | 'external' = 'here',
  ): Promise<CertificateFacts> {
    return this.#change.alone(async (passphrase) => {
      const { state, clock, ca } = this.#change.deps;
      const chain: IssuerChain = await importIssuer(state, passphrase, pem, clock.now(), place);
      await this.#change.publish(passphrase);
      await this.#change.brokersReady();
      const isNext = chain.root.fingerprint !== ca.root.fingerprint;
      if (!isNext) {
        await activateImported(state, chain);
        await this.#change.publish(passphrase);
      }
      await this.#added(chain.certificate, chain.purpose, actor);
      return chain.certificate;
    });
  }

  /**
   * Removes a former issuer from the trusted ones, when no certificate of it is valid or may still renew.
   *
   * @throws FlotillaError `issuer-not-found`, `issuer-in-use`
   */
  retire(fingerprint: string, actor: string): Promise<void> {
    return this.#change.alone(async (passphrase) => {
      const { state, ca, audit } = this.#change.deps;
      const issuer = ca.issuer(fingerprint);
      if (issuer === undefined) throw new FlotillaError('issuer-not-found');
      const { current, service, deviceServers } = ca.inventory;
      const isCurrent = [current, service, deviceServers].some(
        (one) => one?.certificate.fingerprint === fingerprint,
      );
      if (isCurrent) {
        throw new FlotillaError('issuer-in-use', { detail: 'it is the current issuer' });
      }
      const left = await this.#change.activeCertificates(new Set([fingerprint]));
      if (left > 0) {
        throw new FlotillaError('issuer-in-use', { detail: `${left} active certificates` });
      }
      await audit.append({ action: 'issuer-retired', actor, detail: { fingerprint } });
      await removeIssuer(state, fingerprint);
      await this.#change.publish(passphrase);
    });
  }

  async #added({ fingerprint }: CertificateFacts, purpose: string, actor: string): Promise<void> {
    const { audit } = this.#change.deps;
    await audit.append({ action: 'issuer-added', actor, detail: { fingerprint, purpose } });
  }
}

/** @throws FlotillaError `issuer-in-use` when there are too many issuers that have not ended */
function assertRoom({ issuers }: CaInventory, nowMs: number): void {
  const alive = issuers.filter(({ certificate }) => certificate.notAfterMs > nowMs);
  if (alive.length < issuersMax) return;
  throw new FlotillaError('issuer-in-use', { detail: `at most ${issuersMax} issuers` });
}
