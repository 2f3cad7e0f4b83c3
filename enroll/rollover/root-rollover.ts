/**
 * Replaces the root without touching a device.
 *
 * 1. The next root is created (or imported) with its issuers and published. Brokers trust both roots. Devices learn of
 *    it when they renew or fetch `cacerts`.
 * 2. When every connected broker trusts it, it becomes the current root, and its issuers sign. Servers send its
 *    certificate that the former root has signed, so that devices with only the former root accept them.
 * 3. Every device renews once, and trusts both roots from then on.
 * 4. When no certificate below the former root is valid, the former root can be retired.
 *
 * @module
 */
import type { CertificateFacts } from '../../certs/certificate.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { activateIssuer, newIssuer, removeIssuer } from '../ca/ca-folder.ts';
import {
  activateNextRoot,
  addNextRoot,
  createNextRoot,
  removeFormerRoot,
  rootIfHere,
  type SuppliedRoot,
} from '../ca/root-change.ts';
import type { CaChange } from './ca-change.ts';

const purposes = ['devices', 'services'] as const;

export class RootRollover {
  readonly #change: CaChange;

  constructor(change: CaChange) {
    this.#change = change;
  }

  /**
   * Makes the next root the current one; creates it first if there is none. May be repeated after a failure.
   *
   * @throws FlotillaError `root-in-use` while a former root is trusted, `root-key-missing` when a key is stored
   *   elsewhere and no issuer of the next root was imported, `brokers-late` (both are trusted: try again)
   */
  rollOver(actor: string): Promise<CertificateFacts> {
    return this.#change.alone(async (passphrase) => {
      const { state, ca, audit, caDeps } = this.#change.deps;
      await this.#dropEndedRoot();
      const next = ca.inventory.next ?? (await createNextRoot(state, passphrase, caDeps));
      await this.#change.publish(passphrase);
      const issuers = await this.#issuersOf(next, passphrase);
      await this.#change.publish(passphrase);
      await this.#change.brokersReady();
      const former = ca.root.fingerprint;
      await activateNextRoot(state);
      for (const purpose of purposes) {
        await activateIssuer(state, issuers[purpose].fingerprint, purpose);
      }
      await this.#change.publish(passphrase);
      const detail = { fingerprint: next.fingerprint, former };
      await audit.append({ action: 'root-replaced', actor, detail });
      return next;
    });
  }

  /**
   * Trusts a root that an operator supplies, as the next one. {@link rollOver} makes it the current one.
   *
   * @throws FlotillaError as {@link addNextRoot}
   */
  importNext(root: SuppliedRoot, actor: string): Promise<CertificateFacts> {
    return this.#change.alone(async (passphrase) => {
      const { state, audit, caDeps } = this.#change.deps;
      await this.#dropEndedRoot();
      const next = await addNextRoot(state, passphrase, caDeps, root);
      await this.#change.publish(passphrase);
      await audit.append({
        action: 'root-imported',
        actor,
        detail: { fingerprint: next.fingerprint },
      });
      return next;
    });
  }

  /**
   * Removes the former root with its issuers, when no certificate of them is valid or may still renew.
   *
   * @throws FlotillaError `root-not-found`, `issuer-in-use`
   */
  retire(fingerprint: string, actor: string): Promise<void> {
    return this.#change.alone(async (passphrase) => {
      const { state, ca, audit } = this.#change.deps;
      if (ca.inventory.former?.fingerprint !== fingerprint) {
        throw new FlotillaError('root-not-found', { detail: 'it is not the former root' });
      }
      const below = this.#issuersBelow(fingerprint);
      const left = await this.#change.activeCertificates(new Set(below));
      if (left > 0) {
        throw new FlotillaError('issuer-in-use', { detail: `${left} active certificates` });
      }
      await audit.append({ action: 'root-retired', actor, detail: { fingerprint } });
      for (const issuer of below) await removeIssuer(state, issuer);
      await removeFormerRoot(state);
      await this.#change.publish(passphrase);
    });
  }

  #issuersBelow(root: string): string[] {
    return this.#change.deps.ca.inventory.issuers
      .filter((one) => one.root.fingerprint === root)
      .map(({ certificate }) => certificate.fingerprint);
  }

  /** A former root that has ended is of no use to anybody, and must not prevent the next change. */
  async #dropEndedRoot(): Promise<void> {
    const { state, ca, clock } = this.#change.deps;
    const { former } = ca.inventory;
    if (former === undefined || former.notAfterMs > clock.now()) return;
    for (const issuer of this.#issuersBelow(former.fingerprint)) await removeIssuer(state, issuer);
    await removeFormerRoot(state);
  }

  /** The issuers of the next root: those that were imported, or new ones. */
  async #issuersOf(
    next: CertificateFacts,
    passphrase: string,
  ): Promise<Readonly<Record<(typeof purposes)[number], CertificateFacts>>> {
    const { state, ca, caDeps } = this.#change.deps;
    const below = ca.inventory.issuers.filter((one) => one.root.fingerprint === next.fingerprint);
    const imported = (purpose: (typeof purposes)[number]): CertificateFacts | undefined =>
      (below.find((one) => one.purpose === purpose) ?? below.find((one) => one.purpose === 'all'))
        ?.certificate;
    const root = await rootIfHere(state, passphrase, caDeps, next);
    const made = async (purpose: (typeof purposes)[number]): Promise<CertificateFacts> => {
      const known = imported(purpose);
      if (known !== undefined) return known;
      if (root === undefined) {
        throw new FlotillaError('root-key-missing', {
          detail: `${next.fingerprint}: import an issuer of it for ${purpose}, see flotilla issuer request`,
        });
      }
      return newIssuer(state, passphrase, root, caDeps, purpose);
    };
    return { devices: await made('devices'), services: await made('services') };
  }
}
