/**
 * Opens the session store that the configuration selects.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import type { BrokerLimits } from '../../core/config/limits.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { openDurableStore } from './durable-store.ts';
import { openMemoryStore } from './memory-store.ts';
import type { SessionStore, StoreLimits } from './session-store.ts';

type StorePlaces = Pick<StateFolder['broker'], 'store' | 'storeIndex' | 'partitionIndexes'>;

/**
 * Opens the store that `broker.store` selects, without a database. The caller closes it after the session layer.
 *
 * @param places the file of the durable store, and those of the indexes beside a database
 * @param stallChanged called when the disk is full, and when it can be written again (undefined)
 * @throws FlotillaError `store-in-database`, `store-newer`, `store-damaged`, `store-in-use`, `store-open-failed`
 */
export async function openStore(
  config: Config,
  { store: path, storeIndex, partitionIndexes }: StorePlaces,
  clock: Clock,
  stallChanged: (reason: string | undefined) => void,
): Promise<SessionStore> {
  const limits = storeLimits(config.limits.broker);
  if (config.broker.store === 'memory') return openMemoryStore({ limits, clock });
  const index = [storeIndex, partitionIndexes].find(existsSync);
  if (index !== undefined) throw new FlotillaError('store-in-database', { detail: index });
  return openDurableStore({ path, limits, clock, stallChanged });
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
