/**
 * UNSUBSCRIBE: always answered [MQTT-3.10.4-4], [MQTT-3.10.4-5]. What is in flight is still delivered.
 *
 * @module
 */
import type { Client } from '../connection/connection.ts';
import type { Session } from '../state/session.ts';
import { dropSubscription } from '../state/subscriptions.ts';
import { unsuback } from '../wire/answers.ts';
import { PacketReader } from '../wire/reader.ts';
import { readUnsubscribe } from '../wire/subscribe.ts';

const success = 0x00;
const noSubscription = 0x11;

export function onUnsubscribe(
  client: Client,
  session: Session,
  bytes: Buffer,
  body: number,
  end: number,
): void {
  const { services, exchange } = client.host;
  const reader = new PacketReader(bytes, body, end);
  const { packetId, filters } = readUnsubscribe(
    reader,
    client.five,
    services.limits.subscriptionsPerPacketMax,
  );
  const codes = filters.map((filter) =>
    dropSubscription(services, exchange, session, filter) ? success : noSubscription,
  );
  client.sendGated(unsuback(client.five ? 5 : 4, packetId, codes));
  const { hooks } = services;
  if (hooks.heard.unsubscribe) hooks.tell('unsubscribe', filters, hooks.clientOf(client));
}
