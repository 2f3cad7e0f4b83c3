/**
 * Which identities have changed last, from the versions of their rows and the commits of deletions. Pure.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import type { DeviceRecord } from './records.ts';
import type { RecentDevices, Stored } from './registry.ts';

/** Deletions of identities, all of them since a commit. */
interface Removals {
  /** All deletions of later commits are here. */
  readonly after: number;
  /** The newest commit that deleted the identity. */
  readonly commits: ReadonlyMap<DeviceId, number>;
}

/**
 * The newest changes, at most `max`.
 *
 * @param rows all identities; read twice
 * @param row the row of one identity
 */
export function recentDevices(
  rows: () => Iterable<Stored<DeviceRecord>>,
  row: (id: DeviceId) => Stored<DeviceRecord> | undefined,
  { after, commits }: Removals,
  max: number,
): RecentDevices {
  const removed = [...commits].filter(([id, commit]) => commit > after && !isKnown(row(id)));
  const numbers = removed.map(([, commit]) => commit);
  for (const record of rows()) {
    if (record.version > after && isKnown(record)) numbers.push(record.version);
  }
  // A commit is here with all its changes, or not at all.
  const newest = new Float64Array(numbers).sort();
  const complete = Math.max(after, newest[newest.length - max - 1] ?? 0);
  const changes: RecentDevices['changes'][number][] = [];
  for (const [id, commit] of removed) {
    if (commit > complete) changes.push({ commit, id, record: undefined });
  }
  for (const record of rows()) {
    const { id, version: commit } = record;
    if (commit > complete && isKnown(record)) changes.push({ commit, id, record });
  }
  changes.sort((one, other) => one.commit - other.commit);
  return { after: complete, changes };
}

/** Brokers do not know an identity before it has a certificate. */
function isKnown(record: DeviceRecord | undefined): boolean {
  return record !== undefined && record.status !== 'pending';
}
