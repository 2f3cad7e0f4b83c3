/**
 * Messages that stay: cut out of the read chunk that they came in.
 *
 * @module
 */
import type { StoredMessage } from './session-store.ts';

const nothing = Buffer.alloc(0);

/** The same message, with buffers that do not pin much more memory than they use. */
export function ownedMessage(message: StoredMessage): StoredMessage {
  const payload = ownedBuffer(message.payload);
  const properties = message.properties && ownedBuffer(message.properties);
  if (payload === message.payload && properties === message.properties) return message;
  return { ...message, payload, properties };
}

/** What is left of a message once PUBREC came. */
export function withoutContent(message: StoredMessage): StoredMessage {
  return { ...message, payload: nothing, properties: undefined };
}

function ownedBuffer(slice: Buffer): Buffer {
  if (slice.buffer.byteLength <= 2 * slice.length + 64) return slice;
  // Past the pool of small buffers: a pooled copy would pin the whole pool in its turn.
  const copy = Buffer.allocUnsafeSlow(slice.length);
  slice.copy(copy);
  return copy;
}
