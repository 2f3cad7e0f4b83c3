/**
 * A retained message in memory. A small payload is a string of bytes, which needs a quarter of the memory
 * of a buffer; a large one is a buffer outside of the JavaScript heap.
 *
 * @module
 */
import { qosOf } from './batch-format.ts';
import { ownedMessage } from './owned-message.ts';
import type { StoredMessage } from './session-store.ts';

const inlineMaxBytes = 1024;

/**
 * The memory of a retained message without topic, payload and properties: its objects, its node and its
 * place in the tree of topics (measured: 290 to 320 bytes).
 */
const retainedOverheadBytes = 330;
/** The memory of a buffer without its contents. */
const bufferOverheadBytes = 320;
const largestLatin1 = 0xff;

/** What few messages have. */
interface Extras {
  readonly properties: Buffer | undefined;
  readonly expiresAtMs: number | undefined;
  /** The client id, if it differs from the identity. */
  readonly publisher: string | undefined;
}

/** A time in two small integers: V8 stores a larger number in an object of its own. */
const lowTimeBits = 20;
const lowTime = 2 ** lowTimeBits;
/** QoS in two bits, then RETAIN; the low bits of the time are above. */
const flagBits = 3;
const retainFlag = 4;

/** A million of them are in memory, so it has few fields. */
export class RetainedMessage {
  readonly topic: string;
  /** The identity whose share it uses; undefined: none. */
  readonly owner: string | undefined;
  readonly #payload: Buffer | string;
  readonly #extras: Extras | undefined;
  readonly #createdHigh: number;
  readonly #createdLowAndFlags: number;

  constructor(message: StoredMessage, owner: string | undefined) {
    this.topic = message.topic;
    this.owner = owner;
    const isSmall = message.payload.length <= inlineMaxBytes;
    const { payload, properties } = isSmall
      ? { payload: message.payload.toString('latin1'), properties: copyOf(message.properties) }
      : ownedMessage(message);
    this.#payload = payload;
    this.#extras = extrasOf(message, properties, owner);
    const createdAtMs = Math.round(message.createdAtMs);
    this.#createdHigh = Math.floor(createdAtMs / lowTime);
    this.#createdLowAndFlags =
      ((createdAtMs % lowTime) << flagBits) | (message.retain ? retainFlag : 0) | message.qos;
  }

  get expiresAtMs(): number | undefined {
    return this.#extras?.expiresAtMs;
  }

  /** What it counts for in limits: the memory that it really needs. */
  get bytes(): number {
    return retainedBytes(this.topic, this.#payload.length, this.#extras?.properties?.length);
  }

  toStored(): StoredMessage {
    const flags = this.#createdLowAndFlags;
    return {
      topic: this.topic,
      payload:
        typeof this.#payload === 'string' ? Buffer.from(this.#payload, 'latin1') : this.#payload,
      qos: qosOf(flags & 3),
      retain: (flags & retainFlag) !== 0,
      properties: this.#extras?.properties,
      expiresAtMs: this.#extras?.expiresAtMs,
      createdAtMs: this.#createdHigh * lowTime + (flags >>> flagBits),
      publisher: this.#extras === undefined ? this.owner : this.#extras.publisher,
    };
  }
}

function extrasOf(
  { expiresAtMs, publisher }: StoredMessage,
  properties: Buffer | undefined,
  owner: string | undefined,
): Extras | undefined {
  const isPlain = properties === undefined && expiresAtMs === undefined && publisher === owner;
  return isPlain ? undefined : { properties, expiresAtMs, publisher };
}

/** The memory of a retained message, in bytes. */
export function retainedBytes(
  topic: string,
  payloadBytes: number,
  propertyBytes: number | undefined,
): number {
  return (
    retainedOverheadBytes +
    topicBytes(topic) +
    payloadBytes +
    (payloadBytes > inlineMaxBytes ? bufferOverheadBytes : 0) +
    (propertyBytes === undefined ? 0 : propertyBytes + bufferOverheadBytes)
  );
}

/** A string with one character outside of Latin-1 needs two bytes for each. */
function topicBytes(topic: string): number {
  for (let at = 0; at < topic.length; at++) {
    if (topic.charCodeAt(at) > largestLatin1) return 2 * topic.length;
  }
  return topic.length;
}

function copyOf(properties: Buffer | undefined): Buffer | undefined {
  if (properties === undefined) return undefined;
  // Not from the pool of small buffers: a pooled copy would keep the whole pool in memory.
  const copy = Buffer.allocUnsafeSlow(properties.length);
  properties.copy(copy);
  return copy;
}
