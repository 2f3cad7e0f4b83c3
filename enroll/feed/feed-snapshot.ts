/**
 * The whole directory for a broker that has none, or one that is too old.
 *
 * @module
 */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { FeedLine } from '../../core/protocol/feed.ts';
import type { Registry } from '../registry/registry.ts';
import { entryOf } from './directory-entry.ts';

/**
 * Sends every identity of the registry, as fast as the broker reads. It stops when the stream closes.
 *
 * @param line writes one line; false when the stream is full
 * @param sequence the last change that the snapshot contains
 */
export async function sendSnapshot(
  registry: Pick<Registry, 'rows'>,
  stream: Writable,
  line: (value: FeedLine) => boolean,
  sequence: number,
): Promise<void> {
  line({ type: 'snapshot-begin', sequence });
  for await (const row of registry.rows('devices')) {
    const entry = entryOf(row);
    if (entry === undefined) continue;
    if (stream.destroyed) return;
    if (!line({ type: 'entry', entry })) await drained(stream);
  }
  if (!stream.destroyed) line({ type: 'snapshot-end', sequence });
}

async function drained(stream: Writable): Promise<void> {
  if (stream.destroyed) return;
  await Promise.race([once(stream, 'drain'), once(stream, 'close')]);
}
