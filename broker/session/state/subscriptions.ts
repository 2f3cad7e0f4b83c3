/**
 * The subscriptions of a session, in three places: its own map, the router, and the store.
 *
 * @module
 */
import { splitShared } from '../../../core/topic.ts';
import type { SubscriptionRecord } from '../../store/session-store.ts';
import type { Amount } from '../../store/shared-room.ts';
import type { Publisher } from './publisher.ts';
import type { SessionContext } from './context.ts';
import type { Session } from './session.ts';

/** The memory of a subscription without its filter: its record, its route target and its tree node. */
const subscriptionOverheadBytes = 600;
/** The memory of a group with one member (measured). */
const groupOverheadBytes = 200;

/** What a subscription counts for in the limits of all subscriptions. */
export function subscriptionAmount(filter: string): Amount {
  const groupBytes = filter.startsWith('$share/') ? groupOverheadBytes : 0;
  return { entries: 1, bytes: subscriptionOverheadBytes + groupBytes + filter.length };
}

/** Adds a subscription, or replaces the one with the same filter [MQTT-3.8.4-3]. */
export function addSubscription(
  context: SessionContext,
  publisher: Publisher,
  session: Session,
  record: SubscriptionRecord,
): void {
  const { filter } = record;
  if (!session.subscriptions.has(filter)) {
    context.rooms.subscriptions.add(session.identityId, subscriptionAmount(filter));
  }
  session.subscriptions.set(filter, record);
  if (session.kept) context.store.putSubscription(session.clientId, record);
  addToRouter(publisher, session, record);
}

/** @returns false if there was no such subscription */
export function removeSubscription(
  context: SessionContext,
  publisher: Publisher,
  session: Session,
  filter: string,
): boolean {
  if (!session.subscriptions.delete(filter)) return false;
  context.rooms.subscriptions.remove(session.identityId, subscriptionAmount(filter));
  if (session.kept) context.store.deleteSubscription(session.clientId, filter);
  removeFromRouter(publisher, session, filter);
  return true;
}

/** Adds a subscription to the router only. */
export function addToRouter(
  publisher: Publisher,
  session: Session,
  record: SubscriptionRecord,
): void {
  const shared = splitShared(record.filter);
  if (shared === 'malformed') return;
  publisher.subscribe({
    subscriber: session,
    filter: shared?.filter ?? record.filter,
    group: shared?.group,
    qos: record.qos,
    noLocal: record.noLocal,
    retainAsPublished: record.retainAsPublished,
    identifier: record.identifier,
  });
}

/** Removes a subscription from the router only. */
export function removeFromRouter(publisher: Publisher, session: Session, filter: string): void {
  const shared = splitShared(filter);
  if (shared === 'malformed') return;
  publisher.unsubscribe(session, shared?.filter ?? filter, shared?.group);
}
