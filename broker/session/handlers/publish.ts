/**
 * PUBLISH from a client: the hot path. A topic that this connection used before costs one comparison of
 * bytes, and the message is the only object that is allocated.
 *
 * The packet is decoded first, then it is decided whether it is published; all effects follow.
 *
 * @module
 */
import type { ErrorCode } from '../../../core/errors/catalogue.ts';
import type { Route, Target } from '../../routing/topic-route.ts';
import type { Qos } from '../../store/session-store.ts';
import type { ClientConnection } from '../connection/connection.ts';
import { pauseReasons } from '../connection/connection-reader.ts';
import type { CachedTopic } from '../connection/topic-cache.ts';
import { UnconfirmedTopics } from '../connection/unconfirmed-topics.ts';
import type { ReceiverConfirmation } from '../delivery/receiver-confirmation.ts';
import { Message } from '../delivery/message.ts';
import type { Receiver } from '../delivery/receiver.ts';
import { awaitRelease, isUndelivered, rememberConfirmations } from '../state/unreleased.ts';
import type { Session } from '../state/session.ts';
import { packetFirstByte } from '../wire/acknowledgement.ts';
import { ProtocolFault } from '../wire/fault.ts';
import { isUtf8Payload } from '../wire/properties.ts';
import { PublishFields, readPublish } from '../wire/publish.ts';
import { reasonOf } from '../wire/reasons.ts';
import { runPublishHook } from './plugin-hooks.ts';
import { topicOf } from './publish-topic.ts';

const quotaExceeded = 0x97;
/** The share of the room for queues behind which nothing is accepted for other partitions. */
const queueUsedMax = 15 / 16;

/**
 * The fields of the packet that is being handled. Publishing it can run other code (a plug-in, the will
 * of another connection) that handles the next packet, so they are read before that.
 */
const fields = new PublishFields();

export function onPublish(
  client: ClientConnection,
  session: Session,
  bytes: Buffer,
  start: number,
  body: number,
  end: number,
): void {
  readPublish(bytes, start, body, end, client.isMqtt5, fields);
  const { context } = client;
  const { qos, packetId } = fields;
  context.counters.messagesIn[qos]++;
  if (client.rateLimit !== undefined) {
    const waitMs = client.rateLimit.message(context.clock.monotonicMs());
    if (waitMs > 0) client.reader.pauseFor(waitMs);
  }

  const topic = topicOf(client, bytes, fields);
  const rejection = rejectionOf(client, topic, bytes, fields);
  if (rejection !== undefined) {
    deny(client, session, topic.topic, qos, packetId, rejection);
    return;
  }
  if (qos !== 0) {
    // [MQTT-4.3.3-10], -11: a QoS 2 message that was sent again is acknowledged, not published again.
    if (qos === 2 && isKnown(session, packetId)) {
      const confirmations = session.unconfirmed?.get(packetId);
      if (confirmations !== undefined && !client.awaitConfirmations(confirmations)) return;
      client.acknowledge(packetFirstByte.pubrec, packetId, 0, true);
      return;
    }
    const missing = missingRoom(client, session, topic.route, qos);
    if (missing !== undefined) {
      rejectWithoutRoom(client, topic.topic, qos, packetId, missing);
      return;
    }
    assertReceiveMaximum(client, session);
  }
  const message = messageOf(client, session, topic, bytes, start, fields);
  if (topic.isSystem && context.intercept(client.identity, topic.topic, copyOf(message.payload))) {
    acknowledgeIntercepted(client, session, qos, packetId);
    return;
  }
  if (context.hooks.authorizePublish !== undefined) {
    publishAfterHook(client, session, message, packetId);
    return;
  }
  publish(client, session, message, topic.route, qos, packetId);
}

/** Publishes a message that is allowed, and acknowledges it at the QoS that it was received with. */
function publish(
  client: ClientConnection,
  session: Session,
  message: Message,
  route: Route<Receiver>,
  qos: Qos,
  packetId: number,
): void {
  const { context } = client;
  const { unconfirmedTopics } = client;
  if (unconfirmedTopics !== undefined && !message.retain && unconfirmedTopics.has(message.topic)) {
    publishInOrder(client, session, message, qos, packetId, unconfirmedTopics);
    return;
  }
  const outcome = client.host.publisher.publish(message, route, session);
  const { stored, refusal, confirmations } = outcome;
  if (message.retain && confirmations !== undefined) {
    awaitRetained(client, message.topic, confirmations);
  }
  client.reader.delivered(route.targets.length);
  if (refusal !== undefined) context.events.dropped(client.identity, refusal, 1);
  if (qos === 0) return;
  const firstByte = acknowledgementOf(qos);
  if (refusal === undefined) rememberUntilPubrel(client, session, qos, packetId, confirmations);
  if (confirmations !== undefined && !client.awaitConfirmations(confirmations)) return;
  if (refusal !== undefined) {
    client.acknowledge(firstByte, packetId, quotaExceeded, stored);
    return;
  }
  client.acknowledge(firstByte, packetId, 0, stored || (qos === 2 && session.kept));
  if (stored && context.store.congested) client.reader.pause(pauseReasons.store);
}

/** Publishes a message when the retained ones before it with the same topic have reached all partitions. */
function publishInOrder(
  client: ClientConnection,
  session: Session,
  message: Message,
  qos: Qos,
  packetId: number,
  unconfirmedTopics: UnconfirmedTopics,
): void {
  const { topic } = message;
  message.detach();
  client.reader.pause(pauseReasons.order);
  unconfirmedTopics.whenConfirmed(topic, () => {
    client.reader.resumeWith(pauseReasons.order, () => {
      publish(client, session, message, client.host.publisher.route(topic), qos, packetId);
    });
  });
}

/** Other partitions must confirm a retained message. */
function awaitRetained(
  client: ClientConnection,
  topic: string,
  confirmations: readonly ReceiverConfirmation[],
): void {
  const topics = (client.unconfirmedTopics ??= new UnconfirmedTopics());
  topics.add(topic, confirmations);
  if (!topics.isFull) return;
  client.reader.pause(pauseReasons.retained);
  topics.whenRoom(() => client.reader.resume(pauseReasons.retained));
}

/** Whether a QoS 2 message was published and waits for PUBREL. */
function isKnown(session: Session, packetId: number): boolean {
  return session.awaitingPubrel?.has(packetId) === true && !isUndelivered(session, packetId);
}

function publishAfterHook(
  client: ClientConnection,
  session: Session,
  message: Message,
  packetId: number,
): void {
  const { qos, topic } = message;
  // A plug-in may answer later, when the bytes that were read are not valid any more.
  message.detach();
  runPublishHook(client, message, packetId, (allowed) => {
    if (allowed === undefined) {
      deny(client, session, topic, qos, packetId, 'plug-in-refused');
    } else {
      const route = client.host.publisher.route(allowed.topic);
      publish(client, session, allowed, route, qos, packetId);
    }
  });
}

/** The broker itself handles the message: it is acknowledged and not routed. */
function acknowledgeIntercepted(
  client: ClientConnection,
  session: Session,
  qos: Qos,
  packetId: number,
): void {
  if (qos === 0) return;
  rememberUntilPubrel(client, session, qos, packetId);
  client.acknowledge(acknowledgementOf(qos), packetId, 0, qos === 2);
}

/** The first byte of the packet that acknowledges a PUBLISH. */
function acknowledgementOf(qos: 1 | 2): number {
  return qos === 1 ? packetFirstByte.puback : packetFirstByte.pubrec;
}

/** QoS 2: the packet id is stored until PUBREL [MQTT-4.3.3-9]. */
function rememberUntilPubrel(
  client: ClientConnection,
  session: Session,
  qos: Qos,
  packetId: number,
  confirmations?: readonly ReceiverConfirmation[],
): void {
  if (qos !== 2) return;
  awaitRelease(client.context, session, packetId);
  if (!session.kept) return;
  client.context.store.putIncoming(session.clientId, packetId);
  rememberConfirmations(session, packetId, confirmations);
}

/**
 * [MQTT-3.3.4-7] a 5.0 client must not have more messages in flight than our Receive Maximum. Before 5.0
 * there is none, and each PUBLISH must be acknowledged [MQTT-4.3.3-2]: the 65,535 packet ids limit it.
 */
function assertReceiveMaximum(client: ClientConnection, session: Session): void {
  if (!client.isMqtt5) return;
  const { unreleased, pubacksPending, receiveMaximum } = client;
  // Section 4.9: messages that an earlier connection sent are not counted.
  const inFlight = (session.awaitingPubrel?.size ?? 0) - (unreleased?.size ?? 0) + pubacksPending;
  if (inFlight < receiveMaximum) return;
  throw new ProtocolFault(
    'receive-maximum-exceeded',
    `[MQTT-3.3.4-7] more than ${receiveMaximum} publishes in flight`,
  );
}

function messageOf(
  client: ClientConnection,
  session: Session,
  topic: CachedTopic,
  bytes: Buffer,
  start: number,
  { qos, retain, payloadStart, payloadEnd, topicEnd, properties }: PublishFields,
): Message {
  if (topic.route.stale) topic.route = client.host.publisher.route(topic.topic);
  const message = new Message(topic.topic, qos, retain, session.clientId);
  message.setPayload(bytes, payloadStart, payloadEnd);
  if (properties !== undefined) {
    const { forward, messageExpiry } = properties;
    const expiresAtMs = messageExpiry < 0 ? 0 : client.context.clock.now() + messageExpiry * 1000;
    message.setProperties(forward, expiresAtMs);
  } else if (!retain) {
    // The received packet is what receivers of the same protocol family and QoS get.
    const packetIdAt = qos === 0 ? 0 : topicEnd - start;
    message.setReceivedPacket(client.isMqtt5, { bytes, start, end: payloadEnd, packetIdAt });
  }
  return message;
}

/**
 * Decides whether the client may publish this packet. A decision of the policy is cached with the
 * topic.
 *
 * @returns why not; undefined if it may
 */
function rejectionOf(
  client: ClientConnection,
  topic: CachedTopic,
  bytes: Buffer,
  { qos, retain, payloadStart, payloadEnd, properties }: PublishFields,
): ErrorCode | undefined {
  const { authorizer } = client.context;
  if (topic.policyVersion !== authorizer.version) {
    topic.policyVersion = authorizer.version;
    topic.allowedBytes = -1;
    topic.route = client.host.publisher.route(topic.topic);
  }
  const payloadBytes = payloadEnd - payloadStart;
  if (payloadBytes > topic.allowedBytes) {
    const verdict = authorizer.publish(client.identity, topic.topic, qos, retain, payloadBytes);
    if (!verdict.allowed) return verdict.code;
    if (verdict.always === true) topic.allowedBytes = payloadBytes;
  }
  return properties?.payloadFormat === 1 && !isUtf8Payload(bytes.subarray(payloadStart, payloadEnd))
    ? 'payload-format-invalid'
    : undefined;
}

/**
 * Why a message of QoS 1 or 2 cannot be taken: the disk is full, too many messages wait for another partition, or too
 * many wait for PUBREL.
 */
function missingRoom(
  { context }: ClientConnection,
  session: Session,
  route: Route<Receiver>,
  qos: 1 | 2,
): 'store-stalled' | 'store-full' | 'memory-share-used' | undefined {
  if (context.store.stalled !== undefined) return 'store-stalled';
  if (context.announce !== undefined && isForFullPartition(context, route)) return 'store-full';
  return qos === 1 || context.rooms.hasRoomForUnreleased(session.identityId)
    ? undefined
    : 'memory-share-used';
}

/** A partition that is away must not cost messages that were acknowledged: before the store is full, they are refused. */
function isForFullPartition(
  { store, limits }: ClientConnection['context'],
  { targets, shared }: Route<Receiver>,
): boolean {
  const { queuedMessages, queuedBytes } = store.statistics;
  const hasRoom =
    queuedMessages < limits.queuedTotalMaxMessages * queueUsedMax &&
    queuedBytes < limits.queuedTotalMaxBytes * queueUsedMax;
  if (hasRoom) return false;
  const isPartition = ({ subscriber }: Target<Receiver>): boolean =>
    subscriber.isPartition === true;
  return targets.some(isPartition) || shared.some(({ members }) => members.some(isPartition));
}

/**
 * A message that would have to be stored is not published. 3.1.1 has no negative acknowledgement, so that
 * the connection closes; the client sends the message again.
 */
function rejectWithoutRoom(
  client: ClientConnection,
  topic: string,
  qos: 1 | 2,
  packetId: number,
  code: ErrorCode,
): void {
  client.context.events.denied(client.identity, 'publish', topic, code);
  if (client.isMqtt5) {
    client.acknowledge(acknowledgementOf(qos), packetId, quotaExceeded, false);
  } else {
    client.close(code);
  }
}

/** Reports a denied PUBLISH, and acknowledges it or closes the connection. */
function deny(
  client: ClientConnection,
  session: Session,
  topic: string,
  qos: Qos,
  packetId: number,
  code: ErrorCode,
): void {
  const { events, authorizer } = client.context;
  events.denied(client.identity, 'publish', topic, code);
  if (client.isMqtt5) {
    // [MQTT-3.3.5-2]: the acknowledgement has the reason; the connection stays open.
    if (qos === 0) return;
    client.acknowledge(acknowledgementOf(qos), packetId, reasonOf(code, 'publish'), false);
    return;
  }
  // 3.1.1 has no negative acknowledgement [MQTT-3.3.5-2]: acknowledge and drop, or close.
  if (authorizer.onDenied === 'close') {
    client.close(code);
    return;
  }
  if (qos === 0) return;
  if (qos === 2 && !client.context.rooms.hasRoomForUnreleased(session.identityId)) {
    client.close('memory-share-used');
    return;
  }
  rememberUntilPubrel(client, session, qos, packetId);
  client.acknowledge(acknowledgementOf(qos), packetId, 0, qos === 2 && session.kept);
}

function copyOf(bytes: Buffer): Buffer {
  return Buffer.from(bytes);
}
