/**
 * MQTT packets of the light client. PUBLISH and its acknowledgements are encoded here, because they
 * are nearly all of the traffic; mqtt-packet encodes the others.
 *
 * @module
 */
import { generate, parser, writeToStream, type Packet } from 'mqtt-packet';
import type { LinkOptions } from './link.ts';

// The library caches a buffer for each of the 65,536 two-byte numbers: 9 MB in each worker, or 2 KB
// per device.
writeToStream.cacheNumbers = false;

/** A received PUBLISH. */
export interface Publish {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** 0 for QoS 0. */
  readonly messageId: number;
}

/** The largest packet that the light client accepts, in bytes. */
export const frameMaxBytes = 8 * 1024 * 1024;

/**
 * Returns the length of the packet at an offset, including the fixed header; 0 when more bytes are
 * needed to decode it, -1 when it is malformed or too large.
 */
export function frameBytes(chunk: Buffer, offset: number): number {
  let length = 0;
  let scale = 1;
  for (let at = offset + 1; at < offset + 5; at++) {
    const byte = chunk[at];
    if (byte === undefined) return 0;
    length += (byte & 0x7f) * scale;
    if (byte < 0x80) {
      const bytes = at - offset + 1 + length;
      return bytes > frameMaxBytes ? -1 : bytes;
    }
    scale *= 128;
  }
  return -1;
}

/** Decodes a complete PUBLISH; undefined when it is malformed. */
export function decodePublish(frame: Buffer, mqtt5: boolean): Publish | undefined {
  const flags = frame[0] ?? 0;
  const qos = (flags >> 1) & 3;
  if (qos === 3) return undefined;
  let at = 1;
  while ((frame[at] ?? 0) >= 0x80) at++;
  at++;
  if (at + 2 > frame.length) return undefined;
  const topicEnd = at + 2 + frame.readUInt16BE(at);
  if (topicEnd + (qos > 0 ? 2 : 0) > frame.length) return undefined;
  const topic = frame.toString('utf8', at + 2, topicEnd);
  at = topicEnd;
  let messageId = 0;
  if (qos > 0) {
    messageId = frame.readUInt16BE(at);
    at += 2;
  }
  if (mqtt5) {
    let length = 0;
    let scale = 1;
    for (;;) {
      const byte = frame[at++];
      if (byte === undefined) return undefined;
      length += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      scale *= 128;
    }
    at += length;
    if (at > frame.length) return undefined;
  }
  return {
    topic,
    payload: frame.subarray(at),
    qos: qos as 0 | 1 | 2,
    retain: (flags & 1) === 1,
    messageId,
  };
}

/** Encodes a PUBLISH. */
export function encodePublish(
  topic: string,
  payload: string,
  qos: 0 | 1 | 2,
  retain: boolean,
  dup: boolean,
  messageId: number,
  mqtt5: boolean,
): Buffer {
  const topicBytes = Buffer.byteLength(topic);
  const payloadBytes = Buffer.byteLength(payload);
  const length = 2 + topicBytes + (qos > 0 ? 2 : 0) + (mqtt5 ? 1 : 0) + payloadBytes;
  const lengthBytes = length < 128 ? 1 : length < 16_384 ? 2 : length < 2_097_152 ? 3 : 4;
  const frame = Buffer.allocUnsafe(1 + lengthBytes + length);
  frame[0] = 0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  let at = 1;
  for (let left = length, index = 0; index < lengthBytes; index++) {
    const digit = left % 128;
    left = Math.floor(left / 128);
    frame[at++] = left > 0 ? digit | 0x80 : digit;
  }
  at = frame.writeUInt16BE(topicBytes, at);
  at += frame.write(topic, at);
  if (qos > 0) at = frame.writeUInt16BE(messageId, at);
  if (mqtt5) frame[at++] = 0;
  frame.write(payload, at);
  return frame;
}

/** Encodes a successful PUBACK, PUBREC, PUBREL or PUBCOMP: four bytes in both versions. */
export function encodeAck(kind: 4 | 5 | 6 | 7, messageId: number): Buffer {
  const frame = Buffer.allocUnsafe(4);
  frame[0] = (kind << 4) | (kind === 6 ? 2 : 0);
  frame[1] = 2;
  frame.writeUInt16BE(messageId, 2);
  return frame;
}

/** The CONNECT of a link. */
export function connectPacket(options: LinkOptions): Packet {
  const { clientId, kept, keepAliveSeconds, sessionExpirySeconds, mqtt } = options;
  const mqtt5 = mqtt === '5.0';
  return {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: mqtt5 ? 5 : 4,
    clientId,
    clean: !kept,
    keepalive: keepAliveSeconds,
    ...(mqtt5 && kept ? { properties: { sessionExpiryInterval: sessionExpirySeconds } } : {}),
  };
}

/** Encodes any other packet. */
export function encodePacket(packet: Packet, mqtt5: boolean): Buffer {
  return generate(packet, { protocolVersion: mqtt5 ? 5 : 4 });
}

/** Decodes one complete packet of any other type; undefined when it is malformed. */
export function decodePacket(frame: Buffer, mqtt5: boolean): Packet | undefined {
  // These packets are rare, and a parser per device would cost memory.
  const reader = parser({ protocolVersion: mqtt5 ? 5 : 4 });
  let packet: Packet | undefined;
  reader.on('packet', (read) => {
    packet = read;
  });
  reader.on('error', () => undefined);
  reader.parse(frame);
  return packet;
}
