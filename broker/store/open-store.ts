/**
 * Opens the session store that the configuration selects.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import type { BrokerLimits } from '../../core/config/limits.ts';
import { openDurableStore } from './durable-store.ts';
import { openMemoryStore } from './memory-store.ts';
import type { SessionStore, StoreLimits } from './session-store.ts';

/**
 * Opens the store that `broker.store` selects. The caller closes it after the session layer.
 *
 * @param path the file of the durable store: `state.broker.store`
 * @param stallChanged called when the disk is full, and when it can be written again (undefined)
 * @throws FlotillaError `store-newer`, `store-damaged`, `store-in-use`, `store-open-failed`
 */
export function openStore(
  config: Config,
  path: string,
  clock: Clock,
  stallChanged: (reason: string | undefined) => void,
): Promise<SessionStore> {
  const limits = storeLimits(config.limits.broker);
  return config.broker.store === 'memory'
    ? Promise.resolve(openMemoryStore({ limits, clock }))
    : openDurableStore({ path, limits, clock, stallChanged });
}

/** The limits of the store, taken from those of the broker. */
export function storeLimits(limits: BrokerLimits): StoreLimits {
  return {
    queuedMaxMessages: limits.queuedTotalMaxMessages,
    queuedMaxBytes: limits.queuedTotalMaxBytes,
    queuedPerOwnerMaxMessages: limits.queuedPerDeviceMaxMessages,
    queuedPerOwnerMaxBytes: limits.queuedPerDeviceMaxBytes,
    retainedMax: limits.retainedMax,
    retainedMaxBytes: limits.retainedTotalMaxBytes,
    pendingMaxBytes: limits.storePendingMaxBytes,
  };
}
