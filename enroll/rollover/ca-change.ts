/**
 * What all changes of the CA have in common: one at a time, the CA read again after each step, and the brokers.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import { openCa } from '../ca/ca-folder.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { CaDeps } from '../ca/root-authority.ts';
import type { Feed } from '../feed/directory-feed.ts';
import type { CertificateRecord } from '../registry/records.ts';
import type { Registry } from '../registry/registry.ts';

/** How long the brokers may take to apply a change, in ms. */
export const caBrokersTimeoutMs = 10_000;

export interface CaChangeDeps {
  readonly state: StateFolder;
  readonly ca: CertificateAuthority;
  readonly audit: AuditTrail;
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

/** The identities that the state folder itself holds. */
const ownIds: ReadonlySet<string> = new Set(['admin', 'broker']);

function isActive({ status }: CertificateRecord): boolean {
  return status === 'active';
}

export class CaChange {
  readonly deps: CaChangeDeps;
  #busy = false;

  constructor(deps: CaChangeDeps) {
    this.deps = deps;
  }

  /** Runs a change alone. @throws FlotillaError `issuer-in-use` while another one is in progress */
  async alone<T>(work: (passphrase: string) => Promise<T>): Promise<T> {
    return this.aloneWithoutKeys(async () => work(await this.deps.passphrase()));
  }

  /** As {@link alone}, for a change that begins before any key is opened. */
  async aloneWithoutKeys<T>(work: () => Promise<T>): Promise<T> {
    if (this.#busy) throw new FlotillaError('issuer-in-use', { detail: 'a change is in progress' });
    this.#busy = true;
    try {
      return await work();
    } finally {
      this.#busy = false;
    }
  }

  /** Reads the CA again. Brokers and devices get the trusted certificates from then on. */
  async publish(passphrase: string): Promise<void> {
    const { state, ca, caDeps } = this.deps;
    const open = new Map(
      ca.issuers.map(({ certificate, signer }) => [certificate.keyFingerprint, signer]),
    );
    ca.replace(await openCa(state, passphrase, caDeps, open));
  }

  /** Waits until every connected broker has applied what was published. @throws FlotillaError `brokers-late` */
  async brokersReady(): Promise<void> {
    const { feed } = this.deps;
    const effect = await feed.effectOf([feed.sequence], caBrokersTimeoutMs);
    if (effect.late > 0) {
      throw new FlotillaError('brokers-late', { detail: `${effect.late} of ${effect.brokers}` });
    }
  }

  /**
   * How many certificates of these issuers are valid or may still renew. Those of the state folder's own identities
   * do not count when there is a newer one: the service itself has replaced them.
   */
  async activeCertificates(issuers: ReadonlySet<string>): Promise<number> {
    const { clock, registry, graceMs } = this.deps;
    const endedMs = clock.now() - graceMs;
    let count = 0;
    for await (const { id, certificates } of registry.rows('devices')) {
      const isOwn = ownIds.has(id);
      const isReplaced =
        isOwn && certificates.some((one) => isActive(one) && !issuers.has(one.issuer));
      if (isReplaced) continue;
      count += certificates.filter(
        (one) => issuers.has(one.issuer) && isActive(one) && one.notAfterMs > endedMs,
      ).length;
    }
    return count;
  }
}
