/**
 * One published message on its way to its receivers, and its bytes on the wire: encoded at most once
 * a protocol family (3.1 and 3.1.1, or 5.0), with and without packet id. The packet id, the QoS, DUP
 * and RETAIN are patched into the copy that each receiver gets.
 *
 * A message begins as a view into what was read. Who keeps it beyond the turn calls {@link Message.detach}.
 *
 * @module
 */
import type { Qos, StoredMessage } from '../../store/session-store.ts';
import { lengthBytes, writeLength } from '../wire/framer.ts';

/** A PUBLISH packet ready to leave, from `start` to `end`. */
export interface Encoded {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** Where the packet id stands, counted from `start`; 0 when there is none (QoS 0). */
  readonly idAt: number;
}

const variantsMax = 64;

export class Message {
  readonly topic: string;
  readonly qos: Qos;
  /** RETAIN as published. */
  readonly retain: boolean;
  /** Properties that travel unchanged, encoded, without their length. */
  properties: Buffer | undefined;
  /** Wall clock in ms; 0: never. */
  readonly expiresAtMs: number;
  /** Client id; undefined when the broker itself published. */
  readonly publisher: string | undefined;
  #bytes: Buffer;
  #payloadStart: number;
  #payloadEnd: number;
  #detached: boolean;
  #stored: StoredMessage | undefined = undefined;
  #variants: Map<string, Encoded> | undefined = undefined;
  // The encodings: 3.1.1 without and with packet id, 5.0 without and with.
  v3: Encoded | undefined = undefined;
  v3WithPacketId: Encoded | undefined = undefined;
  v5: Encoded | undefined = undefined;
  v5WithPacketId: Encoded | undefined = undefined;

  /** `bytes` from `payloadStart` to `payloadEnd` is the payload. */
  constructor(
    topic: string,
    qos: Qos,
    retain: boolean,
    bytes: Buffer,
    payloadStart: number,
    payloadEnd: number,
    properties: Buffer | undefined,
    expiresAtMs: number,
    publisher: string | undefined,
  ) {
    this.topic = topic;
    this.qos = qos;
    this.retain = retain;
    this.#bytes = bytes;
    this.#payloadStart = payloadStart;
    this.#payloadEnd = payloadEnd;
    this.properties = properties;
    this.expiresAtMs = expiresAtMs;
    this.publisher = publisher;
    this.#detached = false;
  }

  /** A message that did not come off a connection: of the broker itself, or of a plug-in. */
  static from(
    topic: string,
    qos: Qos,
    retain: boolean,
    payload: string | Buffer,
    like?: Message,
  ): Message {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    const { properties, expiresAtMs = 0, publisher } = like ?? {};
    const end = bytes.length;
    return new Message(topic, qos, retain, bytes, 0, end, properties, expiresAtMs, publisher);
  }

  /** A message out of the store. Its bytes are its own. */
  static fromStored(toStored: StoredMessage): Message {
    const message = new Message(
      toStored.topic,
      toStored.qos,
      toStored.retain,
      toStored.payload,
      0,
      toStored.payload.length,
      toStored.properties,
      toStored.expiresAtMs ?? 0,
      toStored.publisher,
    );
    message.#detached = true;
    message.#stored = toStored;
    return message;
  }

  get payloadBytes(): number {
    return this.#payloadEnd - this.#payloadStart;
  }

  /** A view. */
  get payload(): Buffer {
    return this.#bytes.subarray(this.#payloadStart, this.#payloadEnd);
  }

  /** Lets go of the read chunk: from now on the message pins no more than itself. */
  detach(): void {
    if (this.#detached) return;
    this.#detached = true;
    const bytes = Buffer.allocUnsafeSlow(this.payloadBytes);
    this.#bytes.copy(bytes, 0, this.#payloadStart, this.#payloadEnd);
    this.#payloadEnd -= this.#payloadStart;
    this.#payloadStart = 0;
    this.#bytes = bytes;
    if (this.properties !== undefined) this.properties = Buffer.from(this.properties);
    this.#variants = undefined;
    this.v3 = this.v3WithPacketId = this.v5 = this.v5WithPacketId = undefined;
  }

  /** As the store takes it; always the same object, so that it is stored once for all receivers. */
  stored(nowMs: number): StoredMessage {
    return (this.#stored ??= {
      topic: this.topic,
      payload: this.payload,
      qos: this.qos,
      retain: this.retain,
      properties: this.properties,
      expiresAtMs: this.expiresAtMs === 0 ? undefined : this.expiresAtMs,
      createdAtMs: nowMs,
      publisher: this.publisher,
    });
  }

  /**
   * Its bytes for a receiver of protocol family 5 or not, with room for a packet id or not. What is
   * shared: no subscription identifiers, no alias. Expiry only when there is none.
   */
  sharedEncoding(isMqtt5: boolean, numbered: boolean): Encoded {
    if (isMqtt5) {
      return numbered
        ? (this.v5WithPacketId ??= this.encode(true, true, this.properties, undefined))
        : (this.v5 ??= this.encode(true, false, this.properties, undefined));
    }
    return numbered
      ? (this.v3WithPacketId ??= this.encode(false, true, undefined, undefined))
      : (this.v3 ??= this.encode(false, false, undefined, undefined));
  }

  /**
   * Its bytes for receivers of 5.0 with what only some of them get: subscription identifiers, what is
   * left of the expiry interval. Encoded once for all who get the same.
   */
  variant(
    numbered: boolean,
    expirySeconds: number | undefined,
    identifiers: readonly number[],
  ): Encoded {
    const key = `${numbered ? 1 : 0}|${expirySeconds ?? ''}|${identifiers.join()}`;
    this.#variants ??= new Map();
    let encoded = this.#variants.get(key);
    if (encoded === undefined) {
      const properties = deliveryProperties(this, expirySeconds, identifiers, 0);
      encoded = this.encode(true, numbered, properties);
      if (this.#variants.size < variantsMax) this.#variants.set(key, encoded);
    }
    return encoded;
  }

  /**
   * Encodes anew; the fixed header says QoS 0 or 1, no DUP, no RETAIN.
   *
   * @param topic what stands in the topic's place: empty when an alias says it
   */
  encode(
    isMqtt5: boolean,
    numbered: boolean,
    properties: Buffer | undefined,
    topic: string = this.topic,
  ): Encoded {
    const topicBytes = Buffer.byteLength(topic);
    const propertyBytes = properties?.length ?? 0;
    const size =
      2 +
      topicBytes +
      (numbered ? 2 : 0) +
      (isMqtt5 ? lengthBytes(propertyBytes) + propertyBytes : 0) +
      this.payloadBytes;
    const bytes = Buffer.allocUnsafe(1 + lengthBytes(size) + size);
    bytes[0] = numbered ? 0x32 : 0x30;
    let at = writeLength(bytes, 1, size);
    bytes[at++] = topicBytes >>> 8;
    bytes[at++] = topicBytes & 0xff;
    at += bytes.write(topic, at, topicBytes, 'utf8');
    let idAt = 0;
    if (numbered) {
      idAt = at;
      at += 2;
    }
    if (isMqtt5) {
      at = writeLength(bytes, at, propertyBytes);
      if (properties !== undefined) at += properties.copy(bytes, at);
    }
    this.#bytes.copy(bytes, at, this.#payloadStart, this.#payloadEnd);
    return { bytes, start: 0, end: bytes.length, idAt };
  }

  /** Seconds left of its life, rounded up; undefined when it never expires. */
  expiryLeftSeconds(nowMs: number): number | undefined {
    if (this.expiresAtMs === 0) return undefined;
    return Math.max(0, Math.ceil((this.expiresAtMs - nowMs) / 1000));
  }

  expired(nowMs: number): boolean {
    return this.expiresAtMs !== 0 && this.expiresAtMs <= nowMs;
  }
}

/**
 * The properties of one delivery on 5.0: those that travel, then what is left of the expiry interval
 * [MQTT-3.3.2-6], the subscription identifiers [MQTT-3.3.4-3], -4, -5, and a topic alias.
 */
export function deliveryProperties(
  message: Message,
  expirySeconds: number | undefined,
  identifiers: readonly number[],
  alias: number,
): Buffer | undefined {
  const travels = message.properties;
  let size = (travels?.length ?? 0) + (expirySeconds === undefined ? 0 : 5) + (alias === 0 ? 0 : 3);
  for (const identifier of identifiers) size += 1 + lengthBytes(identifier);
  if (size === 0) return undefined;
  const bytes = Buffer.allocUnsafe(size);
  let at = travels?.copy(bytes) ?? 0;
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
