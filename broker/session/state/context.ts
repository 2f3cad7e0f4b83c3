/**
 * The objects that all connections and sessions of one session layer share.
 *
 * @module
 */
import type { Clock } from '../../../core/clock.ts';
import type { BrokerLimits } from '../../../core/config/limits.ts';
import type { Logger } from '../../../core/log.ts';
import type { Authorizer } from '../../contracts/authorizer.ts';
import type { IdentityRights } from '../../contracts/identity-rights.ts';
import type { Intercept, SessionEvents } from '../../contracts/session-layer.ts';
import type { SessionStore } from '../../store/session-store.ts';
import type { Hooks } from '../plugins/hooks.ts';
import type { WriteBatchPool } from '../output/write-batch.ts';
import type { MemoryTotals } from '../delivery/memory-queue.ts';
import type { Rooms } from './rooms.ts';

/** Totals since the start, in plain fields that are cheap to count. */
export class Counters {
  readonly messagesIn: [number, number, number] = [0, 0, 0];
  readonly messagesOut: [number, number, number] = [0, 0, 0];
  bytesIn = 0;
  bytesOut = 0;
  storeCommits = 0;
  storeCommitMs = 0;
}

export interface SessionContext {
  readonly limits: BrokerLimits;
  readonly authorizer: Authorizer;
  readonly events: SessionEvents;
  readonly intercept: Intercept;
  readonly rights: IdentityRights;
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: SessionStore;
  readonly counters: Counters;
  readonly batches: WriteBatchPool;
  readonly memoryTotals: MemoryTotals;
  readonly rooms: Rooms;
  readonly hooks: Hooks;
}
