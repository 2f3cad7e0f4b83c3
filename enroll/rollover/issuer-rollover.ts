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
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Feed } from '../feed/directory-feed.ts';
import type { Registry } from '../registry/registry.ts';
import { activateIssuer, createIssuer, issuersMax, openCa, removeIssuer } from '../ca/ca-folder.ts';
import type { CaDeps } from '../ca/root-authority.ts';
import type { CaInventory } from '../ca/ca-inventory.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';

/** How long the brokers may take to trust the new issuer, in ms. */
const brokersTimeoutMs = 10_000;

export interface RolloverDeps {
  readonly state: StateFolder;
  readonly ca: CertificateAuthority;
  readonly audit: AuditLog;
  readonly clock: Clock;
  /** Waits until the brokers apply the newest change. */
  readonly feed: Pick<Feed, 'sequence' | 'effectOf'>;
  readonly registry: Registry;
  readonly caDeps: CaDeps;
  /** How long after its expiry a certificate may still renew. */
  readonly graceMs: number;
  /** Read again for each change: the passphrase is not kept in memory. */
  readonly passphrase: () => Promise<string>;
}

export class IssuerRollover {
  readonly #deps: RolloverDeps;
  #busy = false;

  constructor(deps: RolloverDeps) {
    this.#deps = deps;
  }

  /**
   * Creates a new issuer and makes it the current one.
   *
   * @param purpose what it signs: certificates of devices, or of services, brokers and servers
   * @throws FlotillaError `root-key-missing`, `issuer-in-use` (there are too many, or a change is in
   *   progress), `brokers-late` (the new issuer is trusted, but not current yet: try again)
   */
  introduce(actor: string, purpose: 'devices' | 'services' = 'devices'): Promise<CertificateFacts> {
    return this.#alone(async () => {
      const { state, ca, audit, clock, feed, caDeps } = this.#deps;
      const passphrase = await this.#deps.passphrase();
      // An issuer of an earlier attempt that could not be activated is used again.
      const waiting = waitingIssuer(ca.inventory, purpose);
      if (waiting === undefined) assertRoom(ca.inventory, clock.now());
      const made = waiting ?? (await createIssuer(state, passphrase, caDeps, purpose));
      if (waiting === undefined) ca.replace(await openCa(state, passphrase, caDeps));
      const effect = await feed.effectOf([feed.sequence], brokersTimeoutMs);
      if (effect.late > 0) {
        throw new FlotillaError('brokers-late', { detail: `${effect.late} of ${effect.brokers}` });
      }
      await activateIssuer(state, made.fingerprint, purpose);
      ca.replace(await openCa(state, passphrase, caDeps));
      await audit.append({
        action: 'issuer-added',
        actor,
        detail: { fingerprint: made.fingerprint, purpose },
      });
      return made;
    });
  }

  /**
   * Removes a former issuer from the trusted ones, when no certificate of it is valid or may still renew.
   *
   * @throws FlotillaError `issuer-not-found`, `issuer-in-use`
   */
  retire(fingerprint: string, actor: string): Promise<void> {
    return this.#alone(async () => {
      const { state, ca, audit, clock, registry, caDeps, graceMs } = this.#deps;
      const issuer = ca.issuer(fingerprint);
      if (issuer === undefined) throw new FlotillaError('issuer-not-found');
      if (issuer === ca.current || issuer === ca.service) {
        throw new FlotillaError('issuer-in-use', { detail: 'it is the current issuer' });
      }
      let left = 0;
      const endedMs = clock.now() - graceMs;
      for await (const { certificates } of registry.rows('devices')) {
        for (const one of certificates) {
          const isNeeded = one.status === 'active' && one.notAfterMs > endedMs;
          if (one.issuer === fingerprint && isNeeded) left++;
        }
      }
      if (left > 0) {
        throw new FlotillaError('issuer-in-use', { detail: `${left} active certificates` });
      }
      await audit.append({ action: 'issuer-retired', actor, detail: { fingerprint } });
      await removeIssuer(state, fingerprint);
      ca.replace(await openCa(state, await this.#deps.passphrase(), caDeps));
    });
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#busy) throw new FlotillaError('issuer-in-use', { detail: 'a change is in progress' });
    this.#busy = true;
    try {
      return await work();
    } finally {
      this.#busy = false;
    }
  }
}

/** An issuer that is newer than the current one of its purpose: it was created or imported, and not activated yet. */
function waitingIssuer(
  { current, service, issuers, root }: CaInventory,
  purpose: 'devices' | 'services',
): CertificateFacts | undefined {
  const signing = purpose === 'devices' ? current : service;
  const since = signing?.certificate.notBeforeMs ?? 0;
  return issuers.find(
    (one) =>
      one !== current &&
      one !== service &&
      one.root === root &&
      one.purpose === purpose &&
      one.certificate.notBeforeMs > since,
  )?.certificate;
}

/** @throws FlotillaError `issuer-in-use` when there are too many issuers that have not ended */
function assertRoom({ issuers }: CaInventory, nowMs: number): void {
  const alive = issuers.filter(({ certificate }) => certificate.notAfterMs > nowMs);
  if (alive.length < issuersMax) return;
  throw new FlotillaError('issuer-in-use', { detail: `at most ${issuersMax} issuers` });
}
