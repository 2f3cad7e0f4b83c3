/**
 * A retained message in memory. A small payload is a string of bytes, which needs a quarter of the memory
 * of a buffer; a large one is a buffer outside of the JavaScript heap.
 *
 * @module
 */
import { ownedMessage } from './owned-message.ts';
import type { Qos, StoredMessage } from './session-store.ts';

const inlineMaxBytes = 1024;

/**
 * The memory of a retained message without topic, payload and properties: its objects, its node and its
 * place in the tree of topics (measured: 300 to 330 bytes).
 */
const retainedOverheadBytes = 330;
/** The memory of a buffer without its contents. */
const bufferOverheadBytes = 320;
const largestLatin1 = 0xff;

export class RetainedMessage {
  readonly topic: string;
  /** The identity whose share it uses; undefined: none. */
  readonly owner: string | undefined;
  readonly expiresAtMs: number | undefined;
  readonly #payload: Buffer | string;
  readonly #properties: Buffer | undefined;
  readonly #qos: Qos;
  readonly #retain: boolean;
  readonly #createdAtMs: number;
  readonly #publisher: string | undefined;

  constructor(message: StoredMessage, owner: string | undefined) {
    this.topic = message.topic;
    this.owner = owner;
    this.expiresAtMs = message.expiresAtMs;
    const isSmall = message.payload.length <= inlineMaxBytes;
    const { payload, properties } = isSmall
      ? { payload: message.payload.toString('latin1'), properties: copyOf(message.properties) }
      : ownedMessage(message);
    this.#payload = payload;
    this.#properties = properties;
    this.#qos = message.qos;
    this.#retain = message.retain;
    this.#createdAtMs = message.createdAtMs;
    // One string for both where they are equal: this saves a string for each message after a restart.
    this.#publisher = message.publisher === owner ? owner : message.publisher;
  }

  /** What it counts for in limits: the memory that it really needs. */
  get bytes(): number {
    return retainedBytes(this.topic, this.#payload.length, this.#properties?.length);
  }

  toStored(): StoredMessage {
    const payload =
      typeof this.#payload === 'string' ? Buffer.from(this.#payload, 'latin1') : this.#payload;
    return {
      topic: this.topic,
      payload,
      qos: this.#qos,
      retain: this.#retain,
      properties: this.#properties,
      expiresAtMs: this.expiresAtMs,
      createdAtMs: this.#createdAtMs,
      publisher: this.#publisher,
    };
  }
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
