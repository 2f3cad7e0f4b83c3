/**
 * One published message and its encoded PUBLISH packets: at most one for each protocol family (3.1 and
 * 3.1.1, or 5.0), with and without packet id. Each receiver gets a copy in which packet id, QoS, DUP
 * and RETAIN are patched.
 *
 * A new message is a view into the bytes that were read from the socket. Code that keeps the message
 * longer than this turn of the event loop must call {@link Message.detach}.
 *
 * @module
 */
import type { Qos, StoredMessage } from '../../store/session-store.ts';
import { lengthBytes, writeLength } from '../wire/framer.ts';

/** An encoded PUBLISH packet: `bytes` from `start` to `end`. */
export interface EncodedPublish {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** The position of the packet id, counted from `start`; 0 if there is none (QoS 0). */
  readonly packetIdAt: number;
}

const variantsMax = 64;
const noBytes = Buffer.alloc(0);

export class Message {
  readonly topic: string;
  readonly qos: Qos;
  /** RETAIN as published. */
  readonly retain: boolean;
  /** The client id of the publisher; undefined for a message of the broker. */
  readonly publisher: string | undefined;
  #bytes: Buffer = noBytes;
  #payloadStart = 0;
  #payloadEnd = 0;
  #properties: Buffer | undefined = undefined;
  #expiresAtMs = 0;
  /** Whether the message has its own copy of the bytes. */
  #detached = false;
  #stored: StoredMessage | undefined = undefined;
  #variants: Map<string, EncodedPublish> | undefined = undefined;
  #v3: EncodedPublish | undefined = undefined;
  #v3WithPacketId: EncodedPublish | undefined = undefined;
  #v5: EncodedPublish | undefined = undefined;
  #v5WithPacketId: EncodedPublish | undefined = undefined;

  /** A message with an empty payload. The rest is set by methods: no options object is allocated. */
  constructor(topic: string, qos: Qos, retain: boolean, publisher: string | undefined) {
    this.topic = topic;
    this.qos = qos;
    this.retain = retain;
    this.publisher = publisher;
  }

  /** A message of the broker or of a plug-in. `like`: takes over its properties and publisher. */
  static from(
    topic: string,
    qos: Qos,
    retain: boolean,
    payload: string | Buffer,
    like?: Message,
  ): Message {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    const message = new Message(topic, qos, retain, like?.publisher);
    message.setPayload(bytes, 0, bytes.length);
    if (like !== undefined) message.setProperties(like.properties, like.expiresAtMs);
    return message;
  }

  /** A message from the store. It has its own bytes. */
  static fromStored(stored: StoredMessage): Message {
    const { topic, qos, retain, publisher, payload, properties, expiresAtMs = 0 } = stored;
    const message = new Message(topic, qos, retain, publisher);
    message.setPayload(payload, 0, payload.length);
    message.setProperties(properties, expiresAtMs);
    message.#detached = true;
    message.#stored = stored;
    return message;
  }

  /** Sets the payload: `bytes` from `start` to `end`, not copied. */
  setPayload(bytes: Buffer, start: number, end: number): void {
    this.#bytes = bytes;
    this.#payloadStart = start;
    this.#payloadEnd = end;
  }

  /**
   * Sets the MQTT 5.0 properties.
   *
   * @param properties those that are forwarded unchanged, encoded, without their length
   * @param expiresAtMs wall clock in ms; 0: never
   */
  setProperties(properties: Buffer | undefined, expiresAtMs: number): void {
    this.#properties = properties;
    this.#expiresAtMs = expiresAtMs;
  }

  /**
   * Sets the received packet as the encoding for receivers of the same protocol family and QoS, so that
   * it is forwarded without a copy. Valid only without RETAIN and properties.
   */
  setReceivedPacket(isMqtt5: boolean, packet: EncodedPublish): void {
    if (isMqtt5) {
      if (this.qos === 0) this.#v5 = packet;
      else this.#v5WithPacketId = packet;
    } else if (this.qos === 0) this.#v3 = packet;
    else this.#v3WithPacketId = packet;
  }

  /** The properties that are forwarded unchanged, encoded, without their length. */
  get properties(): Buffer | undefined {
    return this.#properties;
  }

  /** Wall clock in ms; 0: never. */
  get expiresAtMs(): number {
    return this.#expiresAtMs;
  }

  get payloadBytes(): number {
    return this.#payloadEnd - this.#payloadStart;
  }

  /** A view, not a copy. */
  get payload(): Buffer {
    return this.#bytes.subarray(this.#payloadStart, this.#payloadEnd);
  }

  /** Copies the bytes out of the read buffer, so that the message does not keep that buffer alive. */
  detach(): void {
    if (this.#detached) return;
    this.#detached = true;
    const bytes = Buffer.allocUnsafeSlow(this.payloadBytes);
    this.#bytes.copy(bytes, 0, this.#payloadStart, this.#payloadEnd);
    this.setPayload(bytes, 0, bytes.length);
    if (this.#properties !== undefined) this.#properties = Buffer.from(this.#properties);
    this.#variants = undefined;
    this.#v3 = this.#v3WithPacketId = this.#v5 = this.#v5WithPacketId = undefined;
  }

  /** The form for the store. Always the same object, so that it is stored once for all receivers. */
  toStored(nowMs: number): StoredMessage {
    return (this.#stored ??= {
      topic: this.topic,
      payload: this.payload,
      qos: this.qos,
      retain: this.retain,
      properties: this.#properties,
      expiresAtMs: this.#expiresAtMs === 0 ? undefined : this.#expiresAtMs,
      createdAtMs: nowMs,
      publisher: this.publisher,
    });
  }

  /**
   * The packet that all receivers of one protocol family can share: without subscription identifiers,
   * topic alias and expiry interval.
   */
  encodedForAll(isMqtt5: boolean, withPacketId: boolean): EncodedPublish {
    if (isMqtt5) {
      return withPacketId
        ? (this.#v5WithPacketId ??= this.encode(true, true, this.#properties, undefined))
        : (this.#v5 ??= this.encode(true, false, this.#properties, undefined));
    }
    return withPacketId
      ? (this.#v3WithPacketId ??= this.encode(false, true, undefined, undefined))
      : (this.#v3 ??= this.encode(false, false, undefined, undefined));
  }

  /**
   * The MQTT 5.0 packet for receivers with these subscription identifiers and this remaining expiry
   * interval. It is encoded once for all receivers that have the same.
   */
  encodedFor(
    withPacketId: boolean,
    expirySeconds: number | undefined,
    identifiers: readonly number[],
  ): EncodedPublish {
    const key = `${withPacketId ? 1 : 0}|${expirySeconds ?? ''}|${identifiers.join()}`;
    this.#variants ??= new Map();
    let encoded = this.#variants.get(key);
    if (encoded === undefined) {
      const properties = deliveryProperties(this, expirySeconds, identifiers, 0);
      encoded = this.encode(true, withPacketId, properties);
      if (this.#variants.size < variantsMax) this.#variants.set(key, encoded);
    }
    return encoded;
  }

  /**
   * Encodes a new packet. Its fixed header has QoS 0 or 1, no DUP and no RETAIN.
   *
   * @param topic empty if a topic alias replaces it
   */
  encode(
    isMqtt5: boolean,
    withPacketId: boolean,
    properties: Buffer | undefined,
    topic: string = this.topic,
  ): EncodedPublish {
    const topicBytes = Buffer.byteLength(topic);
    const propertyBytes = properties?.length ?? 0;
    const size =
      2 +
      topicBytes +
      (withPacketId ? 2 : 0) +
      (isMqtt5 ? lengthBytes(propertyBytes) + propertyBytes : 0) +
      this.payloadBytes;
    const bytes = Buffer.allocUnsafe(1 + lengthBytes(size) + size);
    bytes[0] = withPacketId ? 0x32 : 0x30;
    let at = writeLength(bytes, 1, size);
    bytes[at++] = topicBytes >>> 8;
    bytes[at++] = topicBytes & 0xff;
    at += bytes.write(topic, at, topicBytes, 'utf8');
    let packetIdAt = 0;
    if (withPacketId) {
      packetIdAt = at;
      at += 2;
    }
    if (isMqtt5) {
      at = writeLength(bytes, at, propertyBytes);
      if (properties !== undefined) at += properties.copy(bytes, at);
    }
    this.#bytes.copy(bytes, at, this.#payloadStart, this.#payloadEnd);
    return { bytes, start: 0, end: bytes.length, packetIdAt };
  }

  /** The seconds until it expires, rounded up; undefined if it never expires. */
  expiryLeftSeconds(nowMs: number): number | undefined {
    if (this.#expiresAtMs === 0) return undefined;
    return Math.max(0, Math.ceil((this.#expiresAtMs - nowMs) / 1000));
  }

  expired(nowMs: number): boolean {
    return this.#expiresAtMs !== 0 && this.#expiresAtMs <= nowMs;
  }
}

/**
 * The properties of one MQTT 5.0 delivery: the forwarded ones, the remaining expiry interval
 * [MQTT-3.3.2-6], the subscription identifiers [MQTT-3.3.4-3], -4, -5, and a topic alias.
 *
 * @param alias 0: no topic alias
 */
export function deliveryProperties(
  message: Message,
  expirySeconds: number | undefined,
  identifiers: readonly number[],
  alias: number,
): Buffer | undefined {
  const forwarded = message.properties;
  let size =
    (forwarded?.length ?? 0) + (expirySeconds === undefined ? 0 : 5) + (alias === 0 ? 0 : 3);
  for (const identifier of identifiers) size += 1 + lengthBytes(identifier);
  if (size === 0) return undefined;
  const bytes = Buffer.allocUnsafe(size);
  let at = forwarded?.copy(bytes) ?? 0;
  if (expirySeconds !== undefined) {
    bytes[at] = 0x02;
    at = bytes.writeUInt32BE(expirySeconds, at + 1);
  }
  for (const identifier of identifiers) {
    bytes[at] = 0x0b;
    at = writeLength(bytes, at + 1, identifier);
  }
  if (alias !== 0) {
    bytes[at] = 0x23;
    bytes.writeUInt16BE(alias, at + 1);
  }
  return bytes;
}
