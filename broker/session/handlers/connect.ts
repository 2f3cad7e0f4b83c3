/**
 * CONNECT: who, which session, with which will; answered by CONNACK.
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
import { neverExpires } from '../state/session.ts';
import type { OpenRequest } from '../state/session-registry.ts';
import { connack, type ConnackProperties } from '../wire/answers.ts';
import { readConnect, readProtocol, type Connect, type ConnectWill } from '../wire/connect.ts';
import { ProtocolFault, protocolError } from '../wire/fault.ts';
import { isUtf8Payload } from '../wire/properties.ts';
import { PacketReader } from '../wire/reader.ts';
import { reasonOf } from '../wire/reasons.ts';

/** Takes the first packet of a connection [MQTT-3.1.0-1]. */
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
    // [MQTT-3.1.2-2]: in the words that the client is likely to understand.
    const isMqtt5 = (bytes[reader.at - 1] ?? 0) > 5;
    reject(client, isMqtt5 ? 5 : 4, error.code, error.message);
    return;
  }
  const version = level === 3 ? 3 : level === 4 ? 4 : 5;
  client.setVersion(version);
  let connect: Connect;
  try {
    connect = readConnect(reader, version);
  } catch (error) {
    // 5.0 may be told why [MQTT-4.13.1-1]; 3.1.1 has no return code for it: the connection closes.
    if (!(error instanceof ProtocolFault) || version < 5) throw error;
    reject(client, version, error.code, error.message);
    return;
  }
  client.packetOutMaxBytes = Math.max(0, connect.properties.maximumPacketSize);
  client.problemInformation = connect.properties.requestProblemInformation !== 0;
  const clientId = connect.clientId === '' ? assignedId(client, connect) : connect.clientId;
  const fault = rejectionOf(client, connect, clientId);
  if (fault !== undefined) {
    reject(client, version, fault.code, fault.detail);
    return;
  }
  const { hooks } = client.context;
  if (hooks.preConnect === undefined && hooks.authenticate === undefined) {
    accept(client, connect, clientId);
    return;
  }
  runConnectHook(client, connect, clientId, (allowed) => {
    // While the plug-in thought, others may have come.
    const late = allowed
      ? rejectionOf(client, connect, clientId)
      : { code: 'plug-in-refused' as const, detail: '' };
    if (late === undefined) accept(client, connect, clientId);
    else reject(client, version, late.code, late.detail);
  });
}

interface Rejection {
  readonly code: ErrorCode;
  readonly detail: string;
}

/** The rules of the protocol, then the policy's. Undefined: welcome. */
function rejectionOf(
  client: ClientConnection,
  connect: Connect,
  clientId: string,
): Rejection | undefined {
  const { authorizer } = client.context;
  const { identity } = client;
  if (connect.properties.authenticationMethod !== undefined) {
    return { code: 'authentication-method-unsupported', detail: '' }; // [MQTT-4.12.0-1]
  }
  if (clientId === '') return { code: 'client-id-missing', detail: '' }; // [MQTT-3.1.3-8]
  const named = `client id ${JSON.stringify(clientId.slice(0, 128))}`;
  const verdict = authorizer.connect(identity, clientId);
  if (!verdict.allowed) return { code: verdict.code, detail: named };
  // A live session of somebody else is not to be taken, whatever the policy says of client ids.
  const owner = client.host.sessions.get(clientId)?.owner;
  if (owner !== undefined && owner.identity.id !== identity.id) {
    return { code: 'client-id-not-allowed', detail: named };
  }
  const others = client.host
    .connectionsOf(identity.id)
    .filter((other) => other.clientId !== undefined && other.clientId !== clientId);
  if (others.length >= authorizer.limits(identity).connectionsMax) {
    return { code: 'device-connections-too-many', detail: named };
  }
  return connect.will === undefined ? undefined : willRejection(client, connect.will);
}

/** A will that would be refused as a publish is refused here, at CONNECT. */
function willRejection(client: ClientConnection, will: ConnectWill): Rejection | undefined {
  const { authorizer, limits } = client.context;
  const { topic, qos, retain, payload, properties } = will;
  const { topicMaxBytes, topicLevelsMax } = limits;
  // [MQTT-4.7.3-1], [MQTT-3.1.3-11]: as for any topic name.
  const fault = topicNameFault(topic, { maxBytes: topicMaxBytes, levelsMax: topicLevelsMax });
  if (fault !== undefined) return { code: 'topic-name-invalid', detail: `will topic: ${fault}` };
  if (properties.payloadFormat === 1 && !isUtf8Payload(payload)) {
    return { code: 'payload-format-invalid', detail: 'will payload' };
  }
  const verdict = authorizer.publish(client.identity, topic, qos, retain, payload.length);
  return verdict.allowed
    ? undefined
    : { code: verdict.code, detail: `will topic ${JSON.stringify(topic.slice(0, 128))}` };
}

/**
 * The id for a client that sends none: one of its own if the policy lets it have suffixes, else the
 * device's, unless a session has it [MQTT-3.2.2-16]. Empty when there is none to give; on 3.1.1 with
 * Clean Session 0 none may be given [MQTT-3.1.3-8].
 */
function assignedId(client: ClientConnection, connect: Connect): string {
  if (connect.version < 5 && !connect.clean) return '';
  const { identity } = client;
  const own = `${identity.id}/${randomBytes(8).toString('hex')}`;
  if (client.context.authorizer.connect(identity, own).allowed) return own;
  return client.host.sessions.get(identity.id) === undefined ? identity.id : '';
}

function accept(client: ClientConnection, connect: Connect, clientId: string): void {
  const { host, identity } = client;
  const { limits, authorizer, events } = host.context;
  const { properties, version } = connect;
  const own = authorizer.limits(identity);
  const expiryMax = Math.min(limits.sessionExpiryMaxSeconds, own.sessionExpiryMaxSeconds);
  const asked =
    version === 5 ? Math.max(0, properties.sessionExpiry) : connect.clean ? 0 : neverExpires;
  const expirySeconds = Math.min(asked, expiryMax);
  const keepAlive = keepAliveOf(connect, limits.keepAliveMaxSeconds);
  const receiveMax = Math.max(1, Math.min(limits.inflightInMax, own.inflightMax));
  const clientMax = properties.receiveMaximum < 0 ? 65_535 : properties.receiveMaximum;
  const window = Math.max(1, Math.min(limits.inflightOutMax, own.inflightMax, clientMax));
  const request: OpenRequest = {
    clientId,
    clean: connect.clean,
    expirySeconds,
    version,
    will: willOf(client, connect, clientId),
  };
  client.keepAliveTimeoutMs = keepAlive * 1500;
  client.requestedExpirySeconds = asked;
  client.receiveMaximum = receiveMax;
  const outboundAliases = Math.min(properties.topicAliasMaximum, limits.topicAliasesMax);
  if (outboundAliases > 0) client.outboundAliases = new OutboundAliases(outboundAliases);
  const { session, present, stored } = host.sessions.open(client, identity, request);
  client.open(session, version);
  if (present) host.sessions.reauthorize(session);
  host.connectionAccepted(client);
  events.connected(client);
  const answer: ConnackProperties = {};
  if (version === 5) {
    // Capabilities are said when they differ from what their absence would mean.
    if (expirySeconds !== asked) answer.sessionExpiryInterval = expirySeconds;
    if (receiveMax < 65_535) answer.receiveMaximum = receiveMax;
    answer.maximumPacketSize = limits.packetMaxBytes;
    if (limits.topicAliasesMax > 0) answer.topicAliasMaximum = limits.topicAliasesMax;
    if (connect.clientId === '') answer.assignedClientIdentifier = clientId; // [MQTT-3.1.3-7]
    if (keepAlive !== connect.keepAliveSeconds) answer.serverKeepAlive = keepAlive;
    if (properties.requestResponseInformation === 1) {
      answer.responseInformation = `devices/${identity.id}/`;
    }
  }
  client.sendConnack(connack(version, 0, present, answer), stored);
  if (host.context.hooks.hasListeners.connackSent) emitConnack(client, 0, present);
  session.outbound.attach(client, window, session.kept);
}

/** Longer keep alives than the limit, and none, are cut to it: silence must end some time. */
function keepAliveOf(connect: Connect, maxSeconds: number): number {
  const { keepAliveSeconds, version } = connect;
  // 3.1.1 cannot be told: who asked for none there is not held to any.
  if (version < 5) return keepAliveSeconds;
  return keepAliveSeconds === 0 ? maxSeconds : Math.min(keepAliveSeconds, maxSeconds);
}

function willOf(client: ClientConnection, connect: Connect, clientId: string): OpenRequest['will'] {
  const { will } = connect;
  if (will === undefined) return undefined;
  const nowMs = client.context.clock.now();
  const { messageExpiry, willDelay, forward } = will.properties;
  return {
    message: {
      topic: will.topic,
      // The packet is one chunk that holds little else, but a copy pins nothing.
      payload: Buffer.from(will.payload),
      qos: will.qos,
      retain: will.retain,
      properties: forward === undefined ? undefined : Buffer.from(forward),
      // From creation to expiry is the interval; it runs when the will is published.
      expiresAtMs: messageExpiry < 0 ? undefined : nowMs + messageExpiry * 1000,
      createdAtMs: nowMs,
      publisher: clientId,
    },
    delaySeconds: Math.max(0, willDelay),
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
    const told = connack(5, reason, false, { reasonString });
    // [MQTT-3.2.2-19]: the words go before the packet is too large for the client.
    client.rejectConnect(fitsClient(client, told.length) ? told : connack(5, reason, false));
  } else {
    client.rejectConnect(connack(version, spec.mqtt3 ?? 5, false));
  }
}

/** A second CONNECT is a protocol error [MQTT-3.1.0-2]. */
export function onSecondConnect(): never {
  throw protocolError('[MQTT-3.1.0-2] a second CONNECT');
}
