/**
 * Waits until this instance of the enrollment service may write the configured database.
 *
 * @module
 */
import type { Config } from '../../core/config/config.ts';
import type { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Lifecycle } from '../../core/lifecycle.ts';
import type { Logger } from '../../core/log.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { StandbyPort } from '../../core/telemetry/standby-port.ts';
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
  const port = new StandbyPort(config.enroll, log);
  const database = await beginTerm(state, config, log, {
    stop,
    waiting(active) {
      if (port.waiting(active)) deps.waiting(active);
    },
  }).finally(() => port.close());
  if (database === undefined) return undefined;
  lifecycle.add('database', () => database.close());
  return { database, failures: [database.lost] };
}
