/**
 * Retained messages to a new subscription: in portions, as the connection takes them, so that a
 * filter that matches a million of them holds up nobody.
 *
 * @module
 */
import type { StoredMessage, SubscriptionRecord } from '../../store/session-store.ts';
import type { ClientConnection } from '../connection/connection.ts';
import { Message } from '../delivery/message.ts';
import type { Session } from '../state/session.ts';

const batchMessages = 256;

/** Sends what a subscription matches, with RETAIN set [MQTT-3.3.1-8]. */
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
  // Gone, or taken back in the meantime.
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
  const wait = client.hasRoom ? 0 : 50;
  clock.after(wait, () => sendBatch(client, session, record, found, to));
}
