/**
 * Keeps certificates and the policy current while the broker runs: reloads files that changed and renews
 * the broker's own certificate. When a file is invalid, the previous one stays in force.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { isFlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import { identityFiles, type StateFolder } from '../../core/state-folder.ts';
import type { BrokerCertificate } from '../certificates/broker-certificate.ts';
import { rsaDifference } from '../certificates/rsa-difference.ts';
import type { BrokerTlsMaterial } from '../certificates/tls-material.ts';
import { FileWatch } from './file-watch.ts';
import type { BrokerMetrics } from '../telemetry/broker-metrics.ts';
import type { Policy } from '../../core/policy/policy-model.ts';
import { SelfRenewal } from '../certificates/self-renewal.ts';

export interface ReloaderDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly state: StateFolder;
  readonly enrollUrl: string;
  readonly material: BrokerTlsMaterial;
  /** Whether the broker has an RSA certificate as well. */
  readonly hasRsa: boolean;
  readonly metrics: BrokerMetrics;
  readonly policySource: { load(): Promise<Policy> };
  /** Files could not be loaded; the previous ones stay in force. */
  failed(what: string, error: unknown): void;
  /** The broker's certificate, key or CA certificates changed. */
  materialChanged(): void;
  /** Puts a policy in force. */
  policyChanged(policy: Policy): Promise<void>;
}

export class Reloader {
  /** What could not be loaded, and why. */
  readonly errors = new Map<string, string>();
  readonly #deps: ReloaderDeps;
  readonly #certificateWatch: FileWatch;
  readonly #policyWatch: FileWatch;
  readonly #renewals: readonly SelfRenewal[];

  constructor(deps: ReloaderDeps) {
    this.#deps = deps;
    const { clock, state, hasRsa } = deps;
    const folders = [state.broker.identity, ...(hasRsa ? [state.broker.rsaIdentity] : [])];
    const files = folders.map(identityFiles).flatMap(({ key, chain, ca }) => [key, chain, ca]);
    this.#certificateWatch = new FileWatch(clock, files, () => this.#reloadCertificates());
    this.#policyWatch = new FileWatch(clock, [state.policy], () => this.reloadPolicy());
    this.#renewals = this.#createRenewals();
  }

  /** Starts to watch the files and to renew the certificate. */
  start(): void {
    this.#scheduleRenewals();
    this.#certificateWatch.start();
    this.#policyWatch.start();
  }

  async stop(): Promise<void> {
    await Promise.all([
      this.#certificateWatch.stop(),
      this.#policyWatch.stop(),
      ...this.#renewals.map((one) => one.stop()),
    ]);
  }

  /** Other CA certificates are in force: the issuer of the broker's own certificate may have been withdrawn. */
  authoritiesChanged(): void {
    this.#scheduleRenewals();
  }

  /** Reloads all files now. */
  async reload(): Promise<void> {
    await this.#reloadCertificates();
    await this.reloadPolicy();
  }

  #reloadCertificates(): Promise<void> {
    return this.#reload('certificates', async () => {
      if (!(await this.#deps.material.reload())) return;
      this.#deps.materialChanged();
      this.#scheduleRenewals();
    });
  }

  #scheduleRenewals(): void {
    for (const one of this.#renewals) one.schedule();
  }

  #createRenewals(): SelfRenewal[] {
    const { clock, log, state, enrollUrl: url, material, hasRsa } = this.#deps;
    const common = {
      clock,
      log,
      url,
      random: Math.random,
      credential: () => material.identity,
      renewed: async () => {
        await this.#reloadCertificates();
        this.#certificateWatch.acceptCurrent();
      },
    };
    const isWithdrawn = ({ leaf }: BrokerCertificate): boolean =>
      !material.authorities.some((one) => leaf.checkIssued(one));
    const identity = new SelfRenewal({
      ...common,
      folder: state.broker.identity,
      keyType: 'p256',
      current: () => material.identity,
      outdated: () => (isWithdrawn(material.identity) ? 'issuer withdrawn' : undefined),
    });
    const rsa = new SelfRenewal({
      ...common,
      folder: state.broker.rsaIdentity,
      keyType: 'rsa2048',
      current: () => material.rsa,
      outdated: () =>
        material.rsa !== undefined && isWithdrawn(material.rsa)
          ? 'issuer withdrawn'
          : rsaDifference(material),
    });
    return hasRsa ? [identity, rsa] : [identity];
  }

  /** Reads the policy again. */
  reloadPolicy(): Promise<void> {
    return this.#reload('policy', async () => {
      await this.#deps.policyChanged(await this.#deps.policySource.load());
    });
  }

  async #reload(what: string, load: () => Promise<void>): Promise<void> {
    try {
      await load();
      this.errors.delete(what);
      this.#deps.metrics.reloads.inc({ what, outcome: 'done' });
    } catch (error) {
      const code = isFlotillaError(error) ? `${error.code}: ` : '';
      this.errors.set(what, code + messageOf(error));
      this.#deps.failed(what, error);
    }
  }
}
