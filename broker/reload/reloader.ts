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
  readonly #renewal: SelfRenewal;

  constructor(deps: ReloaderDeps) {
    this.#deps = deps;
    const { clock, log, state, enrollUrl, material } = deps;
    const { key, chain, ca } = identityFiles(state.broker.identity);
    this.#certificateWatch = new FileWatch(clock, [key, chain, ca], () =>
      this.#reloadCertificates(),
    );
    this.#policyWatch = new FileWatch(clock, [state.policy], () => this.reloadPolicy());
    this.#renewal = new SelfRenewal({
      clock,
      log,
      url: enrollUrl,
      folder: state.broker.identity,
      random: Math.random,
      current: () => material.identity,
      issuerInForce: () =>
        material.authorities.some((one) => material.identity.leaf.checkIssued(one)),
      renewed: async () => {
        await this.#reloadCertificates();
        this.#certificateWatch.acceptCurrent();
      },
    });
  }

  /** Starts to watch the files and to renew the certificate. */
  start(): void {
    this.#renewal.schedule();
    this.#certificateWatch.start();
    this.#policyWatch.start();
  }

  async stop(): Promise<void> {
    await Promise.all([
      this.#certificateWatch.stop(),
      this.#policyWatch.stop(),
      this.#renewal.stop(),
    ]);
  }

  /** Other CA certificates are in force: the issuer of the broker's own certificate may have been withdrawn. */
  authoritiesChanged(): void {
    this.#renewal.schedule();
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
      this.#renewal.schedule();
    });
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
