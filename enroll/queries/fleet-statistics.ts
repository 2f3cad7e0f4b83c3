/**
 * The numbers of the fleet: devices by status and group, certificates by the time they have left, and what
 * happened in the last hour.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { AuditLine } from '../audit/audit-event.ts';
import type { PresenceTable } from '../devices/presence-table.ts';
import { endOf } from '../registry/device-query.ts';
import type { DeviceRecord } from '../registry/records.ts';
import type { Registry } from '../registry/registry.ts';
import { protectedRoles } from '../operators/protected-roles.ts';
import type { DeviceTable } from './device-table.ts';
import { HourCounter } from './hour-counter.ts';
import { dayMs } from '../../core/config/duration.ts';

/** How long counted numbers are good: many pages may ask at the same time. */
const goodForMs = 1000;
/** How many groups are listed, the largest first. */
const groupsMax = 1000;

export interface FleetCounts {
  readonly devices: {
    readonly total: number;
    readonly connected: number;
    readonly byStatus: Readonly<Record<DeviceRecord['status'], number>>;
  };
  /** Identities of services, operators and brokers. */
  readonly services: number;
  /** Active devices by the time that their newest certificate has left. */
  readonly certificates: {
    readonly ended: number;
    readonly days1: number;
    readonly days7: number;
    readonly days30: number;
    readonly days90: number;
    readonly later: number;
    readonly none: number;
  };
  readonly groups: readonly { readonly group: string | null; readonly count: number }[];
}

export interface LastHour {
  readonly enrollments: number;
  readonly renewals: number;
  /** Connections, enrollments and renewals that were refused. */
  readonly refusals: number;
  /** Publishes, subscriptions and deliveries that the policy denied. */
  readonly denials: number;
}

export class FleetStatistics {
  readonly #deps: {
    readonly clock: Clock;
    readonly table: DeviceTable;
    readonly presence: PresenceTable;
    readonly registry: Registry;
  };
  readonly #hour: HourCounter<keyof LastHour>;
  #numbers: { readonly atMs: number; readonly value: Promise<FleetCounts> } | undefined;

  constructor(deps: {
    readonly clock: Clock;
    readonly table: DeviceTable;
    readonly presence: PresenceTable;
    readonly registry: Registry;
  }) {
    this.#deps = deps;
    this.#hour = new HourCounter(deps.clock);
  }

  /** Counts a line of the audit log. */
  record({ action, at, detail }: AuditLine): void {
    const atMs = Date.parse(at);
    if (action === 'certificate-issued') this.#hour.add('enrollments', 1, atMs);
    else if (action === 'certificate-renewed') this.#hour.add('renewals', 1, atMs);
    else if (action === 'access-refused') {
      const count = Number(detail?.['count'] ?? 1);
      const kind = deniedStages.has(String(detail?.['stage'])) ? 'denials' : 'refusals';
      this.#hour.add(kind, Number.isFinite(count) ? count : 1, atMs);
    } else if (refusalActions.has(action)) this.#hour.add('refusals', 1, atMs);
  }

  lastHour(): LastHour {
    const hour = this.#hour;
    return {
      enrollments: hour.count('enrollments'),
      renewals: hour.count('renewals'),
      refusals: hour.count('refusals'),
      denials: hour.count('denials'),
    };
  }

  /** The numbers of about now; one pass over all devices, at most once a second. */
  numbers(): Promise<FleetCounts> {
    const nowMs = this.#deps.clock.monotonicMs();
    if (this.#numbers === undefined || nowMs - this.#numbers.atMs >= goodForMs) {
      this.#numbers = { atMs: nowMs, value: this.#count() };
    }
    return this.#numbers.value;
  }

  /** Enrollments that wait for an operator. */
  async requestsPending(): Promise<number> {
    let pending = 0;
    for await (const { status } of this.#deps.registry.rows('requests')) {
      if (status === 'pending') pending++;
    }
    return pending;
  }

  async #count(): Promise<FleetCounts> {
    const { clock, table, presence } = this.#deps;
    const nowMs = clock.now();
    const byStatus = { pending: 0, active: 0, suspended: 0, revoked: 0, quarantined: 0 };
    const certificates = { ended: 0, days1: 0, days7: 0, days30: 0, days90: 0, later: 0, none: 0 };
    const groups = new Map<string | null, number>();
    let total = 0;
    let connected = 0;
    let services = 0;
    await table.each((record) => {
      if (protectedRoles.has(record.role)) {
        services++;
        return;
      }
      total++;
      byStatus[record.status]++;
      groups.set(record.group, (groups.get(record.group) ?? 0) + 1);
      if (presence.isConnected(record.id)) connected++;
      if (record.status === 'active') certificates[timeLeft(endOf(record) - nowMs)]++;
    });
    return {
      devices: { total, connected, byStatus },
      services,
      certificates,
      groups: [...groups]
        .map(([group, count]) => ({ group, count }))
        .sort((one, other) => other.count - one.count)
        .slice(0, groupsMax),
    };
  }
}

const deniedStages = new Set(['publish', 'subscribe', 'receive']);
const refusalActions = new Set([
  'token-refused',
  'enrollment-denied',
  'enrollment-refused',
  'renewal-refused',
]);

function timeLeft(ms: number): keyof FleetCounts['certificates'] {
  if (ms === Infinity) return 'none';
  if (ms <= 0) return 'ended';
  if (ms <= dayMs) return 'days1';
  if (ms <= 7 * dayMs) return 'days7';
  if (ms <= 30 * dayMs) return 'days30';
  return ms <= 90 * dayMs ? 'days90' : 'later';
}
