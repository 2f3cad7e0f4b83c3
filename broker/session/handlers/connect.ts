/**
 * CONNECT: checks the client id, the will and the limits, opens the session, and sends CONNACK.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { catalogue, type ErrorCode } from '../../../core/errors/catalogue.ts';
import { topicNameFault } from '../../../core/topic.ts';
import { OutboundAliases } from '../delivery/topic-aliases.ts';
import type { ClientConnection } from '../connection/connection.ts';
import { fitsClient } from '../delivery/delivery-bytes.ts';
import { runConnectHook, emitConnack } from './plugin-hooks.ts';
import { isPeerId } from '../state/peer-id.ts';
import { neverExpires } from '../state/session.ts';
import type { AttachRequest } from '../state/session-registry.ts';
import { connack, type ConnackProperties } from '../wire/answers.ts';
import {
  detachConnect,
  readConnect,
  readProtocol,
  type Connect,
  type ConnectWill,
} from '../wire/connect.ts';
import { ProtocolFault, protocolError } from '../wire/fault.ts';
import { isUtf8Payload } from '../wire/properties.ts';
import { PacketReader } from '../wire/reader.ts';
import { reasonOf } from '../wire/reasons.ts';
import type { StoredMessage } from '../../store/session-store.ts';

/** The bit of the protocol level that a bridge of mosquitto sets (`try_private`). */
const bridgeBit = 0x80;

/** Handles the first packet of a connection [MQTT-3.1.0-1]. */
export function onConnect(
  client: ClientConnection,
  bytes: Buffer,
  body: number,
  end: number,
): void {
  const reader = new PacketReader(bytes, body, end);
  let level: number;
  try {
    level = readProtocol(reader);
  } catch (error) {
    if (!(error instanceof ProtocolFault) || error.code !== 'protocol-version-unsupported') {
      throw error;
    }
    // [MQTT-3.1.2-2]: CONNACK in the protocol version that the client is most likely to understand. A
    // bridge of mosquitto sets the top bit of its level; after return code 1 it connects without the bit.
    const isMqtt5 = ((bytes[reader.at - 1] ?? 0) & ~bridgeBit) >= 5;
    reject(client, isMqtt5 ? 5 : 4, error.code, error.message);
    return;
  }
  const version = level === 3 ? 3 : level === 4 ? 4 : 5;
  client.setVersion(version);
  let connect: Connect;
  try {
    connect = readConnect(reader, version);
  } catch (error) {
    // 5.0 gets a CONNACK with the reason [MQTT-4.13.1-1]. 3.1.1 has no return code for it: the connection is closed.
    if (!(error instanceof ProtocolFault) || version < 5) throw error;
    reject(client, version, error.code, error.message);
    return;
  }
  client.packetOutMaxBytes = Math.max(0, connect.properties.maximumPacketSize);
  client.problemInformation = connect.properties.requestProblemInformation !== 0;
  const clientId = connect.clientId === '' ? assignedId(client, connect) : connect.clientId;
  const rejection = rejectionOf(client, connect, clientId);
  if (rejection !== undefined) {
    reject(client, version, rejection.code, rejection.detail);
    return;
  }
  const { hooks } = client.context;
  if (hooks.preConnect === undefined && hooks.authenticate === undefined) {
    accept(client, connect, clientId);
    return;
  }
  const waiting = detachConnect(connect);
  runConnectHook(client, waiting, clientId, (allowed) => {
    // Other clients may have connected before the plug-in answered.
    const rejection = allowed
      ? rejectionOf(client, waiting, clientId)
      : { code: 'plug-in-refused' as const, detail: '' };
    if (rejection === undefined) accept(client, waiting, clientId);
    else reject(client, version, rejection.code, rejection.detail);
  });
}

interface Rejection {
  readonly code: ErrorCode;
  readonly detail: string;
}

/** @returns undefined if CONNECT is accepted */
function rejectionOf(
  client: ClientConnection,
  connect: Connect,
  clientId: string,
): Rejection | undefined {
  return (
    ruleRejection(client, connect, clientId) ??
    usageRejection(client, connect, clientId) ??
    roomRejection(client, connect, clientId)
  );
}

function detailOf(clientId: string): string {
  return `client id ${JSON.stringify(clientId.slice(0, 128))}`;
}

/** Checks the rules of the protocol, then those of the policy. */
function ruleRejection(
  client: ClientConnection,
  connect: Connect,
  clientId: string,
): Rejection | undefined {
  const { authorizer, store } = client.context;
  if (store.stalled !== undefined && mustStore(client, connect, clientId)) {
    return { code: 'store-stalled', detail: '' };
  }
  if (connect.properties.authenticationMethod !== undefined) {
    return { code: 'authentication-method-unsupported', detail: '' }; // [MQTT-4.12.0-1]
  }
  if (clientId === '') return { code: 'client-id-missing', detail: '' }; // [MQTT-3.1.3-8]
  if (isPeerId(clientId)) return { code: 'client-id-not-allowed', detail: detailOf(clientId) };
  const verdict = authorizer.connect(client.identity, clientId);
  return verdict.allowed ? undefined : { code: verdict.code, detail: detailOf(clientId) };
}

/** Checks what depends on the other sessions and connections. */
function usageRejection(
  { host, context, identity }: ClientConnection,
  connect: Connect,
  clientId: string,
): Rejection | undefined {
  const session = host.sessions.get(clientId);
  // The client sent no id, so that there is none to show.
  if (connect.clientId === '' && session !== undefined) {
    return { code: 'client-id-missing', detail: '' };
  }
  // A session that another identity is using is never taken over, whatever client ids the policy allows.
  const owner = session?.owner;
  if (owner !== undefined && owner.identity.id !== identity.id) {
    return { code: 'client-id-not-allowed', detail: detailOf(clientId) };
  }
  const others = host
    .connectionsOf(identity.id)
    .filter((other) => other.clientId !== undefined && other.clientId !== clientId);
  return others.length >= context.authorizer.limits(identity).connectionsMax
    ? { code: 'device-connections-too-many', detail: detailOf(clientId) }
    : undefined;
}

/** Checks whether there is room for the session and the will, and whether the will is allowed. */
function roomRejection(
  client: ClientConnection,
  connect: Connect,
  clientId: string,
): Rejection | undefined {
  if (isKept(connect) && !client.host.sessions.hasRoomFor(client.identity, clientId)) {
    return { code: 'sessions-too-many', detail: detailOf(clientId) };
  }
  return connect.will === undefined ? undefined : willRejection(client, connect.will, clientId);
}

/** Whether the client asks for a session that outlives its connection. */
function isKept({ clean, version, properties }: Connect): boolean {
  return version === 5 ? properties.sessionExpiry > 0 : !clean;
}

/** Whether CONNACK would have to wait for the store. */
function mustStore(client: ClientConnection, connect: Connect, clientId: string): boolean {
  return (
    isKept(connect) ||
    connect.will !== undefined ||
    client.host.sessions.get(clientId)?.kept === true
  );
}

/** A will that would be denied as a PUBLISH is rejected at CONNECT. */
function willRejection(
  client: ClientConnection,
  will: ConnectWill,
  clientId: string,
): Rejection | undefined {
  const { authorizer, limits, rooms } = client.context;
  const { topic, qos, retain, payload, properties } = will;
  const { topicMaxBytes, topicLevelsMax } = limits;
  // [MQTT-4.7.3-1], [MQTT-3.1.3-11]: the rules of any topic name.
  const fault = topicNameFault(topic, { maxBytes: topicMaxBytes, levelsMax: topicLevelsMax });
  if (fault !== undefined) return { code: 'topic-name-invalid', detail: `will topic: ${fault}` };
  if (properties.payloadFormat === 1 && !isUtf8Payload(payload)) {
    return { code: 'payload-format-invalid', detail: 'will payload' };
  }
  const verdict = authorizer.publish(client.identity, topic, qos, retain, payload.length);
  if (!verdict.allowed) {
    return { code: verdict.code, detail: `will topic ${JSON.stringify(topic.slice(0, 128))}` };
  }
  const replaced = client.host.sessions.get(clientId)?.will;
  const record = { message: willMessage(will, clientId, 0) };
  return rooms.hasRoomForWill(client.identity.id, record, replaced)
    ? undefined
    : { code: 'wills-too-large', detail: '' };
}

/**
 * The client id for a client that sends none: the device id with a random suffix if the policy allows
 * it, otherwise the device id, which is refused if a session uses it [MQTT-3.2.2-16]. Empty on
 * 3.1.1 with Clean Session 0, where none may be assigned [MQTT-3.1.3-8].
 */
function assignedId(client: ClientConnection, connect: Connect): string {
  if (connect.version < 5 && !connect.clean) return '';
  const { identity } = client;
  const suffixed = `${identity.id}/${randomBytes(8).toString('hex')}`;
  if (client.context.authorizer.connect(identity, suffixed).allowed) return suffixed;
  return identity.id;
}

function accept(client: ClientConnection, connect: Connect, clientId: string): void {
  const { host, identity } = client;
  const { limits, authorizer, events } = host.context;
  const { properties, version } = connect;
  const granted = authorizer.limits(identity);
  const expiryMax = Math.min(limits.sessionExpiryMaxSeconds, granted.sessionExpiryMaxSeconds);
  const requestedSeconds =
    version === 5 ? Math.max(0, properties.sessionExpiry) : connect.clean ? 0 : neverExpires;
  const expirySeconds = Math.min(requestedSeconds, expiryMax);
  const keepAlive = keepAliveOf(connect, limits.keepAliveMaxSeconds);
  const receiveMax = Math.max(1, Math.min(limits.inflightInMax, granted.inflightMax));
  const clientMax = properties.receiveMaximum < 0 ? 65_535 : properties.receiveMaximum;
  const window = Math.max(1, Math.min(limits.inflightOutMax, granted.inflightMax, clientMax));
  const request: AttachRequest = {
    clientId,
    clean: connect.clean,
    expirySeconds,
    version,
    will: willOf(client, connect, clientId),
  };
  client.keepAliveTimeoutMs = keepAlive * 1500;
  client.requestedExpirySeconds = requestedSeconds;
  client.receiveMaximum = receiveMax;
  const outboundAliases = Math.min(properties.topicAliasMaximum, limits.topicAliasesMax);
  if (outboundAliases > 0) client.outboundAliases = new OutboundAliases(outboundAliases);
  const { session, present, takesOver, stored } = host.sessions.attach(client, identity, request);
  client.open(session, version);
  if (present) host.sessions.reauthorize(session);
  host.connectionAccepted(client);
  events.connected(client, takesOver);
  const connackProperties: ConnackProperties = {};
  if (version === 5) {
    // A property is sent only if its value differs from the default of an absent property.
    if (expirySeconds !== requestedSeconds) connackProperties.sessionExpiryInterval = expirySeconds;
    if (receiveMax < 65_535) connackProperties.receiveMaximum = receiveMax;
    connackProperties.maximumPacketSize = limits.packetMaxBytes;
    if (limits.topicAliasesMax > 0) connackProperties.topicAliasMaximum = limits.topicAliasesMax;
    if (connect.clientId === '') connackProperties.assignedClientIdentifier = clientId; // [MQTT-3.1.3-7]
    if (keepAlive !== connect.keepAliveSeconds) connackProperties.serverKeepAlive = keepAlive;
    if (properties.requestResponseInformation === 1) {
      connackProperties.responseInformation = `devices/${identity.id}/`;
    }
  }
  client.sendConnack(connack(version, 0, present, connackProperties), stored);
  if (host.context.hooks.hasListeners.connackSent) emitConnack(client, 0, present);
  session.outbound.attach(client, window, session.kept);
}

/** A Keep Alive above the limit, and 0 (none), become the limit: a silent client must be disconnected. */
function keepAliveOf(connect: Connect, maxSeconds: number): number {
  const { keepAliveSeconds, version } = connect;
  // 3.1.1 has no Server Keep Alive: the client's value applies, even 0.
  if (version < 5) return keepAliveSeconds;
  return keepAliveSeconds === 0 ? maxSeconds : Math.min(keepAliveSeconds, maxSeconds);
}

function willOf(
  client: ClientConnection,
  connect: Connect,
  clientId: string,
): AttachRequest['will'] {
  const { will } = connect;
  if (will === undefined) return undefined;
  return {
    message: willMessage(will, clientId, client.context.clock.now()),
    delaySeconds: Math.max(0, will.properties.willDelay),
  };
}

function willMessage(will: ConnectWill, publisher: string, nowMs: number): StoredMessage {
  const { topic, payload, qos, retain, properties } = will;
  const { messageExpiry, forward } = properties;
  return {
    topic,
    // A copy, so that the read buffer is not kept alive.
    payload: Buffer.from(payload),
    qos,
    retain,
    properties: forward === undefined ? undefined : Buffer.from(forward),
    // The difference to `createdAtMs` is the expiry interval. It begins when the will is published.
    expiresAtMs: messageExpiry < 0 ? undefined : nowMs + messageExpiry * 1000,
    createdAtMs: nowMs,
    publisher,
  };
}

function reject(
  client: ClientConnection,
  version: 3 | 4 | 5,
  code: ErrorCode,
  detail: string,
): void {
  client.context.events.refused(client.identity, code, detail);
  const spec = catalogue[code];
  if (version === 5) {
    const reason = reasonOf(code, 'connack');
    const reasonString = detail === '' ? spec.title : `${spec.title}: ${detail}`;
    const packet = connack(5, reason, false, { reasonString });
    // [MQTT-3.2.2-19]: the reason string is left out if the client does not accept the size.
    client.rejectConnect(fitsClient(client, packet.length) ? packet : connack(5, reason, false));
  } else {
    client.rejectConnect(connack(version, spec.mqtt3 ?? 5, false));
  }
}

/** A second CONNECT is a protocol error [MQTT-3.1.0-2]. */
export function onSecondConnect(): never {
  throw protocolError('[MQTT-3.1.0-2] a second CONNECT');
}
