/**
 * PUBLISH from another partition. It was authorized there.
 *
 * @module
 */
import type { ClientConnection } from '../connection/connection.ts';
import { pauseReasons } from '../connection/connection-reader.ts';
import type { CachedTopic } from '../connection/topic-cache.ts';
import { Message } from '../delivery/message.ts';
import {
  afterConfirmations,
  type ReceiverConfirmation,
} from '../delivery/receiver-confirmation.ts';
import { topicOf } from '../handlers/publish-topic.ts';
import { awaitRelease, isUndelivered, rememberConfirmations } from '../state/unreleased.ts';
import { packetFirstByte } from '../wire/acknowledgement.ts';
import { PublishFields, readPublish } from '../wire/publish.ts';
import { deliverLocally, deliverToGroup } from './local-delivery.ts';
import { splitOrigin } from './message-origin.ts';
import type { PeerSession } from './peer-session.ts';
import type { RetainedDistribution } from './retained-distribution.ts';

/** The fields of the packet that is being handled. They are read before other code runs. */
const fields = new PublishFields();

export function onPeerPublish(
  distribution: RetainedDistribution,
  client: ClientConnection,
  session: PeerSession,
  bytes: Buffer,
  start: number,
  body: number,
  end: number,
): void {
  readPublish(bytes, start, body, end, true, fields, 'forwarded');
  const { qos, packetId, retain } = fields;
  const { store } = client.context;
  const topic = topicOf(client, bytes, fields);
  if (qos === 2 && isKnown(session, packetId)) {
    acknowledge(client, qos, packetId, true, session.unconfirmed?.get(packetId));
    return;
  }
  if (qos !== 0 && store.stalled !== undefined) {
    // A negative acknowledgement would remove it from the queue of the other partition.
    client.close('store-stalled');
    return;
  }
  updateRoute(client, topic);
  client.reader.delivered(topic.route.targets.length);
  const isShared = (fields.properties?.subscriptionIdentifiers ?? 0) > 0;
  if (retain && !isShared) onRetained(distribution, client, session, topic, bytes);
  else {
    const message = liveMessage(client, topic.topic, bytes, start);
    const isExpired = message.expired(client.context.clock.now());
    const stored = !isExpired && deliver(session, topic, message);
    accept(client, session, qos, packetId, stored);
  }
  if (store.congested) client.reader.pause(pauseReasons.store);
}

/** @returns whether the message was put in the store */
function deliver(session: PeerSession, { route }: CachedTopic, message: Message): boolean {
  const { subscriptionIdentifier = -1, subscriptionIdentifiers = 0 } = fields.properties ?? {};
  if (subscriptionIdentifiers === 0) return deliverLocally(message, route, undefined, true);
  return deliverToGroup(
    message,
    route,
    subscriptionIdentifier,
    session,
    subscriptionIdentifiers > 1,
  );
}

/** Whether a QoS 2 message was handled and waits for PUBREL. */
function isKnown(session: PeerSession, packetId: number): boolean {
  return session.awaitingPubrel?.has(packetId) === true && !isUndelivered(session, packetId);
}

function onRetained(
  distribution: RetainedDistribution,
  client: ClientConnection,
  session: PeerSession,
  { topic, route }: CachedTopic,
  bytes: Buffer,
): void {
  const { qos, packetId, payloadStart, payloadEnd, properties } = fields;
  const { origin, rest } = splitOrigin(properties?.forward);
  const message = new Message(topic, origin.qos, true, origin.clientId);
  message.setPayload(bytes, payloadStart, payloadEnd);
  message.setProperties(rest, expiryOf(client));
  if (!distribution.owns(topic)) {
    distribution.apply(message, origin, route, undefined, true);
    accept(client, session, qos, packetId, true);
  } else if (distribution.hasRoomFor(message)) {
    const { confirmations } = distribution.order(message, origin, route, undefined);
    accept(client, session, qos, packetId, true, confirmations);
  } else {
    // It is sent again over the next link.
    client.close('store-full');
  }
}

/** A message was handled: acknowledges it, after the confirmations if there are any. */
function accept(
  client: ClientConnection,
  session: PeerSession,
  qos: 0 | 1 | 2,
  packetId: number,
  stored: boolean,
  confirmations?: readonly ReceiverConfirmation[],
): void {
  if (qos === 0) return;
  if (qos === 2) {
    const { context } = client;
    awaitRelease(context, session, packetId);
    context.store.putIncoming(session.clientId, packetId);
    rememberConfirmations(session, packetId, confirmations);
  }
  acknowledge(client, qos, packetId, stored || qos === 2, confirmations);
}

/** The acknowledgements of different messages are not ordered: otherwise partitions could wait for each other. */
function acknowledge(
  client: ClientConnection,
  qos: 1 | 2,
  packetId: number,
  stored: boolean,
  confirmations: readonly ReceiverConfirmation[] = [],
): void {
  const firstByte = qos === 1 ? packetFirstByte.puback : packetFirstByte.pubrec;
  if (confirmations.length === 0) {
    client.acknowledge(firstByte, packetId, 0, stored);
    return;
  }
  afterConfirmations(client.context.store, confirmations, (error) => {
    if (client.closed) return;
    if (error === undefined) client.acknowledge(firstByte, packetId, 0, false);
    else client.close(error.code);
  });
}

/** The route of a topic is cached for the version of the policy that it was computed with. */
function updateRoute({ context, host }: ClientConnection, topic: CachedTopic): void {
  const { version } = context.authorizer;
  if (topic.policyVersion === version && !topic.route.stale) return;
  topic.policyVersion = version;
  topic.route = host.publisher.route(topic.topic);
}

/** When the message of {@link fields} expires: wall clock in ms; 0: never. */
function expiryOf({ context }: ClientConnection): number {
  const messageExpiry = fields.properties?.messageExpiry ?? -1;
  return messageExpiry < 0 ? 0 : context.clock.now() + messageExpiry * 1000;
}

function liveMessage(
  client: ClientConnection,
  topic: string,
  bytes: Buffer,
  start: number,
): Message {
  const { qos, retain, payloadStart, payloadEnd, topicEnd, properties } = fields;
  const message = new Message(topic, qos, retain, undefined);
  message.setPayload(bytes, payloadStart, payloadEnd);
  if (properties === undefined) {
    const packetIdAt = qos === 0 ? 0 : topicEnd - start;
    message.setReceivedPacket(true, { bytes, start, end: payloadEnd, packetIdAt });
  } else message.setProperties(properties.forward, expiryOf(client));
  return message;
}
