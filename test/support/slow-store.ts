/**
 * A store whose commits take as long as the test decides.
 *
 * @module
 */
import { openMemoryStore } from '../../broker/store/memory-store.ts';
import { storeLimits } from '../../broker/store/open-store.ts';
import type { SessionStore } from '../../broker/store/session-store.ts';
import { systemClock } from '../../core/clock.ts';
import { checkConfig } from '../../core/config/config.ts';
import type { FlotillaError } from '../../core/errors/flotilla-error.ts';

export interface SlowStore {
  readonly store: SessionStore;
  /** Commits everything that waits. @param error the commit fails */
  commit(error?: FlotillaError): void;
  /** Commits only what has waited longest. */
  commitOldest(): void;
  readonly waiting: () => number;
}

export function slowStore(): SlowStore {
  const limits = storeLimits(checkConfig({}).limits.broker);
  const store = openMemoryStore({ limits, clock: systemClock });
  const calls: ((error?: FlotillaError) => void)[] = [];
  Object.defineProperty(store, 'pending', { get: () => true });
  store.afterCommit = (call) => void calls.push(call);
  return {
    store,
    commit(error) {
      for (const call of calls.splice(0)) call(error);
    },
    commitOldest() {
      calls.shift()?.();
    },
    waiting: () => calls.length,
  };
}
