/**
 * Sends the retained messages of a new subscription in batches, while the connection has room, so that a
 * filter that matches a million of them does not delay other clients.
 *
 * @module
 */
import type { StoredMessage, SubscriptionRecord } from '../../store/session-store.ts';
import type { ClientConnection } from '../connection/connection.ts';
import { Message } from '../delivery/message.ts';
import type { Session } from '../state/session.ts';

const batchMessages = 256;
/** The pause before the next attempt when the connection has no room, in ms. */
const noRoomPauseMs = 50;

/** Sends the retained messages that a subscription matches, with RETAIN set [MQTT-3.3.1-8]. */
export function sendRetained(
  client: ClientConnection,
  session: Session,
  record: SubscriptionRecord,
): void {
  const { store } = client.context;
  const found: StoredMessage[] = [];
  for (const message of store.retained(record.filter)) found.push(message);
  if (found.length > 0) sendBatch(client, session, record, found, 0);
}

function sendBatch(
  client: ClientConnection,
  session: Session,
  record: SubscriptionRecord,
  found: readonly StoredMessage[],
  from: number,
): void {
  // The connection was closed or the subscription removed in the meantime.
  if (client.closed || session.subscriptions.get(record.filter) !== record) return;
  const { clock, authorizer } = client.context;
  const nowMs = clock.now();
  const identifiers = record.identifier === undefined ? [] : [record.identifier];
  const to = Math.min(found.length, from + (client.hasRoom ? batchMessages : 0));
  for (let index = from; index < to; index++) {
    const stored = found[index];
    if (stored === undefined) continue;
    if (stored.expiresAtMs !== undefined && stored.expiresAtMs <= nowMs) continue;
    if (!authorizer.receive(client.identity, stored.topic)) continue;
    const qos = stored.qos < record.qos ? stored.qos : record.qos;
    session.deliver(Message.fromStored(stored), qos, true, identifiers);
  }
  if (to === found.length) return;
  clock.after(client.hasRoom ? 0 : noRoomPauseMs, () =>
    sendBatch(client, session, record, found, to),
  );
}
