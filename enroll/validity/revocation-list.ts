/**
 * The CRLs of all issuers: signed when something is revoked, and again at half of their time, so that
 * the one that is served has always time left. Our own brokers do not need them: they go by the
 * directory, so that no CRL, expired or missing, can lock the fleet out.
 *
 * @module
 */
import type { RevokedCertificate } from '../../certs/crl-entries.ts';
import { signCrl } from '../../certs/crl.ts';
import type { Authority } from '../../certs/authority.ts';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { Registry } from '../registry/registry.ts';

export interface SignedList {
  readonly der: Buffer;
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
  readonly #stop: () => void;
  #lists: ReadonlyMap<string, SignedList> = new Map();
  #number = 0;
  #signing: Promise<number> | undefined;
  #next: Promise<number> | undefined;
  #timer: Cancel = () => undefined;
  #stopped = false;

  constructor(deps: RevocationListDeps) {
    this.#deps = deps;
    this.#stop = deps.ca.onChange(() => void this.renew().catch(() => undefined));
  }

  /** The list of an issuer; signed first when there is none yet. Undefined for an unknown issuer. */
  async of(issuer: string): Promise<SignedList | undefined> {
    if (this.#deps.ca.issuer(issuer) === undefined) return undefined;
    if (!this.#lists.has(issuer)) await this.renew();
    return this.#lists.get(issuer);
  }

  /**
   * Signs anew, with everything that is durable now. Calls that come while one is being signed share
   * the one after it. Gives the number of the list.
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
  }

  #start(): Promise<number> {
    this.#signing = this.#sign()
      .catch((error: unknown) => {
        this.#deps.log.error({ err: error }, 'the CRL could not be signed');
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
    // Numbers must grow over restarts too (RFC 5280, 5.2.3): the time does.
    const number = (this.#number = Math.max(this.#number + 1, clock.now()));
    const revoked = await this.#revoked();
    const lists = new Map<string, SignedList>();
    for (const { certificate } of ca.issuers) {
      const signer = ca.issuer(certificate.fingerprint);
      if (signer === undefined) continue;
      const thisUpdateMs = clock.now();
      const nextUpdateMs = Math.min(thisUpdateMs + validityMs, certificate.notAfterMs);
      const der = await sign(signer, {
        number,
        thisUpdateMs,
        nextUpdateMs,
        revoked: revoked.get(certificate.fingerprint) ?? [],
      });
      lists.set(certificate.fingerprint, {
        der,
        number,
        nextUpdateMs,
      });
    }
    this.#lists = lists;
    return number;
  }

  /** By issuer. The certificates of who is suspended are on hold. */
  async #revoked(): Promise<Map<string, RevokedCertificate[]>> {
    const { registry, clock } = this.#deps;
    const found = new Map<string, RevokedCertificate[]>();
    const add = (issuer: string, one: RevokedCertificate): void => {
      const list = found.get(issuer);
      if (list === undefined) found.set(issuer, [one]);
      else list.push(one);
    };
    for await (const { issuer, serial, atMs, reason } of registry.rows('revocations')) {
      add(issuer, { serial, atMs, reason });
    }
    const now = clock.now();
    for await (const { status, certificates } of registry.rows('devices')) {
      if (status !== 'suspended' && status !== 'quarantined') continue;
      for (const { issuer, serial, status: state, notAfterMs } of certificates) {
        if (state === 'revoked' || notAfterMs <= now) continue;
        add(issuer, { serial, atMs: now, reason: 'certificateHold' });
      }
    }
    return found;
  }

  #plan(): void {
    this.#timer();
    if (this.#stopped) return;
    this.#timer = this.#deps.clock.after(this.#deps.validityMs / 2, () => {
      void this.renew().catch(() => undefined);
    });
  }
}

function sign(
  signer: Authority,
  list: {
    number: number;
    thisUpdateMs: number;
    nextUpdateMs: number;
    revoked: RevokedCertificate[];
  },
): Promise<Buffer> {
  return signCrl({ signer, ...list });
}
