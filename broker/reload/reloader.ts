/**
 * Keeps certificates and policy fresh while the broker runs: files that change are taken over, the own
 * certificate renews itself, and what is broken keeps what was in force.
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
import type { Policy } from '../policy/policy-model.ts';
import { readPolicy } from '../policy/policy-file.ts';
import { SelfRenewal } from '../certificates/self-renewal.ts';

export interface ReloaderDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly state: StateFolder;
  readonly enrollUrl: string;
  readonly material: BrokerTlsMaterial;
  readonly metrics: BrokerMetrics;
  /** Files were not taken over; what was in force stays. */
  refused(what: string, error: unknown): void;
  /** Other certificates are in force: shows them from now on. */
  materialChanged(): void;
  /** Puts another policy in force. */
  policyChanged(policy: Policy): void;
}

export class Reloader {
  /** What could not be taken over, and why, by its name. */
  readonly faults = new Map<string, string>();
  readonly #deps: ReloaderDeps;
  readonly #certificates: FileWatch;
  readonly #policy: FileWatch;
  readonly #renewal: SelfRenewal;

  constructor(deps: ReloaderDeps) {
    this.#deps = deps;
    const { clock, log, state, enrollUrl, material } = deps;
    const { key, chain, ca } = identityFiles(state.broker.identity);
    this.#certificates = new FileWatch(clock, [key, chain, ca], () => this.#reloadCertificates());
    this.#policy = new FileWatch(clock, [state.policy], () => this.#reloadPolicy());
    this.#renewal = new SelfRenewal({
      clock,
      log,
      url: enrollUrl,
      folder: state.broker.identity,
      random: Math.random,
      current: () => material.identity,
      renewed: async () => {
        await this.#reloadCertificates();
        this.#certificates.known();
      },
    });
  }

  /** Begins to watch. */
  start(): void {
    this.#renewal.schedule();
    this.#certificates.start();
    this.#policy.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#certificates.stop(), this.#policy.stop(), this.#renewal.stop()]);
  }

  /** Reads everything anew. */
  async reload(): Promise<void> {
    await this.#reloadCertificates();
    await this.#reloadPolicy();
  }

  #reloadCertificates(): Promise<void> {
    return this.#reloading('certificates', async () => {
      if (!(await this.#deps.material.reload())) return;
      this.#deps.materialChanged();
      this.#renewal.schedule();
    });
  }

  #reloadPolicy(): Promise<void> {
    return this.#reloading('policy', async () => {
      this.#deps.policyChanged(await readPolicy(this.#deps.state.policy));
    });
  }

  async #reloading(what: string, act: () => Promise<void>): Promise<void> {
    try {
      await act();
      this.faults.delete(what);
      this.#deps.metrics.reloads.inc({ what, outcome: 'done' });
    } catch (error) {
      const code = isFlotillaError(error) ? `${error.code}: ` : '';
      this.faults.set(what, code + messageOf(error));
      this.#deps.refused(what, error);
    }
  }
}
