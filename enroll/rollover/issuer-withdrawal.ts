/**
 * Withdrawing an issuer whose key is in other hands. Brokers close the connections of its certificates and refuse them
 * as soon as they receive the issuers that are left. Its certificates in the registry are genuine, because
 * a forged one is not there: so the service may let their holders renew, if an operator allows it.
 *
 * @module
 */
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { WithdrawnIssuer } from '../../core/protocol/ca-status.ts';
import { activateIssuer, createIssuer, setAsideIssuer } from '../ca/ca-folder.ts';
import type { IssuerChain } from '../ca/ca-inventory.ts';
import { openRoot } from '../ca/root-authority.ts';
import { signListOf, signRootCrl } from '../ca/root-crl.ts';
import { renewResponderOf } from '../ca/root-responder.ts';
import { caBrokersTimeoutMs, type CaChange } from './ca-change.ts';
import { waitingIssuer } from './issuer-rollover.ts';

export class IssuerWithdrawal {
  readonly #change: CaChange;

  constructor(change: CaChange) {
    this.#change = change;
  }

  /**
   * Withdraws an issuer. Another one signs from then on: one that waits, or a new one if the root's key is here. The
   * root's list contains it, if the root's key is here. It is durable when the brokers learn of it.
   *
   * @throws FlotillaError `issuer-not-found`, `root-key-missing` when it signs now and no other issuer can replace it
   */
  withdraw(fingerprint: string, actor: string): Promise<WithdrawnIssuer> {
    return this.#change.alone(async (passphrase) => {
      const { state, ca, audit, feed, clock } = this.#change.deps;
      const startMs = clock.monotonicMs();
      const chain = ca.inventory.issuers.find((one) => one.certificate.fingerprint === fingerprint);
      if (chain === undefined) throw new FlotillaError('issuer-not-found', { detail: fingerprint });
      const replacements = await this.#replace(fingerprint, passphrase);
      await setAsideIssuer(state, fingerprint);
      await this.#change.publish(passphrase);
      const effect = await feed.effectOf([feed.sequence], caBrokersTimeoutMs);
      const elapsedMs = Math.round(clock.monotonicMs() - startMs);
      const onRootCrl = await this.#list(chain, passphrase);
      const certificates = await this.#change.activeCertificates(new Set([fingerprint]));
      const result = {
        fingerprint,
        replacements,
        certificates,
        connectionsClosed: effect.connectionsClosed,
        brokers: effect.brokers,
        brokersLate: effect.late,
        onRootCrl,
        elapsedMs,
      };
      await audit.append({
        action: 'issuer-withdrawn',
        actor,
        detail: { ...result, replacements: replacements.join(' ') },
      });
      return result;
    });
  }

  /**
   * Signs the lists of the roots whose key is here, with every withdrawn issuer, and the certificates of their OCSP
   * responders.
   *
   * @returns how many lists were signed
   * @throws FlotillaError `root-key-missing` when no key of a root is here, `ca-passphrase-wrong`
   */
  signLists(actor: string): Promise<number> {
    return this.#change.alone(async (passphrase) => {
      const { state, ca, audit, caDeps } = this.#change.deps;
      let signed = 0;
      for (const root of ca.inventory.roots) {
        try {
          const signer = await openRoot(state, passphrase, caDeps, root);
          await signListOf(state, signer, caDeps);
          await renewResponderOf(state, passphrase, signer);
          signed++;
        } catch (error) {
          if (!isFlotillaError(error, 'root-key-missing')) throw error;
        }
      }
      if (signed === 0) throw new FlotillaError('root-key-missing', { detail: state.ca.rootKey });
      await this.#change.publish(passphrase);
      await audit.append({ action: 'root-crl-signed', actor, detail: { lists: signed } });
      return signed;
    });
  }

  /** Makes other issuers sign what this one signs. @returns their fingerprints */
  async #replace(fingerprint: string, passphrase: string): Promise<string[]> {
    const { state, ca, caDeps } = this.#change.deps;
    const { current, service } = ca.inventory;
    const isOf = (one: typeof current): boolean => one?.certificate.fingerprint === fingerprint;
    const replacements: string[] = [];
    for (const purpose of ['devices', 'services'] as const) {
      if (!isOf(purpose === 'devices' ? current : (service ?? current))) continue;
      const other =
        waitingIssuer(ca.inventory, purpose) ??
        (await createIssuer(state, passphrase, caDeps, purpose));
      await activateIssuer(state, other.fingerprint, purpose);
      replacements.push(other.fingerprint);
    }
    return replacements;
  }

  /** Only the CA that has signed the issuer can revoke it: the root, unless there are CAs between them. */
  async #list({ above, root }: IssuerChain, passphrase: string): Promise<boolean> {
    const { state, caDeps } = this.#change.deps;
    try {
      await signRootCrl(state, passphrase, caDeps, root);
      await this.#change.publish(passphrase);
      return above.length === 0;
    } catch (error) {
      if (isFlotillaError(error, 'root-key-missing')) return false;
      throw error;
    }
  }
}
