/**
 * A session's subscriptions: in its own map, in the router, in the store.
 *
 * @module
 */
import { splitShared } from '../../../core/topic.ts';
import type { SubscriptionRecord } from '../../store/session-store.ts';
import type { Exchange } from './publisher.ts';
import type { Services } from './context.ts';
import type { Session } from './session.ts';

/** Puts a subscription in force, in place of one with the same filter [MQTT-3.8.4-3]. */
export function putSubscription(
  services: Services,
  exchange: Exchange,
  session: Session,
  record: SubscriptionRecord,
): void {
  session.subscriptions.set(record.filter, record);
  if (session.kept) services.store.putSubscription(session.clientId, record);
  addToRouter(exchange, session, record);
}

/** @returns false when there was no such subscription */
export function dropSubscription(
  services: Services,
  exchange: Exchange,
  session: Session,
  filter: string,
): boolean {
  if (!session.subscriptions.delete(filter)) return false;
  if (session.kept) services.store.deleteSubscription(session.clientId, filter);
  const shared = splitShared(filter);
  if (shared === undefined || shared === 'malformed') {
    exchange.router.remove(session, filter, undefined);
  } else {
    exchange.router.remove(session, shared.filter, shared.group);
  }
  return true;
}

/** Makes the router know a subscription. */
export function addToRouter(
  exchange: Exchange,
  session: Session,
  record: SubscriptionRecord,
): void {
  const shared = splitShared(record.filter);
  if (shared === 'malformed') return;
  exchange.router.add({
    subscriber: session,
    filter: shared?.filter ?? record.filter,
    group: shared?.group,
    qos: record.qos,
    noLocal: record.noLocal,
    retainAsPublished: record.retainAsPublished,
    identifier: record.identifier,
  });
}
