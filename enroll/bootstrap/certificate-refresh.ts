/**
 * Keeps the identities of the state folder fresh while the service runs: checked every hour (more often
 * when they are short-lived), and after each change of the CA.
 *
 * @module
 */
import type { CertificateFacts } from '../../certs/certificate.ts';
import type { Cancel } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import type { Logger } from '../../core/log.ts';
import type { Registry } from '../registry/registry.ts';
import {
  ensureOwnIdentities,
  ensureServerIdentities,
  type OwnIdentity,
  type OwnIdentityDeps,
} from './own-identities.ts';

const periodMaxMs = 3_600_000;
const periodMinMs = 500;
/** Several checks fit into the last third of the validity, in which a certificate is renewed. */
const checksPerValidity = 12;

type ServerIdentities = readonly [OwnIdentity, ...OwnIdentity[]];

export interface CertificateRefreshDeps extends OwnIdentityDeps {
  readonly registry: Registry;
  readonly log: Logger;
}

export class CertificateRefresh {
  readonly #deps: CertificateRefreshDeps;
  #servers: ServerIdentities;
  #refreshed: () => void = () => undefined;
  #running: Promise<void> | undefined;
  #isStale = false;
  #isClosed = false;
  #cancel: Cancel = () => undefined;
  #unwatch: () => void = () => undefined;

  private constructor(deps: CertificateRefreshDeps, servers: ServerIdentities) {
    this.#deps = deps;
    this.#servers = servers;
  }

  /** @throws FlotillaError `file-too-open`, `file-write-failed` */
  static async open(deps: CertificateRefreshDeps): Promise<CertificateRefresh> {
    return new CertificateRefresh(deps, await ensureServerIdentities(deps));
  }

  /** The server certificates of the enrollment service: one for each type of key. */
  get servers(): ServerIdentities {
    return this.#servers;
  }

  /** The server certificate that ends first. */
  get firstToEnd(): CertificateFacts {
    return this.#servers
      .map(({ certificate }) => certificate)
      .reduce((first, one) => (one.notAfterMs < first.notAfterMs ? one : first));
  }

  /** @param refreshed called after each check; {@link servers} may be another one then */
  start(refreshed: () => void): void {
    this.#refreshed = refreshed;
    this.#unwatch = this.#deps.ca.onChange(() => this.#request());
    this.#schedule();
  }

  /** Reads the files and checks them at once. Failures are in the log; the certificates in use stay. */
  async check(): Promise<void> {
    this.#request();
    await this.#running;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel();
    this.#unwatch();
    await this.#running;
  }

  #schedule(): void {
    this.#cancel = this.#deps.clock.after(checkPeriodMs(this.#deps.config), () => {
      this.#request();
      this.#schedule();
    });
  }

  /** A change during a check causes one more check. */
  #request(): void {
    this.#isStale = this.#running !== undefined;
    this.#running ??= this.#refresh()
      .catch((error: unknown) => {
        this.#deps.log.error({ err: error }, 'could not renew the certificates of the service');
      })
      .finally(() => {
        this.#running = undefined;
        if (this.#isStale && !this.#isClosed) this.#request();
      });
  }

  async #refresh(): Promise<void> {
    await ensureOwnIdentities({ ...this.#deps, newBroker: false });
    this.#servers = await ensureServerIdentities(this.#deps);
    this.#refreshed();
  }
}

/** The time between two checks, in ms. */
function checkPeriodMs({ enroll }: Config): number {
  const partMs = enroll.serverCertificateValidity / checksPerValidity;
  return Math.max(periodMinMs, Math.min(periodMaxMs, partMs));
}
