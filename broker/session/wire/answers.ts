/**
 * The packets that a server writes seldom: CONNACK, SUBACK, UNSUBACK, DISCONNECT. Encoded by
 * mqtt-packet, the codec of the Aedes family.
 *
 * @module
 */
import { generate, writeToStream, type IConnackPacket } from 'mqtt-packet';

// Without this the codec makes 65,536 small buffers at its first packet.
writeToStream.cacheNumbers = false;

export type ConnackProperties = NonNullable<IConnackPacket['properties']>;

/** CONNACK. `code` is a return code on 3.1.1, a reason code on 5.0. */
export function connack(
  version: number,
  code: number,
  sessionPresent: boolean,
  properties: ConnackProperties = {},
): Buffer {
  if (version < 5) return Buffer.from([0x20, 2, sessionPresent ? 1 : 0, code]);
  return generate(
    { cmd: 'connack', reasonCode: code, sessionPresent, properties },
    { protocolVersion: 5 },
  );
}

/** SUBACK: one code a topic filter, in order [MQTT-3.8.4-6]. */
export function suback(version: number, packetId: number, codes: readonly number[]): Buffer {
  return generate(
    { cmd: 'suback', messageId: packetId, granted: [...codes] },
    { protocolVersion: version },
  );
}

/** UNSUBACK; 3.1.1 carries no codes. */
export function unsuback(version: number, packetId: number, codes: readonly number[]): Buffer {
  return generate(
    { cmd: 'unsuback', messageId: packetId, granted: version === 5 ? [...codes] : [] },
    { protocolVersion: version },
  );
}

/** DISCONNECT by the server: 5.0 only. */
export function disconnect(reasonCode: number, reasonString: string | undefined): Buffer {
  return generate(
    {
      cmd: 'disconnect',
      reasonCode,
      ...(reasonString === undefined ? {} : { properties: { reasonString } }),
    },
    { protocolVersion: 5 },
  );
}

export const pingresp = Buffer.from([0xd0, 0]);
