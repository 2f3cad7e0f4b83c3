/**
 * The binary format of mutations on their way to the writing thread, and of messages in the database.
 * A batch is one flat buffer that is transferred without a copy. Numbers are little-endian; a text is its
 * length in bytes (u32) followed by UTF-8.
 *
 * | operation | fields |
 * |---|---|
 * | putSession | session u32, client text, identity text, version u8, expiry u32, disconnectedAt f64 (NaN: connected), identityCreatedAt f64 (NaN: not known) |
 * | deleteSession | session u32 |
 * | putSubscription | session u32, filter text, options u8, identifier u32 |
 * | deleteSubscription | session u32, filter text |
 * | body | mode u8, row f64, message (length u32, bytes) |
 * | deleteBody | row f64 |
 * | enqueue | state u8, packet id u16, row f64, session u32, sequence f64, flags u8, bytes u32, count u16, identifiers u32 each |
 * | mark | sequence f64, packet id u16 |
 * | release | sequence f64, bytes u32 |
 * | dequeue | sequence f64 |
 * | putIncoming, deleteIncoming | session u32, packet id u16 |
 * | putRetained | topic text, message |
 * | deleteRetained | topic text |
 * | putWill | client text, identity text, delay u32, dueAt f64 (NaN: not yet), identityCreatedAt f64 (NaN: not known), fingerprint text (empty: not known), message |
 * | deleteWill | client text |
 *
 * @module
 */
import type { Qos, StoredMessage, SubscriptionRecord } from './session-store.ts';

export const operation = {
  putSession: 1,
  deleteSession: 2,
  putSubscription: 3,
  deleteSubscription: 4,
  body: 5,
  deleteBody: 6,
  enqueue: 7,
  cancelledEnqueue: 8,
  mark: 9,
  release: 10,
  dequeue: 11,
  putIncoming: 12,
  deleteIncoming: 13,
  putRetained: 14,
  deleteRetained: 15,
  putWill: 16,
  deleteWill: 17,
} as const;

/** Where a body is written: nowhere (no entry needs it), in its only entry, or in a row of its own. */
export const bodyMode = { none: 0, inline: 1, shared: 2 } as const;

/** Positions of fields in an encoded enqueue operation, counted from its first byte. */
export const enqueueOffset = { state: 1, packetId: 2, row: 4, bytes: 25 } as const;

/** Queue states as numbers. */
export const stateNumber = { queued: 0, sent: 1, released: 2 } as const;
export const stateNames = ['queued', 'sent', 'released'] as const;

const hasProperties = 8;
const hasExpiry = 16;
const hasPublisher = 32;

/** Encodes into a buffer that grows. */
export class BatchWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(capacityBytes: number) {
    this.#buffer = Buffer.allocUnsafeSlow(capacityBytes);
  }

  get length(): number {
    return this.#length;
  }

  /** The encoded data. The caller owns the memory and may transfer it. */
  take(): Uint8Array<ArrayBuffer> {
    const { buffer } = this.#buffer;
    if (!(buffer instanceof ArrayBuffer)) throw new TypeError('the memory cannot be transferred');
    return new Uint8Array(buffer, 0, this.#length);
  }

  u8(value: number): void {
    this.#ensure(1);
    this.#buffer[this.#length] = value;
    this.#length += 1;
  }

  u16(value: number): void {
    this.#ensure(2);
    this.#length = this.#buffer.writeUInt16LE(value, this.#length);
  }

  u32(value: number): void {
    this.#ensure(4);
    this.#length = this.#buffer.writeUInt32LE(value, this.#length);
  }

  f64(value: number): void {
    this.#ensure(8);
    this.#length = this.#buffer.writeDoubleLE(value, this.#length);
  }

  text(value: string): void {
    this.#ensure(4 + value.length * 3);
    const bytes = this.#buffer.write(value, this.#length + 4, 'utf8');
    this.#buffer.writeUInt32LE(bytes, this.#length);
    this.#length += 4 + bytes;
  }

  bytes(value: Uint8Array): void {
    this.#ensure(4 + value.length);
    this.#buffer.writeUInt32LE(value.length, this.#length);
    this.#buffer.set(value, this.#length + 4);
    this.#length += 4 + value.length;
  }

  /** A message, prefixed with its length. */
  message(message: StoredMessage): void {
    const { topic, payload, properties, publisher, expiresAtMs } = message;
    const start = this.#length;
    this.u32(0);
    this.u8(
      message.qos |
        (message.retain ? 4 : 0) |
        (properties === undefined ? 0 : hasProperties) |
        (expiresAtMs === undefined ? 0 : hasExpiry) |
        (publisher === undefined ? 0 : hasPublisher),
    );
    this.f64(message.createdAtMs);
    if (expiresAtMs !== undefined) this.f64(expiresAtMs);
    this.text(topic);
    if (publisher !== undefined) this.text(publisher);
    if (properties !== undefined) this.bytes(properties);
    this.bytes(payload);
    this.#buffer.writeUInt32LE(this.#length - start - 4, start);
  }

  /** Changes a byte that was encoded before. */
  patchU8(at: number, value: number): void {
    this.#buffer[at] = value;
  }

  patchU16(at: number, value: number): void {
    this.#buffer.writeUInt16LE(value, at);
  }

  patchU32(at: number, value: number): void {
    this.#buffer.writeUInt32LE(value, at);
  }

  patchF64(at: number, value: number): void {
    this.#buffer.writeDoubleLE(value, at);
  }

  #ensure(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

/** Decodes the data of a {@link BatchWriter}. @throws RangeError at the end of the data */
export class BatchReader {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(data: Uint8Array) {
    this.#buffer = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  }

  get done(): boolean {
    return this.#at >= this.#buffer.length;
  }

  u8(): number {
    const value = this.#buffer.readUInt8(this.#at);
    this.#at += 1;
    return value;
  }

  u16(): number {
    const value = this.#buffer.readUInt16LE(this.#at);
    this.#at += 2;
    return value;
  }

  u32(): number {
    const value = this.#buffer.readUInt32LE(this.#at);
    this.#at += 4;
    return value;
  }

  f64(): number {
    const value = this.#buffer.readDoubleLE(this.#at);
    this.#at += 8;
    return value;
  }

  text(): string {
    const start = this.#slice();
    return this.#buffer.toString('utf8', start, this.#at);
  }

  /** Returns a view, not a copy. */
  bytes(): Buffer {
    const start = this.#slice();
    return this.#buffer.subarray(start, this.#at);
  }

  #slice(): number {
    const length = this.u32();
    const start = this.#at;
    if (start + length > this.#buffer.length) throw new RangeError('a length exceeds the data');
    this.#at += length;
    return start;
  }
}

/** Decodes a message. @throws RangeError when the data is not a message */
export function readMessage(data: Uint8Array): StoredMessage {
  const reader = new BatchReader(data);
  const flags = reader.u8();
  const createdAtMs = reader.f64();
  const expiresAtMs = (flags & hasExpiry) === 0 ? undefined : reader.f64();
  const topic = reader.text();
  const publisher = (flags & hasPublisher) === 0 ? undefined : reader.text();
  const properties = (flags & hasProperties) === 0 ? undefined : reader.bytes();
  const payload = reader.bytes();
  if (!reader.done) throw new RangeError('unexpected data after a message');
  const qos = qosOf(flags & 3);
  const retain = (flags & 4) !== 0;
  return { topic, payload, qos, retain, properties, expiresAtMs, createdAtMs, publisher };
}

export function qosOf(value: number): Qos {
  if (value === 0 || value === 1 || value === 2) return value;
  throw new RangeError(`invalid QoS ${value}`);
}

/** The options of a subscription in one byte. */
export function subscriptionOptions(record: SubscriptionRecord): number {
  return (
    record.qos |
    (record.noLocal ? 4 : 0) |
    (record.retainAsPublished ? 8 : 0) |
    (record.retainHandling << 4)
  );
}

/** Decodes {@link subscriptionOptions}. `identifier` 0: none. */
export function subscriptionOf(
  filter: string,
  options: number,
  identifier: number,
): SubscriptionRecord {
  return {
    filter,
    qos: qosOf(options & 3),
    noLocal: (options & 4) !== 0,
    retainAsPublished: (options & 8) !== 0,
    retainHandling: qosOf((options >> 4) & 3),
    identifier: identifier === 0 ? undefined : identifier,
  };
}
