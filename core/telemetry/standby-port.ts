/**
 * The metrics port of a standby: the process is healthy and not ready, and says which instance is active.
 *
 * @module
 */
import type { Logger } from '../log.ts';
import { MetricsServer, type Check } from './metrics-server.ts';

export class StandbyPort {
  readonly #log: Logger;
  readonly #address: { readonly metricsHost: string; readonly metricsPort: number };
  #active = '';
  #server: MetricsServer | undefined;

  constructor(
    address: { readonly metricsHost: string; readonly metricsPort: number },
    log: Logger,
  ) {
    this.#address = address;
    this.#log = log;
  }

  /**
   * Names the active instance. The first call opens the port.
   *
   * @returns whether it was the first call
   */
  waiting(active: string): boolean {
    this.#active = active;
    if (this.#server !== undefined) return false;
    this.#log.info({ active }, 'another instance is active, this one is the standby');
    const checks = (): readonly Check[] => [
      { name: 'active', ok: false, detail: `standby: ${this.#active} is active` },
    ];
    this.#server = new MetricsServer({
      metrics: () => Promise.resolve(''),
      metricsType: 'text/plain; version=0.0.4',
      health: () => [],
      readiness: checks,
      status: checks,
    });
    const { metricsHost, metricsPort } = this.#address;
    this.#server.listen(metricsHost, metricsPort).then(
      ({ url }) => this.#log.info({ url }, 'the standby reports its health'),
      (error: unknown) => this.#log.error({ err: error }, 'the standby cannot report its health'),
    );
    return true;
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }
}
