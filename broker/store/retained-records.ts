/**
 * Retained messages without their topics, outside of the JavaScript heap. A million of them are in memory, so
 * there is no object for a small message; a large one is an object with a buffer.
 *
 * A record is: flags (u8), creation time (u48, ms), number of the owner (u32), length of the payload (u16),
 * then, as the flags say, expiry time (u48), publisher and properties (each a length, u16, and its bytes), and
 * the payload.
 *
 * @module
 */
import { qosOf } from './batch-format.ts';
import { NameTable } from './name-table.ts';
import { ownedMessage } from './owned-message.ts';
import type { StoredMessage } from './session-store.ts';
import { recordMaxBytes, Slab } from './slab.ts';

/**
 * The memory of a retained message without topic, payload and properties: its node and its place in the tree of
 * topics, its record and a rounded slot (measured: 180 to 210 bytes).
 */
const retainedOverheadBytes = 210;
/** The memory of a message that is an object with buffers. */
const objectOverheadBytes = 600;
const inlineMaxBytes = 1024;
const largestLatin1 = 0xff;

const flag = { retain: 4, properties: 8, expiry: 16, publisher: 32, owner: 64 } as const;
const timeBytes = 6;
const at = { created: 1, owner: 7, payloadLength: 11, rest: 13 } as const;

interface LargeMessage {
  readonly message: StoredMessage;
  readonly owner: string | undefined;
}

/** Names a message: a record of the slab, or from -1 downward a large one. */
export type RetainedName = number;

export class RetainedRecords {
  readonly #slab = new Slab();
  readonly #owners = new NameTable();
  readonly #large = new Map<RetainedName, LargeMessage>();
  #lastLarge = 0;

  /** @param owner the identity whose share it uses; undefined: none */
  add(message: StoredMessage, owner: string | undefined): RetainedName {
    const { payload, properties, expiresAtMs } = message;
    const publisher =
      message.publisher === owner ? undefined : Buffer.from(message.publisher ?? '');
    const bytes =
      at.rest +
      (expiresAtMs === undefined ? 0 : timeBytes) +
      (publisher === undefined ? 0 : 2 + publisher.length) +
      (properties === undefined ? 0 : 2 + properties.length) +
      payload.length;
    if (payload.length > inlineMaxBytes || bytes > recordMaxBytes) {
      this.#large.set(--this.#lastLarge, { message: ownedMessage(message), owner });
      return this.#lastLarge;
    }
    const name = this.#slab.add(bytes);
    const record = this.#slab.at(name);
    record[0] =
      message.qos |
      (message.retain ? flag.retain : 0) |
      (properties === undefined ? 0 : flag.properties) |
      (expiresAtMs === undefined ? 0 : flag.expiry) |
      (publisher === undefined ? 0 : flag.publisher) |
      (owner === undefined ? 0 : flag.owner);
    record.writeUIntLE(Math.round(message.createdAtMs), at.created, timeBytes);
    record.writeUInt32LE(owner === undefined ? 0 : this.#owners.use(owner), at.owner);
    record.writeUInt16LE(payload.length, at.payloadLength);
    let next: number = at.rest;
    if (expiresAtMs !== undefined) {
      next = record.writeUIntLE(Math.round(expiresAtMs), next, timeBytes);
    }
    for (const part of [publisher, properties]) {
      if (part === undefined) continue;
      next = record.writeUInt16LE(part.length, next);
      next += part.copy(record, next);
    }
    payload.copy(record, next);
    return name;
  }

  /** The message, with copies of its buffers. */
  message(name: RetainedName, topic: string): StoredMessage {
    const large = this.#large.get(name);
    if (large !== undefined) return large.message;
    const record = this.#slab.at(name);
    const flags = record[0] ?? 0;
    let next: number = at.rest;
    const has = (one: number): boolean => (flags & one) !== 0;
    const part = (): Buffer => {
      const start = next + 2;
      next = start + record.readUInt16LE(next);
      return Buffer.from(record.subarray(start, next));
    };
    const expiresAtMs = has(flag.expiry) ? record.readUIntLE(next, timeBytes) : undefined;
    if (expiresAtMs !== undefined) next += timeBytes;
    const publisher = has(flag.publisher) ? part().toString() : undefined;
    const properties = has(flag.properties) ? part() : undefined;
    return {
      topic,
      payload: Buffer.from(record.subarray(next, next + record.readUInt16LE(at.payloadLength))),
      qos: qosOf(flags & 3),
      retain: has(flag.retain),
      properties,
      expiresAtMs,
      createdAtMs: record.readUIntLE(at.created, timeBytes),
      publisher:
        publisher === undefined ? this.owner(name) : publisher === '' ? undefined : publisher,
    };
  }

  owner(name: RetainedName): string | undefined {
    if (name < 0) return this.#large.get(name)?.owner;
    const record = this.#slab.at(name);
    const hasOwner = ((record[0] ?? 0) & flag.owner) !== 0;
    return hasOwner ? this.#owners.nameOf(record.readUInt32LE(at.owner)) : undefined;
  }

  createdAtMs(name: RetainedName): number {
    if (name < 0) return this.#large.get(name)?.message.createdAtMs ?? 0;
    return this.#slab.at(name).readUIntLE(at.created, timeBytes);
  }

  expiresAtMs(name: RetainedName): number | undefined {
    if (name < 0) return this.#large.get(name)?.message.expiresAtMs;
    const record = this.#slab.at(name);
    const hasExpiry = ((record[0] ?? 0) & flag.expiry) !== 0;
    return hasExpiry ? record.readUIntLE(at.rest, timeBytes) : undefined;
  }

  /** What a message counts for in limits. */
  bytes(name: RetainedName, topic: string): number {
    const { payload, properties } = this.message(name, topic);
    return retainedBytes(topic, payload.length, properties?.length);
  }

  remove(name: RetainedName): void {
    if (this.#large.delete(name)) return;
    const record = this.#slab.at(name);
    if (((record[0] ?? 0) & flag.owner) !== 0) {
      this.#owners.release(record.readUInt32LE(at.owner));
    }
    this.#slab.remove(name);
  }
}

/** The memory that limits count for a retained message, in bytes. */
export function retainedBytes(
  topic: string,
  payloadBytes: number,
  propertyBytes: number | undefined,
): number {
  const isObject = payloadBytes + (propertyBytes ?? 0) > inlineMaxBytes;
  return (
    retainedOverheadBytes +
    (isObject ? objectOverheadBytes : 0) +
    topicBytes(topic) +
    payloadBytes +
    (propertyBytes ?? 0)
  );
}

/** A string with one character outside of Latin-1 needs two bytes for each. */
function topicBytes(topic: string): number {
  for (let index = 0; index < topic.length; index++) {
    if (topic.charCodeAt(index) > largestLatin1) return 2 * topic.length;
  }
  return topic.length;
}
