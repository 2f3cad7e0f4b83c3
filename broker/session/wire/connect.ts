/**
 * A strict decoder of CONNECT.
 *
 * @module
 */
import type { Qos } from '../../store/session-store.ts';
import { malformed, ProtocolFault, protocolError } from './fault.ts';
import { PropertySet, readProperties } from './properties.ts';
import type { PacketReader } from './reader.ts';

export interface ConnectWill {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly properties: PropertySet;
}

export interface Connect {
  readonly version: 3 | 4 | 5;
  /** Clean Start (5.0) or Clean Session (3.1.1). */
  readonly clean: boolean;
  readonly keepAliveSeconds: number;
  readonly clientId: string;
  readonly properties: PropertySet;
  readonly will: ConnectWill | undefined;
  readonly userName: string | undefined;
  readonly password: Buffer | undefined;
}

const noProperties = new PropertySet();

/** Reads the protocol name and level: enough to answer a client whose version is not supported. */
export function readProtocol(reader: PacketReader): number {
  const name = reader.binary().toString('latin1');
  const level = reader.byte();
  if (name === 'MQIsdp') {
    if (level !== 3) throw new ProtocolFault('protocol-version-unsupported', `MQIsdp ${level}`);
    return level;
  }
  // [MQTT-3.1.2-1] another protocol name: not an MQTT client.
  if (name !== 'MQTT') throw malformed('[MQTT-3.1.2-1] the protocol name is not MQTT');
  if (level !== 4 && level !== 5) {
    throw new ProtocolFault('protocol-version-unsupported', `MQTT level ${level}`);
  }
  return level;
}

/**
 * Reads CONNECT after its protocol name and level.
 *
 * @throws ProtocolFault
 */
export function readConnect(reader: PacketReader, version: 3 | 4 | 5): Connect {
  const flags = reader.byte();
  if ((flags & 1) !== 0) throw malformed('[MQTT-3.1.2-3] the reserved connect flag is set');
  const hasWill = (flags & 4) !== 0;
  const qos = (flags >> 3) & 3;
  const willRetain = (flags & 0x20) !== 0;
  const hasPassword = (flags & 0x40) !== 0;
  const hasUser = (flags & 0x80) !== 0;
  if (qos === 3) throw malformed('[MQTT-3.1.2-12] will QoS 3');
  if (!hasWill && (qos !== 0 || willRetain)) {
    throw malformed('[MQTT-3.1.2-11] will QoS or will retain without a will');
  }
  if (hasPassword && !hasUser && version < 5) {
    throw malformed('[MQTT-3.1.2-22] a password without a user name');
  }
  const keepAliveSeconds = reader.uint16();
  const properties = version === 5 ? readProperties(reader, 'connect') : noProperties;
  if (
    properties.authenticationData !== undefined &&
    properties.authenticationMethod === undefined
  ) {
    throw protocolError('authentication data without a method');
  }
  const clientId = reader.text();
  const will = hasWill ? readWill(reader, version, qosOf(qos), willRetain) : undefined;
  // The identity comes from the certificate. User name and password are for plug-ins only.
  const userName = hasUser ? reader.text() : undefined;
  const password = hasPassword ? reader.binary() : undefined;
  reader.finish();
  return {
    version,
    clean: (flags & 2) !== 0,
    keepAliveSeconds,
    clientId,
    properties,
    will,
    userName,
    password,
  };
}

/**
 * The same CONNECT without views of the received bytes, which are valid only in this turn of the event loop: for
 * a CONNECT that waits for a plug-in.
 */
export function detachConnect(connect: Connect): Connect {
  const { will, password } = connect;
  if (will === undefined && password === undefined) return connect;
  const detached = {
    ...connect,
    password: password === undefined ? undefined : Buffer.from(password),
  };
  if (will === undefined) return detached;
  const { payload, properties } = will;
  if (properties.forward !== undefined) properties.forward = Buffer.from(properties.forward);
  return { ...detached, will: { ...will, payload: Buffer.from(payload) } };
}

function readWill(
  reader: PacketReader,
  version: 3 | 4 | 5,
  qos: Qos,
  retain: boolean,
): ConnectWill {
  const properties = version === 5 ? readProperties(reader, 'will') : noProperties;
  const topic = reader.text();
  // [MQTT-4.7.3-1], [MQTT-3.3.2-2]: not a topic name. On 3.1.1 such a CONNECT gets no CONNACK [MQTT-3.1.4-1].
  if (topic === '' || /[+#]/.test(topic)) {
    throw new ProtocolFault(
      'topic-name-invalid',
      `will topic ${JSON.stringify(topic.slice(0, 128))}`,
    );
  }
  const payload = reader.binary();
  return { topic, payload, qos, retain, properties };
}

function qosOf(bits: number): Qos {
  return bits === 0 ? 0 : bits === 1 ? 1 : 2;
}
