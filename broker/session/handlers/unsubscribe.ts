/**
 * UNSUBSCRIBE: always answered [MQTT-3.10.4-4], [MQTT-3.10.4-5]. Messages in flight are still delivered.
 *
 * @module
 */
import { topicFilterFault } from '../../../core/topic.ts';
import type { ClientConnection } from '../connection/connection.ts';
import type { Session } from '../state/session.ts';
import { removeSubscription } from '../state/subscriptions.ts';
import { unsuback } from '../wire/answers.ts';
import { PacketReader } from '../wire/reader.ts';
import { readUnsubscribe } from '../wire/subscribe.ts';

const success = 0x00;
const noSubscription = 0x11;
const filterInvalid = 0x8f;

export function onUnsubscribe(
  client: ClientConnection,
  session: Session,
  bytes: Buffer,
  body: number,
  end: number,
): void {
  const { context, publisher } = client.host;
  const reader = new PacketReader(bytes, body, end);
  const { packetId, filters } = readUnsubscribe(
    reader,
    client.isMqtt5,
    context.limits.subscriptionsPerPacketMax,
  );
  const { topicMaxBytes, topicLevelsMax } = context.limits;
  const limits = { maxBytes: topicMaxBytes, levelsMax: topicLevelsMax };
  const codes = filters.map((filter) => {
    if (removeSubscription(context, publisher, session, filter)) return success;
    return topicFilterFault(filter, limits) === undefined ? noSubscription : filterInvalid;
  });
  client.sendAfterCommit(unsuback(client.isMqtt5 ? 5 : 4, packetId, codes), session.kept);
  const { hooks } = context;
  if (hooks.hasListeners.unsubscribe) hooks.emit('unsubscribe', filters, hooks.clientOf(client));
}
