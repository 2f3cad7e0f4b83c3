/**
 * Creates the parts of a broker that accept connections.
 *
 * @module
 */
import { availableParallelism } from 'node:os';
import type { Clock } from '../core/clock.ts';
import type { Config } from '../core/config/config.ts';
import type { Logger } from '../core/log.ts';
import type { EventLoopLag } from '../core/telemetry/event-loop-lag.ts';
import { Admitter, type AdmitterDeps } from './admission/admitter.ts';
import type { BrokerTlsMaterial } from './certificates/tls-material.ts';
import type { BrokerLayer } from './contracts/broker-layer.ts';
import { frontCount } from './fronts/front-count.ts';
import { FrontPorts } from './fronts/front-ports.ts';
import type { BrokerPorts, EntranceDeps } from './listeners/entrance.ts';
import { HandshakeQuota } from './listeners/handshake-quota.ts';
import { LocalPorts } from './listeners/local-ports.ts';
import type { EventReporter } from './telemetry/event-reporter.ts';

/** Accepts connections. */
export interface Entrance {
  readonly quota: HandshakeQuota;
  readonly admitter: Admitter;
  readonly ports: BrokerPorts;
}

export interface EntranceParts extends Pick<
  AdmitterDeps,
  'directory' | 'incidents' | 'holds' | 'expiry'
> {
  readonly material: BrokerTlsMaterial;
  readonly lag: EventLoopLag;
  readonly reporter: EventReporter;
  readonly layer: BrokerLayer;
}

export interface EntranceEnvironment {
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether memory that fronts share is overwritten when it is released, for tests. */
  readonly poisonsRings?: boolean;
}

/** A front is busy when it works for more than this share of the time. */
const busyMin = 0.85;

export function createEntrance(
  config: Config,
  { clock, log, poisonsRings = false }: EntranceEnvironment,
  { material, directory, holds, lag, incidents, reporter, layer, expiry }: EntranceParts,
): Entrance {
  const limits = config.limits.broker;
  const count = frontCount(config.broker.fronts, availableParallelism(), process.platform);
  const quota = new HandshakeQuota(limits, {
    clock,
    threads: Math.max(1, count),
    load: {
      get busy() {
        return lag.busy || ports.fronts.some(({ busyShare }) => busyShare > busyMin);
      },
    },
  });
  const admitter = new Admitter({
    clock,
    directory,
    incidents,
    holds,
    layer,
    expiry,
    // It can change while the broker runs.
    get connectionsMax() {
      return limits.connectionsMax;
    },
    events: reporter,
  });
  const deps: EntranceDeps = {
    config,
    clock,
    material: material.tls(),
    quota,
    admitter,
    events: reporter.listener,
    upgradeEvents: reporter.session,
  };
  const ports: BrokerPorts =
    count === 0
      ? new LocalPorts(deps)
      : new FrontPorts({ ...deps, count, log, turn: layer.turn, poisons: poisonsRings });
  return { quota, admitter, ports };
}
