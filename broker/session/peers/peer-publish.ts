/**
 * PUBLISH from another partition. It was authorized there.
 *
 * @module
 */
import { Message } from '../delivery/message.ts';
import type { ClientConnection } from '../connection/connection.ts';
import { pauseReasons } from '../connection/connection-reader.ts';
import type { CachedTopic } from '../connection/topic-cache.ts';
import { topicOf } from '../handlers/publish-topic.ts';
import type { Session } from '../state/session.ts';
import { awaitRelease } from '../state/unreleased.ts';
import { packetFirstByte } from '../wire/acknowledgement.ts';
import { PublishFields, readPublish } from '../wire/publish.ts';
import { deliverLocally } from './local-delivery.ts';

/** The fields of the packet that is being handled. They are read before other code runs. */
const fields = new PublishFields();

export function onPeerPublish(
  client: ClientConnection,
  session: Session,
  bytes: Buffer,
  start: number,
  body: number,
  end: number,
): void {
  readPublish(bytes, start, body, end, true, fields);
  const { qos, packetId } = fields;
  const { context, host } = client;
  const { store } = context;
  const topic = topicOf(client, bytes, fields);
  if (qos === 2 && session.awaitingPubrel?.has(packetId) === true) {
    client.acknowledge(packetFirstByte.pubrec, packetId, 0, true);
    return;
  }
  if (qos !== 0 && store.stalled !== undefined) {
    // A negative acknowledgement would remove it from the queue of the other partition.
    client.close('store-stalled');
    return;
  }
  updateRoute(client, topic);
  const { route } = topic;
  const message = messageOf(client, topic.topic, bytes, start);
  let stored = message.expiresAtMs !== 0 && message.expired(context.clock.now());
  stored = !stored && deliverLocally(message, route);
  client.reader.delivered(route.targets.length);
  if (message.retain) stored = retain(client, message) || stored;
  if (qos === 0) return;
  if (qos === 2) {
    awaitRelease(context, session, packetId);
    store.putIncoming(session.clientId, packetId);
    client.acknowledge(packetFirstByte.pubrec, packetId, 0, true);
  } else client.acknowledge(packetFirstByte.puback, packetId, 0, stored);
  if (store.congested && host.context.store.pending) client.reader.pause(pauseReasons.store);
}

function retain({ context }: ClientConnection, message: Message): boolean {
  message.detach();
  context.store.putRetained(message.toStored(context.clock.now()));
  return true;
}

/** The route of a topic is cached for the version of the policy that it was computed with. */
function updateRoute({ context, host }: ClientConnection, topic: CachedTopic): void {
  const { version } = context.authorizer;
  if (topic.policyVersion === version && !topic.route.stale) return;
  topic.policyVersion = version;
  topic.route = host.publisher.route(topic.topic);
}

function messageOf(
  { context }: ClientConnection,
  topic: string,
  bytes: Buffer,
  start: number,
): Message {
  const { qos, retain, payloadStart, payloadEnd, topicEnd, properties } = fields;
  const message = new Message(topic, qos, retain, undefined);
  message.setPayload(bytes, payloadStart, payloadEnd);
  if (properties !== undefined) {
    const { forward, messageExpiry } = properties;
    const expiresAtMs = messageExpiry < 0 ? 0 : context.clock.now() + messageExpiry * 1000;
    message.setProperties(forward, expiresAtMs);
  } else if (!retain) {
    const packetIdAt = qos === 0 ? 0 : topicEnd - start;
    message.setReceivedPacket(true, { bytes, start, end: payloadEnd, packetIdAt });
  }
  return message;
}
