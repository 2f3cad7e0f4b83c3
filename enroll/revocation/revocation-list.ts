/**
 * The CRLs of all issuers: signed when something is revoked, and again at half of their validity, so that
 * the list that is served is never near its end. The root's list comes from the CA's folder. Our own brokers
 * do not need CRLs: they decide by the directory, so that no expired or missing CRL can lock out the fleet.
 *
 * @module
 */
import type { CertificateFacts } from '../../certs/certificate.ts';
import { CrlEntries } from '../../certs/crl-entries.ts';
import { signCrl } from '../../certs/crl.ts';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import type { StoredText } from '../../core/stored-text.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { Registry } from '../registry/registry.ts';
import { CrlNumber } from './crl-number.ts';
import { RevokedEntries } from './revoked-entries.ts';

export interface SignedList {
  /** DER, in pieces that are sent one after the other. */
  readonly der: readonly Buffer[];
  readonly nextUpdateMs: number;
}

export interface RevocationListDeps {
  readonly registry: Registry;
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly log: Logger;
  readonly validityMs: number;
  /** Keeps the numbers of the lists growing over restarts. */
  readonly crlNumber: StoredText;
}

/** How long retired certificates are collected for one list, in ms. */
const retiredWaitMs = 1000;

export class RevocationList {
  readonly #deps: RevocationListDeps;
  readonly #entries: RevokedEntries;
  readonly #number: CrlNumber;
  readonly #stop: () => void;
  #lists: ReadonlyMap<string, SignedList> = new Map();
  #signing: Promise<number> | undefined;
  #next: Promise<number> | undefined;
  #timer: Cancel = () => undefined;
  #soon: Cancel | undefined;
  #stopped = false;

  constructor(deps: RevocationListDeps) {
    this.#deps = deps;
    this.#entries = new RevokedEntries({
      ...deps,
      keepMs: deps.validityMs,
      retired: () => this.#renewSoon(),
    });
    this.#number = new CrlNumber(deps.crlNumber, deps.clock);
    this.#stop = deps.ca.onChange(() => void this.renew().catch(() => undefined));
  }

  /** The list of a CA, signed first when there is none yet. Undefined for an unknown CA. */
  async of(fingerprint: string): Promise<SignedList | undefined> {
    const { ca } = this.#deps;
    const root = ca.inventory.roots.find((one) => one.fingerprint === fingerprint);
    if (root !== undefined) return this.#rootList(root);
    const isOwn = ca.ownIssuers.some(({ certificate }) => certificate.fingerprint === fingerprint);
    if (!isOwn) return undefined;
    if (!this.#lists.has(fingerprint)) await this.renew();
    return this.#lists.get(fingerprint);
  }

  /** The lists of the whole chain: of each issuer, the current one first, then of the roots. */
  async all(): Promise<readonly SignedList[]> {
    const { ca } = this.#deps;
    const names = ca.ownIssuers.map(({ certificate }) => certificate.fingerprint);
    const lists: SignedList[] = [];
    const roots = ca.inventory.roots.map((root) => root.fingerprint);
    for (const name of [...names, ...roots]) {
      const list = await this.of(name);
      if (list !== undefined) lists.push(list);
    }
    return lists;
  }

  /**
   * Signs the lists again, with everything that is durable now. Calls that come while one is being signed
   * share the next one.
   *
   * @returns the number of the lists
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

  /** Signs new lists with the time of now: after a jump of the clock, the current ones may be expired or of the future. */
  async renewAll(): Promise<void> {
    this.#entries.forget();
    await this.renew();
  }

  async close(): Promise<void> {
    this.#stopped = true;
    this.#timer();
    this.#soon?.();
    this.#stop();
    await this.#next?.catch(() => undefined);
    await this.#signing?.catch(() => undefined);
    this.#entries.close();
  }

  #rootList(root: CertificateFacts): SignedList | undefined {
    const rootCrl = this.#deps.ca.rootCrl(root.fingerprint);
    return rootCrl === undefined
      ? undefined
      : { der: [rootCrl.der], nextUpdateMs: root.notAfterMs };
  }

  /** Renewals of a fleet retire many certificates: they share a list. */
  #renewSoon(): void {
    if (this.#stopped) return;
    this.#soon ??= this.#deps.clock.after(retiredWaitMs, () => {
      this.#soon = undefined;
      void this.renew().catch(() => undefined);
    });
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
    const number = await this.#number.next();
    const entries = await this.#entries.current();
    const lists = new Map<string, SignedList>();
    for (const signer of ca.ownIssuers) {
      const { certificate } = signer;
      const thisUpdateMs = clock.now();
      // Nobody needs a list of an issuer that has ended (RFC 5280, 3.3: one more list after the end of a certificate).
      if (thisUpdateMs >= certificate.notAfterMs) continue;
      const nextUpdateMs = Math.min(thisUpdateMs + validityMs, certificate.notAfterMs);
      const der = await signCrl({
        signer,
        number,
        thisUpdateMs,
        nextUpdateMs,
        entries: entries.get(certificate.fingerprint) ?? new CrlEntries(),
      });
      lists.set(certificate.fingerprint, { der, nextUpdateMs });
    }
    this.#lists = lists;
    return number;
  }

  #plan(): void {
    this.#timer();
    if (this.#stopped) return;
    this.#timer = this.#deps.clock.after(this.#deps.validityMs / 2, () => {
      void this.renewAll().catch(() => undefined);
    });
  }
}
