/**
 * A published message as one node sends it to another: the MQTT PUBLISH packet, as it was received where possible,
 * and in front of it what the packet does not say.
 *
 * | bytes | content |
 * |---|---|
 * | 1 | flags: 1: the packet is one of MQTT 5.0; 2: there is a publisher; 4: the message expires |
 * | 2 and n | the length of the publisher's client id, and the id; only with flag 2 |
 * | 6 | when the message expires, in ms since 1970; only with flag 4 |
 * | the rest | the PUBLISH packet; its packet id is 1 |
 *
 * @module
 */
import { isUtf8 } from 'node:buffer';
import { topicNameFault } from '../../core/topic.ts';
import { Message, type EncodedPublish } from '../session/delivery/message.ts';
import { ProtocolFault } from '../session/wire/fault.ts';
import { PublishFields, readPublish } from '../session/wire/publish.ts';
import type { Qos } from '../store/session-store.ts';
import type { BatchRecord } from './record-buffer.ts';

const isMqtt5Flag = 1;
const hasPublisherFlag = 2;
const expiresFlag = 4;
const expiryBytes = 6;

/** One object for all messages, so that none is allocated for each of them. */
export class MessageRecord implements BatchRecord {
  bytes = 0;
  #flags = 0;
  #publisher = '';
  #publisherBytes = 0;
  #expiresAtMs = 0;
  #firstByte = 0;
  #packet: EncodedPublish | undefined = undefined;

  /** @param qos the QoS at which the other node gets it, not higher than that of the message */
  set(message: Message, qos: Qos): this {
    const { publisher, expiresAtMs, properties } = message;
    const isMqtt5 = properties !== undefined;
    const packet = message.encodedForAll(isMqtt5, qos > 0);
    this.#packet = packet;
    this.#publisher = publisher ?? '';
    this.#publisherBytes = publisher === undefined ? 0 : Buffer.byteLength(publisher);
    this.#expiresAtMs = expiresAtMs;
    this.#firstByte = 0x30 | (qos << 1) | (message.retain ? 1 : 0);
    this.#flags =
      (isMqtt5 ? isMqtt5Flag : 0) |
      (publisher === undefined ? 0 : hasPublisherFlag) |
      (expiresAtMs === 0 ? 0 : expiresFlag);
    this.bytes =
      1 +
      (publisher === undefined ? 0 : 2 + this.#publisherBytes) +
      (expiresAtMs === 0 ? 0 : expiryBytes) +
      (packet.end - packet.start);
    return this;
  }

  copyTo(target: Buffer, start: number): void {
    const packet = this.#packet;
    if (packet === undefined) return;
    let at = start;
    target[at++] = this.#flags;
    if ((this.#flags & hasPublisherFlag) !== 0) {
      at = target.writeUInt16BE(this.#publisherBytes, at);
      at += target.write(this.#publisher, at, this.#publisherBytes, 'utf8');
    }
    if ((this.#flags & expiresFlag) !== 0) at = target.writeUIntBE(this.#expiresAtMs, at, 6);
    packet.bytes.copy(target, at, packet.start, packet.end);
    target[at] = this.#firstByte;
    if (packet.packetIdAt !== 0) target.writeUInt16BE(1, at + packet.packetIdAt);
    // The packet is not kept alive.
    this.#packet = undefined;
  }
}

/** A message that another node has sent: it goes to sessions of this node only. */
export class RemoteMessage extends Message {}

const fields = new PublishFields();

/**
 * Passes the messages of a batch to `take`, in order. They are views into `records`.
 *
 * @returns false if the rest cannot be decoded: it is ignored
 */
export function readMessageRecords(
  records: Buffer,
  take: (message: RemoteMessage) => void,
): boolean {
  let at = 0;
  try {
    while (at < records.length) {
      const end = readRecord(records, at, take);
      if (end === undefined) return false;
      at = end;
    }
    return true;
  } catch (error) {
    if (error instanceof ProtocolFault || error instanceof RangeError) return false;
    throw error;
  }
}

/** @returns the position behind the record; undefined if it is not one */
function readRecord(
  bytes: Buffer,
  start: number,
  take: (message: RemoteMessage) => void,
): number | undefined {
  let at = start;
  const flags = bytes[at++] ?? 0;
  if (flags > (isMqtt5Flag | hasPublisherFlag | expiresFlag)) return undefined;
  let publisher: string | undefined;
  if ((flags & hasPublisherFlag) !== 0) {
    const length = bytes.readUInt16BE(at);
    publisher = bytes.toString('utf8', at + 2, at + 2 + length);
    at += 2 + length;
  }
  let expiresAtMs = 0;
  if ((flags & expiresFlag) !== 0) {
    expiresAtMs = bytes.readUIntBE(at, expiryBytes);
    at += expiryBytes;
  }
  const packetStart = at++;
  if ((bytes[packetStart] ?? 0) >> 4 !== 3) return undefined;
  let remaining = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes.readUInt8(at++);
    remaining |= (byte & 127) << shift;
    if (byte < 128) break;
    if (shift === 21) return undefined;
  }
  const end = at + remaining;
  if (end > bytes.length) return undefined;
  const isMqtt5 = (flags & isMqtt5Flag) !== 0;
  readPublish(bytes, packetStart, at, end, isMqtt5, fields);
  const message = messageOf(bytes, publisher);
  if (message === undefined) return undefined;
  const { properties, qos, retain, topicEnd } = fields;
  if (properties !== undefined || expiresAtMs > 0) {
    message.setProperties(properties?.forward, expiresAtMs);
  }
  if (properties === undefined && !retain) {
    const packetIdAt = qos === 0 ? 0 : topicEnd - packetStart;
    message.setReceivedPacket(isMqtt5, { bytes, start: packetStart, end, packetIdAt });
  }
  take(message);
  return end;
}

/** @returns undefined if the topic is not a topic name */
function messageOf(bytes: Buffer, publisher: string | undefined): RemoteMessage | undefined {
  const { qos, retain, topicStart, topicEnd, payloadStart, payloadEnd } = fields;
  const name = bytes.subarray(topicStart, topicEnd);
  if (!isUtf8(name)) return undefined;
  const topic = name.toString('utf8');
  // The node of the publisher has checked the configured limits.
  if (topicNameFault(topic, { maxBytes: 65_535, levelsMax: 65_535 }) !== undefined)
    return undefined;
  const message = new RemoteMessage(topic, qos, retain, publisher);
  message.setPayload(bytes, payloadStart, payloadEnd);
  return message;
}
