/**
 * What happened to one device, newest first: decisions from the audit log, connections from the presence
 * history, and the first use of each certificate from the registry.
 *
 * @module
 */
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { HistoryEntry, HistoryKind } from '../../core/protocol/operator-api.ts';
import type { AuditAction, AuditLine } from '../audit/audit-event.ts';
import { queryAudit } from '../audit/audit-query.ts';
import type { PresenceEntry, PresenceHistory } from '../devices/presence-history.ts';
import type { DeviceRecord } from '../registry/records.ts';

/** How many connections and disconnections are on one page at most. */
const presenceMax = 500;

export interface HistoryQuery {
  readonly id: string;
  /** Undefined when the device is not in the registry: what the audit log has is shown all the same. */
  readonly record: DeviceRecord | undefined;
  readonly limit: number;
  readonly after?: string | undefined;
}

export interface HistoryPage {
  readonly entries: readonly HistoryEntry[];
  readonly next: string | null;
}

/**
 * One page. `limit` counts the lines of the audit log; connections of the same span come on top.
 *
 * @param folder `state.enroll.audit`
 * @throws FlotillaError `request-invalid` when the cursor is not one
 */
export async function deviceHistory(
  folder: string,
  presence: PresenceHistory,
  { id, record, limit, after }: HistoryQuery,
): Promise<HistoryPage> {
  const start = after === undefined ? { untilMs: Infinity, audit: undefined } : startOf(after);
  const { lines, next } = await queryAudit(folder, { device: id, limit, after: start.audit });
  const oldest = lines.at(-1);
  const fromMs = next === null ? 0 : oldest === undefined ? start.untilMs : Date.parse(oldest.at);
  const seen = (record?.certificates ?? []).flatMap(({ serial, seenAtMs }): HistoryEntry[] =>
    seenAtMs === undefined || seenAtMs < fromMs || seenAtMs >= start.untilMs
      ? []
      : [{ at: iso(seenAtMs), kind: 'seen', detail: { serial } }],
  );
  const entries = [
    ...lines.map(auditEntry),
    ...presence.of(id, fromMs, start.untilMs, presenceMax).map(presenceEntry),
    ...seen,
  ].sort((one, other) => (one.at < other.at ? 1 : one.at > other.at ? -1 : 0));
  return { entries, next: next === null ? null : `${fromMs}_${next}` };
}

function auditEntry({ at, action, actor, remoteAddress, detail }: AuditLine): HistoryEntry {
  return {
    at,
    kind: kindOf(action, detail),
    action,
    actor,
    ...(remoteAddress === undefined ? {} : { remoteAddress }),
    detail: { ...detail },
  };
}

function presenceEntry({ atMs, connected, broker, ...rest }: PresenceEntry): HistoryEntry {
  const { serial, remoteAddress, reason } = rest;
  return {
    at: iso(atMs),
    kind: connected ? 'connected' : 'disconnected',
    actor: broker,
    remoteAddress,
    detail: { serial, ...(reason === undefined ? {} : { reason }) },
  };
}

const kinds: Partial<Readonly<Record<AuditAction, HistoryKind>>> = {
  'certificate-issued': 'issued',
  'certificate-renewed': 'renewed',
  'certificate-retired': 'retired',
  'device-revoked': 'revoked',
  'device-deleted': 'revoked',
  'device-suspended': 'suspended',
  'device-resumed': 'resumed',
  'device-changed': 'changed',
  'device-imported': 'changed',
  'incident-reported': 'incident',
  'token-refused': 'refused',
  'enrollment-denied': 'refused',
  'enrollment-refused': 'refused',
  'renewal-refused': 'refused',
};

function kindOf(action: AuditAction, detail: AuditLine['detail']): HistoryKind {
  if (action === 'access-refused') {
    const stage = detail?.['stage'];
    return stage === 'publish' || stage === 'subscribe' || stage === 'receive'
      ? 'denied'
      : 'refused';
  }
  return kinds[action] ?? 'other';
}

function startOf(cursor: string): { untilMs: number; audit: string } {
  const [, untilMs, audit] = /^(\d{1,16})_(.+)$/.exec(cursor) ?? [];
  if (untilMs === undefined || audit === undefined) {
    throw new FlotillaError('request-invalid', { detail: 'query.after is not a cursor' });
  }
  return { untilMs: Number(untilMs), audit };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
