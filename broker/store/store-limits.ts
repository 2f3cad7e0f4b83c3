/**
 * The store's limits out of the broker's.
 *
 * @module
 */
import type { BrokerLimits } from '../../core/config/limits.ts';
import type { StoreLimits } from './session-store.ts';

export function storeLimits(limits: BrokerLimits): StoreLimits {
  return {
    queuedMaxMessages: limits.queuedTotalMaxMessages,
    queuedMaxBytes: limits.queuedTotalMaxBytes,
    retainedMax: limits.retainedMax,
    retainedMaxBytes: limits.retainedTotalMaxBytes,
    pendingMaxBytes: limits.storePendingMaxBytes,
  };
}
