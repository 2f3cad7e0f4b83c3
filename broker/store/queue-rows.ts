/**
 * Combines the queue index in memory with the rows that were read from the database.
 *
 * @module
 */
import { readMessage } from './batch-format.ts';
import type { Entry } from './durable-queue.ts';
import type { Queue } from './queue-index.ts';
import type { QueuedMessage, StoredMessage } from './session-store.ts';
import type { QueueRow } from './store-thread.ts';

/** Replaces a message whose content was deleted after PUBREC. */
const releasedMessage: StoredMessage = {
  topic: '',
  payload: Buffer.alloc(0),
  qos: 2,
  retain: false,
  properties: undefined,
  expiresAtMs: undefined,
  createdAtMs: 0,
  publisher: undefined,
};

/**
 * The queued messages of entries that were read. Entries that were removed in the meantime are skipped.
 *
 * @throws RangeError when a row is missing or cannot be decoded
 */
export function combineRows(
  queue: Queue<Entry> | undefined,
  entries: readonly Entry[],
  rows: readonly QueueRow[],
): QueuedMessage[] {
  const bySequence = new Map(rows.map((row) => [row[0], row]));
  const found: QueuedMessage[] = [];
  for (const entry of entries) {
    if (queue?.get(entry.sequence) !== entry) continue;
    const row = bySequence.get(entry.sequence);
    if (row === undefined) throw new RangeError(`entry ${entry.sequence} is missing`);
    found.push(combine(entry, row));
  }
  return found;
}

function combine(entry: Entry, [sequence, flags, identifiers, data]: QueueRow): QueuedMessage {
  try {
    return {
      sequence,
      message: data === null || entry.state === 'released' ? releasedMessage : readMessage(data),
      qos: (flags & 3) === 2 ? 2 : 1,
      retain: (flags & 4) !== 0,
      identifiers: identifiers === null ? [] : identifiers.split(',').map(Number),
      state: entry.state,
      packetId: entry.packetId === 0 ? undefined : entry.packetId,
    };
  } catch (error) {
    throw new RangeError(`entry ${sequence} cannot be decoded`, { cause: error });
  }
}
