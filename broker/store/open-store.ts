/**
 * The store that the configuration asks for.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { openDurableStore } from './durable-store.ts';
import { openMemoryStore } from './memory-store.ts';
import type { SessionStore } from './session-store.ts';
import { storeLimits } from './store-limits.ts';

/**
 * Opens the store of `broker.store`. The caller closes it, after the session layer.
 *
 * @param path the file of the durable store: `state.broker.store`
 * @throws FlotillaError `store-newer`, `store-damaged`, `store-in-use`, `store-open-failed`
 */
export function openStore(config: Config, path: string, clock: Clock): Promise<SessionStore> {
  const limits = storeLimits(config.limits.broker);
  return config.broker.store === 'memory'
    ? Promise.resolve(openMemoryStore({ limits, clock }))
    : openDurableStore({ path, limits, clock });
}
