/**
 * What the embedded registry needs, and the steps at which tests stop it.
 *
 * @module
 */
import type { OpenAppendFile } from '../../core/append-file.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import type { EventSink } from '../audit/audit-event.ts';
import type { AuditHead } from './loss-check.ts';

export interface LowdbRegistryDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly sink: EventSink;
  /** The newest commit that the audit log has lines of (default: 0). */
  readonly auditedCommit?: number;
  /** The last line of the audit log, now. */
  readonly auditHead?: () => AuditHead;
  /** What may be lost: commits that only the audit log has, or lines of the audit log. */
  readonly acceptLoss?: 'registry' | 'audit' | undefined;
  /** Called at the start with the newest commit that the files have. */
  readonly opened?: (number: number) => void;
  /** Replaced by tests that simulate a failing disk. */
  readonly openFile?: OpenAppendFile;
  /** Called at each step at which a crash could happen; for tests. */
  readonly step?: (name: CrashPoint) => Promise<void>;
}

export type CrashPoint =
  | 'before-journal'
  | 'after-journal'
  | 'after-sink'
  | 'after-rotation'
  | 'before-shard'
  | 'after-shards'
  | 'before-deletion'
  | 'after-checkpoint';
