/**
 * The answers to CONNECT, SUBSCRIBE and UNSUBSCRIBE, and DISCONNECT. Those with properties are encoded by mqtt-packet,
 * the codec of Aedes.
 *
 * @module
 */
import { generate, writeToStream, type IConnackPacket } from 'mqtt-packet';
import { catalogue, type ErrorCode } from '../../../core/errors/catalogue.ts';
import { lengthBytes, writeLength } from './framer.ts';
import { reasonOf } from './reasons.ts';

// By default, the codec allocates 65,536 small buffers for its first packet.
writeToStream.cacheNumbers = false;

export type ConnackProperties = NonNullable<IConnackPacket['properties']>;

/** CONNACK. `code` is a return code for 3.1.1 and a reason code for 5.0. */
export function connack(
  version: number,
  code: number,
  sessionPresent: boolean,
  properties: ConnackProperties = {},
): Buffer {
  // In 3.1 there is no Session Present: the byte is reserved.
  if (version < 5) return Buffer.from([0x20, 2, version === 4 && sessionPresent ? 1 : 0, code]);
  return generate(
    { cmd: 'connack', reasonCode: code, sessionPresent, properties },
    { protocolVersion: 5 },
  );
}

/** SUBACK: one code for each topic filter, in order [MQTT-3.8.4-6]. */
export function suback(version: number, packetId: number, codes: readonly number[]): Buffer {
  return codesPacket(0x90, version, packetId, codes);
}

/** UNSUBACK. 3.1.1 has no codes in it. */
export function unsuback(version: number, packetId: number, codes: readonly number[]): Buffer {
  return codesPacket(0xb0, version, packetId, version === 5 ? codes : []);
}

/** A packet id, for 5.0 no properties, and codes. Not encoded by mqtt-packet, because clients send many of these requests. */
function codesPacket(
  firstByte: number,
  version: number,
  packetId: number,
  codes: readonly number[],
): Buffer {
  const size = 2 + (version === 5 ? 1 : 0) + codes.length;
  const bytes = Buffer.allocUnsafe(1 + lengthBytes(size) + size);
  bytes[0] = firstByte;
  let at = bytes.writeUInt16BE(packetId, writeLength(bytes, 1, size));
  if (version === 5) bytes[at++] = 0;
  for (const code of codes) bytes[at++] = code;
  return bytes;
}

/**
 * DISCONNECT of the server, 5.0 only.
 *
 * @param packetMaxBytes the client's Maximum Packet Size; 0: no limit. If the packet would be larger,
 *   the reason string is left out [MQTT-3.14.2-3]
 * @returns undefined for a code without a reason code: the network failed, nobody can be notified
 */
export function disconnectFor(
  code: ErrorCode,
  reasonString: string | undefined,
  packetMaxBytes: number,
): Buffer | undefined {
  if ((catalogue[code].mqtt5 ?? 0) < 0x80) return undefined;
  const reasonCode = reasonOf(code, 'disconnect');
  const packet = disconnect(reasonCode, reasonString);
  return packetMaxBytes === 0 || packet.length <= packetMaxBytes
    ? packet
    : disconnect(reasonCode, undefined);
}

function disconnect(reasonCode: number, reasonString: string | undefined): Buffer {
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
