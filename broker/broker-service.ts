/**
 * The broker as a service. Programs that embed the broker import only this file.
 *
 * @module
 */
import type { Aedes } from 'aedes';
import { systemClock, type Clock } from '../core/clock.ts';
import type { Config } from '../core/config/config.ts';
import type { FlotillaError } from '../core/errors/flotilla-error.ts';
import { Lifecycle } from '../core/lifecycle.ts';
import type { Logger } from '../core/log.ts';
import type { StateFolder } from '../core/state-folder.ts';
import type { DatabaseStore } from './journal/database-store.ts';
import { openBroker, type BrokerAddresses } from './broker.ts';

export interface BrokerDeps {
  readonly state: StateFolder;
  /** URL of the enrollment service, for the feed and for renewals. */
  readonly enrollUrl: string;
  readonly clock?: Clock;
  readonly log: Logger;
  /** Whether memory that fronts share is overwritten when it is released, for tests. */
  readonly poisonsRings?: boolean;
  /**
   * The store in the database that `broker.database` names, from `openDatabaseStore`. By default it is opened, and
   * `database-in-use` is thrown while another broker is active.
   */
  readonly database?: DatabaseStore | undefined;
}

export interface BrokerService {
  readonly addresses: BrokerAddresses;
  /**
   * For plug-ins: the Aedes instance, with its events and hooks (docs/plug-ins.md).
   *
   * @throws FlotillaError `plug-ins-not-possible`: the broker has partitions
   */
  readonly aedes: Aedes;
  /**
   * Resolves with the reason when the broker must stop: the process should exit, so that a supervisor
   * restarts it.
   */
  readonly failed: Promise<FlotillaError>;
  readonly close: () => Promise<void>;
  /** Reloads certificates, CA and policy. When a file is invalid, the previous one stays in force. */
  reload(): Promise<void>;
  /**
   * Copies the session store to a new file, while the broker works.
   *
   * @returns false when there is no store on the disk
   * @throws FlotillaError `store-open-failed`, `store-write-failed`
   */
  copyStore(path: string): Promise<boolean>;
}

/**
 * Starts the broker. When the promise resolves, it listens, with the directory of the feed or, when
 * the enrollment service is unavailable, with the one stored on the disk.
 *
 * @throws FlotillaError `broker-identity-missing`, `broker-identity-invalid`, `policy-invalid`, `address-in-use`, …
 */
export function startBroker(config: Config, deps: BrokerDeps): Promise<BrokerService> {
  const lifecycle = new Lifecycle();
  return lifecycle.guard(async () => {
    const clock = deps.clock ?? systemClock;
    const broker = await openBroker(config, { ...deps, clock }, lifecycle);
    return {
      addresses: broker.addresses,
      get aedes() {
        return broker.aedes;
      },
      failed: broker.failed,
      close: lifecycle.close,
      reload: () => broker.reload(),
      copyStore: (path) => broker.copyStore(path),
    };
  });
}
