/**
 * The CRLs of all issuers. They are signed when something is revoked, and again at half of their validity, so
 * that the current list never expires. Flotilla's brokers do not need them: they decide by the directory, so
 * that an expired or missing CRL cannot lock the fleet out.
 *
 * @module
 */
import { CrlEntries } from '../../certs/crl-entries.ts';
import { signCrl } from '../../certs/crl.ts';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { Registry } from '../registry/registry.ts';
import { RevokedEntries } from './revoked-entries.ts';

export interface SignedList {
  /** DER, in pieces that are sent one after the other. */
  readonly der: readonly Buffer[];
  readonly number: number;
  readonly nextUpdateMs: number;
}

export interface RevocationListDeps {
  readonly registry: Registry;
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly log: Logger;
  readonly validityMs: number;
}

export class RevocationList {
  readonly #deps: RevocationListDeps;
  readonly #entries: RevokedEntries;
  readonly #stop: () => void;
  #lists: ReadonlyMap<string, SignedList> = new Map();
  #number = 0;
  #signing: Promise<number> | undefined;
  #next: Promise<number> | undefined;
  #timer: Cancel = () => undefined;
  #stopped = false;

  constructor(deps: RevocationListDeps) {
    this.#deps = deps;
    this.#entries = new RevokedEntries(deps);
    this.#stop = deps.ca.onChange(() => void this.renew().catch(() => undefined));
  }

  /** The list of an issuer. The first call signs it. Undefined for an unknown issuer. */
  async of(issuer: string): Promise<SignedList | undefined> {
    if (this.#deps.ca.issuer(issuer) === undefined) return undefined;
    if (!this.#lists.has(issuer)) await this.renew();
    return this.#lists.get(issuer);
  }

  /**
   * Signs new lists with everything that is durable now. Calls during a signature share the next one. Returns
   * the number of the lists.
   */
  renew(): Promise<number> {
    if (this.#signing === undefined) return this.#start();
    this.#next ??= this.#signing
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.#start();
      });
    return this.#next;
  }

  async close(): Promise<void> {
    this.#stopped = true;
    this.#timer();
    this.#stop();
    await this.#next?.catch(() => undefined);
    await this.#signing?.catch(() => undefined);
    this.#entries.close();
  }

  #start(): Promise<number> {
    this.#signing = this.#sign()
      .catch((error: unknown) => {
        this.#deps.log.error({ err: error }, 'could not sign the CRL');
        throw error;
      })
      .finally(() => {
        this.#signing = undefined;
        this.#plan();
      });
    return this.#signing;
  }

  async #sign(): Promise<number> {
    const { ca, clock, validityMs } = this.#deps;
    // Numbers must also grow across restarts (RFC 5280, 5.2.3); the time does.
    const number = (this.#number = Math.max(this.#number + 1, clock.now()));
    const entries = await this.#entries.current();
    const lists = new Map<string, SignedList>();
    for (const { certificate } of ca.issuers) {
      const signer = ca.issuer(certificate.fingerprint);
      if (signer === undefined) continue;
      const thisUpdateMs = clock.now();
      const nextUpdateMs = Math.min(thisUpdateMs + validityMs, certificate.notAfterMs);
      const der = await signCrl({
        signer,
        number,
        thisUpdateMs,
        nextUpdateMs,
        entries: entries.get(certificate.fingerprint) ?? new CrlEntries(),
      });
      lists.set(certificate.fingerprint, { der, number, nextUpdateMs });
    }
    this.#lists = lists;
    return number;
  }

  #plan(): void {
    this.#timer();
    if (this.#stopped) return;
    this.#timer = this.#deps.clock.after(this.#deps.validityMs / 2, () => {
      this.#entries.forget();
      void this.renew().catch(() => undefined);
    });
  }
}
