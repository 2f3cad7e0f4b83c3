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
import type { SessionStore, SubscriptionRecord } from '../../store/session-store.ts';
import type { Subscription } from '../../routing/topic-route.ts';
import type { Receiver } from '../delivery/receiver.ts';
import type { ReceiverConfirmation } from '../delivery/receiver-confirmation.ts';
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

/**
 * Announces the filter of a new subscription to the other partitions, so that their messages reach it.
 *
 * @returns what SUBACK waits for; undefined: nothing. Retained messages are looked for when it is confirmed: then
 *   no message is in neither the subscription nor the retained messages
 */
type AnnounceSubscription = (filter: string) => ReceiverConfirmation | undefined;

/** Is informed of the subscriptions in the router, except those of other partitions. */
export interface SubscriptionObserver {
  /** @param replaced the earlier one of the same receiver, filter and group */
  added(subscription: Subscription<Receiver>, replaced: Subscription<Receiver> | undefined): void;
  removed(subscription: Subscription<Receiver>): void;
  /** A session has a connection now, or has none any more. */
  readinessChanged(receiver: SubscribedReceiver): void;
}

/** A receiver with its subscriptions, by their filters. */
export interface SubscribedReceiver extends Receiver {
  readonly subscriptions: ReadonlyMap<string, SubscriptionRecord>;
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
  /** Undefined: there are no other partitions. */
  readonly announce: AnnounceSubscription | undefined;
  /** Is informed of all subscriptions of the receivers of this session layer; undefined: nobody is. */
  readonly observer: SubscriptionObserver | undefined;
}
