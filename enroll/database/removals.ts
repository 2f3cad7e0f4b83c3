/**
 * The deletions of identities in the database, for brokers that have not learned of them yet.
 *
 * @module
 */
import type { DatabaseTerm } from '../../core/database/database-term.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { removalsKeptCommits, writeText } from './registry-tables.ts';

/** More are not read: brokers that are so far behind get everything. */
const readMax = 50_000;
/** The name of the text with the commit after which all deletions are there. It is missing until a term has begun. */
const startName = 'removals-after';

export interface RemovalList {
  /** All deletions of later commits are here. */
  readonly after: number;
  /** The newest commit that deleted the identity. */
  readonly commits: Map<DeviceId, number>;
}

/**
 * Reads the deletions at the start of a term.
 *
 * @param number the newest commit
 * @throws FlotillaError `database-unreachable`, `registry-unavailable`
 */
export async function readRemovals(term: DatabaseTerm, number: number): Promise<RemovalList> {
  const [text] = await term.read<{ content: string }>(
    'SELECT content FROM flotilla.stored_text WHERE name = $1',
    [startName],
  );
  // Rows that were imported, or written by an earlier version, have no deletions.
  if (text === undefined) await term.write(writeText(startName, String(number)));
  const rows = await term.read<{ key: string; commit: string }>(
    `SELECT key, commit FROM flotilla.removal ORDER BY commit DESC LIMIT ${readMax + 1}`,
  );
  const unread = rows[readMax];
  const after = Math.max(
    text === undefined ? number : Number(text.content),
    number - removalsKeptCommits,
    Number(unread?.commit ?? 0),
  );
  // A cast at the boundary to SQL: the key of an identity is its id. The newest one of each is the last.
  const newestLast = rows
    .toReversed()
    .map(({ key, commit }) => [key as DeviceId, Number(commit)] as const);
  return { after, commits: new Map(newestLast) };
}
