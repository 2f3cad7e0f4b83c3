/**
 * The broker as a service: listeners, admission, directory, policy, presence and metrics around a
 * session layer.
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
import { openBroker, type BrokerAddresses } from './broker.ts';

export interface BrokerDeps {
  readonly state: StateFolder;
  /** The enrollment service, for the feed and for renewals. */
  readonly enrollUrl: string;
  readonly clock?: Clock;
  readonly log: Logger;
}

export interface BrokerService {
  readonly addresses: BrokerAddresses;
  /** For plug-ins: the broker as an Aedes instance, with its events and hooks (docs/plug-ins.md). */
  readonly aedes: Aedes;
  /**
   * Resolves, with the reason, when the broker cannot do its job any more: the process should end,
   * so that a supervisor starts it anew.
   */
  readonly failed: Promise<FlotillaError>;
  readonly close: () => Promise<void>;
  /** Reads certificates, CA and policy anew. What is broken keeps what was in force. */
  reload(): Promise<void>;
}

/**
 * Starts the broker. It listens when this resolves, with the directory of the feed or, when the
 * enrollment service is away, with the one kept on disk.
 *
 * @throws FlotillaError `broker-identity-invalid`, `policy-invalid`, `address-in-use`, …
 */
export function startBroker(config: Config, deps: BrokerDeps): Promise<BrokerService> {
  const lifecycle = new Lifecycle();
  return lifecycle.guard(async () => {
    const clock = deps.clock ?? systemClock;
    const broker = await openBroker(config, { ...deps, clock }, lifecycle);
    return {
      addresses: broker.addresses,
      aedes: broker.aedes,
      failed: broker.failed,
      close: lifecycle.close,
      reload: () => broker.reload(),
    };
  });
}
