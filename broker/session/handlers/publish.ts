/**
 * PUBLISH from a client: the hot path. A topic that this connection used before costs a comparison of
 * bytes; no object is made but the message.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer';
import type { ErrorCode } from '../../../core/errors/catalogue.ts';
import { topicNameFault } from '../../../core/topic.ts';
import type { Route } from '../../routing/topic-route.ts';
import type { Qos } from '../../store/session-store.ts';
import { pauseReasons, type ClientConnection } from '../connection/connection.ts';
import { Message } from '../delivery/message.ts';
import { runPublishHook } from './plugin-hooks.ts';
import type { Receiver } from '../delivery/receiver.ts';
import type { Session } from '../state/session.ts';
import { CachedTopic, TopicCache } from '../connection/topic-cache.ts';
import { packetFirstByte } from '../wire/acknowledgement.ts';
import { malformed, ProtocolFault, protocolError } from '../wire/fault.ts';
import { isUtf8Payload, readProperties, type PropertySet } from '../wire/properties.ts';
import { PacketReader } from '../wire/reader.ts';
import { reasonOf } from '../wire/reasons.ts';

export function onPublish(
  client: ClientConnection,
  session: Session,
  bytes: Buffer,
  start: number,
  body: number,
  end: number,
): void {
  const { host, isMqtt5 } = client;
  const { context, publisher } = host;
  const header = bytes[start] ?? 0;
  const qosBits = (header >> 1) & 3;
  // [MQTT-3.3.1-4] and [MQTT-3.3.1-2].
  if (qosBits === 3) throw malformed('[MQTT-3.3.1-4] both QoS bits are set');
  if (qosBits === 0 && (header & 8) !== 0) throw malformed('[MQTT-3.3.1-2] DUP with QoS 0');
  const qos: Qos = qosBits === 0 ? 0 : qosBits === 1 ? 1 : 2;
  const retain = (header & 1) !== 0;

  // [MQTT-3.3.2-1] the topic name stands first.
  const topicStart = body + 2;
  if (topicStart > end) throw malformed('PUBLISH ends before its topic');
  const topicEnd = topicStart + (((bytes[body] ?? 0) << 8) | (bytes[body + 1] ?? 0));
  let at = topicEnd;
  let packetId = 0;
  if (qos > 0) {
    packetId = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    at += 2;
  }
  if (at > end) throw malformed('PUBLISH ends before its topic does');
  // [MQTT-2.2.1-3] (3.1.1: [MQTT-2.3.1-1]).
  if (qos > 0 && packetId === 0) throw protocolError('[MQTT-2.2.1-3] packet identifier 0');

  let properties: PropertySet | undefined;
  if (isMqtt5) {
    if (at >= end) throw malformed('PUBLISH ends before its properties');
    if (bytes[at] === 0) {
      at++;
    } else {
      const reader = new PacketReader(bytes, at, end);
      properties = readProperties(reader, 'publish');
      ({ at } = reader);
    }
  }
  context.counters.messagesIn[qos]++;
  if (client.rateLimit !== undefined) {
    const waitMs = client.rateLimit.message(context.clock.monotonicMs());
    if (waitMs > 0) client.pauseFor(waitMs);
  }

  const known =
    properties === undefined || properties.topicAlias < 0
      ? topicOf(client, bytes, topicStart, topicEnd)
      : aliasedTopic(client, properties.topicAlias, bytes, topicStart, topicEnd);

  const payloadBytes = end - at;
  const denied = refusal(client, known, qos, retain, payloadBytes);
  if (denied !== undefined) {
    deny(client, session, known.topic, qos, packetId, denied);
    return;
  }

  if (properties?.payloadFormat === 1 && !isUtf8Payload(bytes.subarray(at, end))) {
    deny(client, session, known.topic, qos, packetId, 'payload-format-invalid');
    return;
  }

  // [MQTT-4.3.3-10], -11: known packet id, same message: acknowledged again, not published again.
  if (qos === 2 && session.incoming?.has(packetId) === true) {
    client.acknowledge(packetFirstByte.pubrec, packetId, 0, true);
    return;
  }
  if (qos > 0) countInflight(client, session, qos);

  if (
    known.isSystem &&
    context.intercept(client.identity, known.topic, Buffer.from(bytes.subarray(at, end)))
  ) {
    remember(client, session, qos, packetId);
    if (qos > 0)
      client.acknowledge(
        qos === 1 ? packetFirstByte.puback : packetFirstByte.pubrec,
        packetId,
        0,
        qos === 2,
      );
    return;
  }

  if (known.route.stale) known.route = publisher.route(known.topic);
  const message = new Message(
    known.topic,
    qos,
    retain,
    bytes,
    at,
    end,
    properties?.forward,
    properties === undefined || properties.messageExpiry < 0
      ? 0
      : context.clock.now() + properties.messageExpiry * 1000,
    session.clientId,
  );
  if (properties === undefined && !retain) {
    // The frame as it came is the frame as it goes: for receivers of the same family and QoS.
    const frame = {
      bytes,
      start,
      end,
      idAt: qos === 0 ? 0 : topicEnd - start,
    };
    if (isMqtt5) {
      if (qos === 0) message.v5 = frame;
      else message.v5WithPacketId = frame;
    } else if (qos === 0) message.v3 = frame;
    else message.v3WithPacketId = frame;
  }
  if (context.hooks.authorizePublish !== undefined) {
    runPublishHook(client, message, packetId, (allowed) => {
      if (allowed === undefined) {
        deny(client, session, message.topic, qos, packetId, 'plug-in-refused');
      } else {
        route(client, session, allowed, publisher.route(allowed.topic), qos, packetId);
      }
    });
    return;
  }
  route(client, session, message, known.route, qos, packetId);
}

/** Everything allows it: it is routed, and acknowledged at the QoS that it came with. */
function route(
  client: ClientConnection,
  session: Session,
  message: Message,
  targets: Route<Receiver>,
  qos: Qos,
  packetId: number,
): void {
  const { context, publisher } = client.host;
  const kept = publisher.publish(message, targets, session);
  if (qos === 0) {
    if (!kept) context.events.dropped(client.identity, 'retained-full', 1);
    return;
  }
  const gated = publisher.touched;
  if (!kept) {
    context.events.dropped(client.identity, 'retained-full', 1);
    if (qos === 1) client.acknowledge(packetFirstByte.puback, packetId, 0x97, gated);
    else client.acknowledge(packetFirstByte.pubrec, packetId, 0x97, gated);
    return;
  }
  remember(client, session, qos, packetId);
  client.acknowledge(
    qos === 1 ? packetFirstByte.puback : packetFirstByte.pubrec,
    packetId,
    0,
    gated || (qos === 2 && session.kept),
  );
  if (gated && context.store.congested) client.pause(pauseReasons.store);
}

/** QoS 2: the packet id is remembered until PUBREL [MQTT-4.3.3-9]. */
function remember(client: ClientConnection, session: Session, qos: Qos, packetId: number): void {
  if (qos !== 2) return;
  (session.incoming ??= new Set()).add(packetId);
  if (session.kept) client.host.context.store.putIncoming(session.clientId, packetId);
}

/** [MQTT-3.3.4-7] the client must not have more in flight than our Receive Maximum. */
function countInflight(client: ClientConnection, session: Session, qos: Qos): void {
  const inFlight = (session.incoming?.size ?? 0) + (client.isMqtt5 ? client.pubacksPending : 0);
  if (inFlight < client.receiveMaximum) return;
  // 3.1.1 knows no such window: only what must be remembered (QoS 2) is bounded there.
  if (client.isMqtt5 || qos === 2) {
    throw new ProtocolFault(
      'receive-maximum-exceeded',
      `[MQTT-3.3.4-7] more than ${client.receiveMaximum} publishes in flight`,
    );
  }
}

/** The topic whose name stands in the packet. @throws ProtocolFault */
function topicOf(client: ClientConnection, bytes: Buffer, start: number, end: number): CachedTopic {
  const memory = (client.topicCache ??= new TopicCache());
  const known = memory.find(bytes, start, end);
  if (known !== undefined) return known;
  const raw = Buffer.from(bytes.subarray(start, end));
  // [MQTT-1.5.4-1], [MQTT-1.5.4-2]: not by topicNameFault: decoding would have hidden it.
  if (!isUtf8(raw)) throw malformed('[MQTT-1.5.4-1] ill-formed UTF-8 in the topic');
  if (raw.includes(0)) throw malformed('[MQTT-1.5.4-2] U+0000 in the topic');
  if (raw.length === 0 && client.isMqtt5) {
    throw protocolError('[MQTT-3.3.2-8] a zero length topic without an alias');
  }
  const topic = raw.toString('utf8');
  const { topicMaxBytes, topicLevelsMax } = client.host.context.limits;
  const fault = topicNameFault(topic, { maxBytes: topicMaxBytes, levelsMax: topicLevelsMax });
  // [MQTT-3.3.2-2] no wildcards; [MQTT-4.7.3-1] not empty.
  if (fault !== undefined) throw new ProtocolFault('topic-name-invalid', `the topic is ${fault}`);
  const fresh = new CachedTopic(topic, raw, client.host.publisher.route(topic));
  memory.add(fresh);
  return fresh;
}

/** [MQTT-3.3.2-7] to -11: an alias with a name sets it, an alias alone stands for what it was set to. */
function aliasedTopic(
  client: ClientConnection,
  alias: number,
  bytes: Buffer,
  start: number,
  end: number,
): CachedTopic {
  if (alias === 0 || alias > client.host.context.limits.topicAliasesMax) {
    throw new ProtocolFault('topic-alias-invalid', `[MQTT-3.3.2-9] topic alias ${alias}`);
  }
  if (end > start) {
    const known = topicOf(client, bytes, start, end);
    (client.inboundAliases ??= [])[alias] = known.topic;
    return known;
  }
  const topic = client.inboundAliases?.[alias];
  if (topic === undefined) {
    // A Protocol Error by 3.3.2.3.4: an alias that nothing was ever said for.
    throw protocolError(`[MQTT-3.3.2-8] topic alias ${alias} stands for nothing`);
  }
  const raw = Buffer.from(topic);
  return topicOf(client, raw, 0, raw.length);
}

/** Undefined: allowed. A decision that was made before is not made again. */
function refusal(
  client: ClientConnection,
  known: CachedTopic,
  qos: Qos,
  retain: boolean,
  payloadBytes: number,
): ErrorCode | undefined {
  const { authorizer } = client.host.context;
  if (known.policyVersion !== authorizer.version) {
    known.policyVersion = authorizer.version;
    known.allowedBytes = -1;
    known.route = client.host.publisher.route(known.topic);
  }
  if (payloadBytes <= known.allowedBytes) return undefined;
  const verdict = authorizer.publish(client.identity, known.topic, qos, retain, payloadBytes);
  if (!verdict.allowed) return verdict.code;
  if (verdict.always === true) known.allowedBytes = payloadBytes;
  return undefined;
}

function deny(
  client: ClientConnection,
  session: Session,
  topic: string,
  qos: Qos,
  packetId: number,
  code: ErrorCode,
): void {
  const { events, authorizer } = client.host.context;
  events.denied(client.identity, 'publish', topic, code);
  if (client.isMqtt5) {
    // [MQTT-3.3.5-2]: said in the acknowledgement; the connection stays.
    const reason = reasonOf(code, 'publish');
    if (qos === 1) client.acknowledge(packetFirstByte.puback, packetId, reason, false);
    if (qos === 2) client.acknowledge(packetFirstByte.pubrec, packetId, reason, false);
    return;
  }
  // 3.1.1 has no negative answer [MQTT-3.3.5-2]: acknowledge and drop, or close.
  if (authorizer.onDenied === 'close') {
    client.close(code);
    return;
  }
  if (qos === 1) client.acknowledge(packetFirstByte.puback, packetId, 0, false);
  if (qos === 2) {
    remember(client, session, qos, packetId);
    client.acknowledge(packetFirstByte.pubrec, packetId, 0, session.kept);
  }
}
