/**
 * Copies of messages that do not keep the received chunk in memory, and who owns a message.
 *
 * @module
 */
import type { StoredMessage } from './session-store.ts';

const emptyBuffer = Buffer.alloc(0);

/** The message with buffers that keep little more memory alive than they use. */
export function ownedMessage(message: StoredMessage): StoredMessage {
  const payload = ownedBuffer(message.payload);
  const properties = message.properties && ownedBuffer(message.properties);
  if (payload === message.payload && properties === message.properties) return message;
  return { ...message, payload, properties };
}

/** The message without its content, as it is stored after PUBREC. */
export function withoutContent(message: StoredMessage): StoredMessage {
  return { ...message, payload: emptyBuffer, properties: undefined };
}

/**
 * The identity that published a message, taken from its client id: the id itself, or the part before `/`.
 * Only a role that allows any client id can be wrong here, and only after a restart.
 */
export function publisherIdentity({ publisher }: StoredMessage): string | undefined {
  if (publisher === undefined) return undefined;
  const end = publisher.indexOf('/');
  return end === -1 ? publisher : publisher.slice(0, end);
}

function ownedBuffer(slice: Buffer): Buffer {
  if (slice.buffer.byteLength <= 2 * slice.length + 64) return slice;
  // Not from the pool of small buffers: a pooled copy would keep the whole pool in memory.
  const copy = Buffer.allocUnsafeSlow(slice.length);
  slice.copy(copy);
  return copy;
}
