/**
 * Withdrawing an issuer whose key is in other hands. Brokers close the connections of its certificates and refuse them
 * as soon as they receive the issuers that are left. Its certificates in the registry are genuine, because
 * a forged one is not there: so the service may let their holders renew, if an operator allows it.
 *
 * 1. The withdrawal becomes durable: a folder is renamed, and the audit log gets a line.
 * 2. The issuers that are left are published. No key is opened before that, because it takes time.
 * 3. When the brokers have applied it, another issuer signs, the list of the root contains the withdrawn one, and the
 *    service replaces its own certificates.
 *
 * A crash after the first step is completed at the next start (see enroll/bootstrap/state.ts).
 *
 * @module
 */
import type { Cancel } from '../../core/clock.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { WithdrawnIssuer } from '../../core/protocol/ca-status.ts';
import { readText } from '../ca/ca-files.ts';
import { activateIssuer, createIssuer } from '../ca/ca-folder.ts';
import { readCaInventory, waitingIssuer, type IssuerChain } from '../ca/ca-inventory.ts';
import { rootKeyFiles } from '../ca/ca-keys.ts';
import {
  closeWithdrawal,
  openWithdrawals,
  withdrawIssuer,
} from '../ca/issuer-withdrawal-record.ts';
import { openRoot } from '../ca/root-authority.ts';
import { signListOf, signRootCrl } from '../ca/root-crl.ts';
import { renewResponderOf } from '../ca/root-responder.ts';
import { caBrokersTimeoutMs, type CaChange } from './ca-change.ts';

/** How long the keys of the CA stay closed for brokers that have not applied the withdrawal, in ms. */
const brokersFirstMs = 2000;

/** What the root has to sign again if nothing else replaces a withdrawn issuer. */
const rootedPurposes = ['devices', 'services'] as const;

export class IssuerWithdrawal {
  readonly #change: CaChange;

  constructor(change: CaChange) {
    this.#change = change;
  }

  /**
   * Withdraws an issuer. Another one signs from then on: one that waits, or a new one if the root's key is here. The
   * root's list contains it, if the root's key is here. It is durable when the brokers learn of it. May be repeated
   * after a failure.
   *
   * @throws FlotillaError `issuer-not-found`, `root-key-missing` when it signs now and no other issuer can replace it
   */
  withdraw(fingerprint: string, actor: string): Promise<WithdrawnIssuer> {
    return this.#change.aloneWithoutKeys(async () => {
      const { state, ca, audit, feed, clock } = this.#change.deps;
      const startMs = clock.monotonicMs();
      const isRepeated = (await openWithdrawals(state)).some(
        (one) => one.fingerprint === fingerprint,
      );
      if (!isRepeated) {
        await this.#assertReplaceable(fingerprint);
        await withdrawIssuer(state, { fingerprint, actor, atMs: clock.now() });
      }
      // A full disk does not stop a withdrawal: its error comes last.
      const event = { action: 'issuer-withdrawn', actor, detail: { fingerprint } } as const;
      const [recorded] = await Promise.allSettled([isRepeated || audit.append(event)]);
      ca.reduce(await readCaInventory(state));
      const applied = feed
        .effectOf([feed.sequence], caBrokersTimeoutMs)
        .then((effect) => ({ effect, elapsedMs: Math.round(clock.monotonicMs() - startMs) }));
      await this.#atMost(brokersFirstMs, applied);
      const passphrase = await this.#change.deps.passphrase();
      const replacements = await this.#replace(passphrase);
      await this.#change.publish(passphrase);
      const onRootCrl = await this.#list(fingerprint, passphrase);
      const certificates = await this.#change.activeCertificates(new Set([fingerprint]));
      const { effect, elapsedMs } = await applied;
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
      const absent = effect.absentBrokers;
      const detail = {
        ...result,
        replacements: replacements.join(' '),
        ...(absent.length === 0 ? {} : { brokersAbsent: absent.join(' ') }),
      };
      await audit.append({ action: 'issuer-withdrawal-completed', actor, detail });
      await closeWithdrawal(state, fingerprint);
      if (recorded.status === 'rejected') throw recorded.reason;
      return { ...result, brokersAbsent: [...absent] };
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
      const { state, ca, audit, caDeps, clock } = this.#change.deps;
      let signed = 0;
      for (const root of ca.inventory.roots) {
        // The list of a root that has ended is of no use to anybody.
        if (root.notAfterMs <= clock.now()) continue;
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

  /** @throws FlotillaError `issuer-not-found`, `root-key-missing` */
  async #assertReplaceable(fingerprint: string): Promise<void> {
    const { state, ca, clock } = this.#change.deps;
    const { inventory } = ca;
    const { current, service, issuers } = inventory;
    const isOf = (one: IssuerChain | undefined): boolean =>
      one?.certificate.fingerprint === fingerprint;
    if (!issuers.some(isOf)) throw new FlotillaError('issuer-not-found', { detail: fingerprint });
    const needed = rootedPurposes.filter((one) =>
      isOf(one === 'devices' ? current : (service ?? current)),
    );
    if (needed.every((one) => waitingIssuer(inventory, one, clock.now()) !== undefined)) return;
    const files = await Promise.all(rootKeyFiles(state).map(readText));
    if (files.some((text) => text !== undefined)) return;
    throw new FlotillaError('root-key-missing', { detail: state.ca.rootKey });
  }

  /** Makes other issuers sign what nothing signs now. @returns their fingerprints */
  async #replace(passphrase: string): Promise<string[]> {
    const { state, ca, caDeps, clock } = this.#change.deps;
    const { inventory } = ca;
    const replacements: string[] = [];
    for (const purpose of inventory.unsigned) {
      const other =
        waitingIssuer(inventory, purpose, clock.now()) ??
        (await createIssuer(state, passphrase, caDeps, purpose));
      await activateIssuer(state, other.fingerprint, purpose);
      replacements.push(other.fingerprint);
    }
    return replacements;
  }

  /** Only the CA that has signed the issuer can revoke it: the root, unless there are CAs between them. */
  async #list(fingerprint: string, passphrase: string): Promise<boolean> {
    const { state, ca, caDeps } = this.#change.deps;
    const { roots, withdrawn } = ca.inventory;
    const issuer = withdrawn.find((one) => one.fingerprint === fingerprint);
    const root = roots.find(({ x509 }) => issuer?.x509.checkIssued(x509) === true);
    try {
      await signRootCrl(state, passphrase, caDeps, root);
      await this.#change.publish(passphrase);
      return root !== undefined;
    } catch (error) {
      if (isFlotillaError(error, 'root-key-missing')) return false;
      throw error;
    }
  }

  /** Resolves when the work does, or after a time. */
  async #atMost(timeoutMs: number, work: Promise<unknown>): Promise<void> {
    const { clock } = this.#change.deps;
    let cancel: Cancel = () => undefined;
    const timeout = new Promise<void>((resolve) => {
      cancel = clock.after(timeoutMs, resolve);
    });
    await Promise.race([work, timeout]);
    cancel();
  }
}
