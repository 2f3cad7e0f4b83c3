/**
 * Whether registry and audit log have lost what the other one proves.
 *
 * @module
 */
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Manifest } from './manifest.ts';

/** The last line of an audit log; `seq` 0: it has none. */
export interface AuditHead {
  readonly seq: number;
  readonly hash: string;
}

/** What the files of the registry contain. */
export interface RegistryExtent {
  /** The newest commit. */
  readonly number: number;
  /** Whether an earlier version wrote the files, which did not keep the number of the newest commit. */
  readonly isLegacy: boolean;
  readonly manifest: Manifest | undefined;
}

/** What the audit log contained when it was opened. */
export interface AuditExtent {
  /** The newest commit that has lines. */
  readonly commit: number;
  /** Undefined: not known. */
  readonly head: AuditHead | undefined;
}

/**
 * A commit that was acknowledged has lines in the audit log. If the registry does not have it, its files were
 * lost, damaged or replaced by older ones.
 */
export function registryLoss(
  { number, isLegacy }: RegistryExtent,
  { commit }: AuditExtent,
): FlotillaError | undefined {
  if (commit <= number || isLegacy) return undefined;
  return new FlotillaError('registry-behind-audit', {
    detail: `the registry has commit ${number}, the audit log has commit ${commit}`,
  });
}

/**
 * The manifest names a line that the audit log had at the last checkpoint. If the log does not have it, lines
 * at its end were lost, or an older log was restored.
 */
export function auditLoss(
  { number, manifest }: RegistryExtent,
  { head }: AuditExtent,
): FlotillaError | undefined {
  if (head === undefined) return undefined;
  // A crash right after the very first commit leaves no line; the journal has its events.
  if (head.seq === 0 && number > 1) return new FlotillaError('audit-missing');
  const noted = manifest?.audit;
  if (noted === undefined) return undefined;
  const isBehind = head.seq < noted.seq;
  const isOther = head.seq === noted.seq && head.hash !== noted.hash;
  if (!isBehind && !isOther) return undefined;
  return new FlotillaError('audit-behind-registry', {
    detail: isBehind
      ? `the last line is ${head.seq}, the registry has recorded line ${noted.seq}`
      : `line ${noted.seq} is not the line that the registry has recorded`,
  });
}
