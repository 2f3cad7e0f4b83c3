/**
 * What the service needs of its audit log, wherever the lines are: in files (audit-log.ts), or elsewhere.
 *
 * @module
 */
import type { AuditEvent, AuditLine } from './audit-event.ts';

export interface AuditTrail {
  /** The number and hash of the last line. Recorded elsewhere, they prove that no later line was removed. */
  readonly head: { readonly seq: number; readonly hash: string };
  /** Whether the last write failed. Each later one tries again. */
  readonly isBroken: boolean;
  /** Tests whether a log whose last write failed can be written again. */
  probe(): Promise<void>;
  /** Appends decisions that change nothing in the registry. They are durable when the promise resolves. */
  append(...events: readonly AuditEvent[]): Promise<void>;
  /** Calls for each line once it is durable. A listener must not throw. */
  watch(listener: (line: AuditLine) => void): () => void;
}
