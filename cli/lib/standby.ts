/**
 * Waits until this instance of the enrollment service may write the configured database.
 *
 * @module
 */
import type { Config } from '../../core/config/config.ts';
import type { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import type { Logger } from '../../core/log.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { MetricsServer, type Check } from '../../core/telemetry/metrics-server.ts';
import { beginTerm } from '../../enroll/bootstrap/database-storage.ts';
import type { StateDeps } from '../../enroll/bootstrap/state.ts';

export interface StandbyDeps {
  readonly state: StateFolder;
  readonly config: Config;
  readonly log: Logger;
  /** Resolves when the process should stop. */
  readonly stop: Promise<unknown>;
  readonly lifecycle: Lifecycle;
  /** Called once, when another instance is active. */
  readonly waiting: (active: string) => void;
}

export interface ActiveTurn {
  /** Undefined: no database is configured. */
  readonly database: StateDeps['database'];
  /** Resolve when this instance must not continue. */
  readonly failures: readonly Promise<FlotillaError>[];
}

/**
 * Begins a term in the database. While another instance is active, the metrics port says so: the process is healthy and
 * not ready.
 *
 * @returns undefined when the process should stop
 * @throws FlotillaError `database-…`, `address-in-use`
 */
export async function awaitTurn(deps: StandbyDeps): Promise<ActiveTurn | undefined> {
  const { state, config, log, stop, lifecycle } = deps;
  if (config.enroll.database === undefined) return { database: undefined, failures: [] };
  const standby = new Lifecycle();
  let active: string | undefined;
  const database = await beginTerm(state, config, log, {
    stop,
    waiting(instance) {
      if (active === undefined) {
        log.info({ active: instance }, 'another instance is active, this one is the standby');
        const port = new MetricsServer(standbyChecks(() => active ?? ''));
        standby.add('metrics of the standby', () => port.close());
        const { metricsHost, metricsPort } = config.enroll;
        port.listen(metricsHost, metricsPort).then(
          ({ url }) => log.info({ url }, 'the standby reports its health'),
          (error: unknown) => log.error({ err: error }, 'the standby cannot report its health'),
        );
        deps.waiting(instance);
      }
      active = instance;
    },
  }).finally(() => standby.close());
  if (database === undefined) return undefined;
  lifecycle.add('database', () => database.close());
  return { database, failures: [database.lost] };
}

function standbyChecks(active: () => string): ConstructorParameters<typeof MetricsServer>[0] {
  const checks = (): readonly Check[] => [
    { name: 'active', ok: false, detail: `standby: ${active()} is active` },
  ];
  return {
    metrics: () => Promise.resolve(''),
    metricsType: 'text/plain; version=0.0.4',
    health: () => [],
    readiness: checks,
    status: checks,
  };
}
