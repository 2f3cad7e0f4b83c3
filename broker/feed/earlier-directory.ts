/**
 * What a broker knew before the registry of the enrollment service was restored from an older backup.
 *
 * The restored service sends identities as they were at the time of the backup: some that were revoked since then
 * are active in it. Until an operator has decided what happens with the changes in between, the stricter of both
 * is in force. What the service grants after the restore is in force at once. Pure.
 *
 * @module
 */
import { isIssuedSince } from '../../certs/authority.ts';
import type { DirectoryCertificate, DirectoryEntry } from '../../core/protocol/feed.ts';
import type { KnownGeneration } from '../../core/protocol/generation.ts';

export interface EarlierDirectory {
  /** When the registry began without what this broker knows, in ms since 1970, by the clock of the service. */
  readonly sinceMs: number;
  /** The newest state that this broker had. */
  readonly generation: KnownGeneration;
  readonly entries: ReadonlyMap<string, DirectoryEntry>;
}

const strictness = { active: 0, quarantined: 1, suspended: 2, revoked: 3 } as const;

/**
 * The entry that is in force.
 *
 * @param now what the service sends
 * @returns undefined when the identity was deleted before the restore
 */
export function strictestEntry(
  { entries, sinceMs }: EarlierDirectory,
  now: DirectoryEntry,
): DirectoryEntry | undefined {
  const earlier = entries.get(now.id);
  const isGranted = now.certificates.some(
    (one) => one.status === 'active' && isIssuedSince(one.notBeforeMs, sinceMs),
  );
  if (earlier === undefined) {
    const isNew = now.createdAtMs === undefined || now.createdAtMs >= sinceMs || isGranted;
    if (!isNew) return undefined;
  }
  const certificates = now.certificates.map((one) => strictestCertificate(earlier, one, sinceMs));
  const status =
    earlier === undefined || isGranted || strictness[earlier.status] <= strictness[now.status]
      ? now.status
      : earlier.status;
  const isSame =
    status === now.status && certificates.every((one, at) => one === now.certificates[at]);
  return isSame ? now : { ...now, status, certificates };
}

/** Whether an operator has to decide about an identity. @param now undefined: the service does not have it */
export function isUndecided(
  earlier: EarlierDirectory,
  id: string,
  now: DirectoryEntry | undefined,
): boolean {
  const before = earlier.entries.get(id);
  if (now === undefined) return before !== undefined;
  if (strictestEntry(earlier, now) !== now) return true;
  const known = new Set(now.certificates.map(({ fingerprint }) => fingerprint));
  return (
    before?.certificates.some(
      ({ status, fingerprint }) => status === 'active' && !known.has(fingerprint),
    ) ?? false
  );
}

function strictestCertificate(
  earlier: DirectoryEntry | undefined,
  now: DirectoryCertificate,
  sinceMs: number,
): DirectoryCertificate {
  if (now.status !== 'active' || isIssuedSince(now.notBeforeMs, sinceMs)) return now;
  const known = earlier?.certificates.find(({ fingerprint }) => fingerprint === now.fingerprint);
  // One that this broker no longer had was dead.
  const status = known?.status ?? 'retired';
  return status === 'active' ? now : { ...now, status };
}
