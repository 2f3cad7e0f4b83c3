/**
 * Changes of identities by operators: revoke, suspend, resume, delete, edit.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { DeviceId } from '../../core/device-id.ts';
import type { RevocationReason } from '../../core/protocol/enrollment-api.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { AuditAction, AuditEvent } from '../audit/audit-event.ts';
import { assignedRole, withRole } from '../registry/assigned-role.ts';
import type { DeviceRecord, RevocationRecord } from '../registry/records.ts';
import {
  retryOnConflict,
  type Deletion,
  type Put,
  type Registry,
  type Stored,
} from '../registry/registry.ts';

export interface Edit {
  /** Null removes the group. */
  readonly group?: string | null | undefined;
  /** The role in the policy; null: that of its kind. */
  readonly role?: string | null | undefined;
  /** Null removes an attribute; attributes that are not named stay. */
  readonly attributes?: Readonly<Record<string, string | null>> | undefined;
}

/** The maximum number of attributes of one identity. */
export const attributesMax = 64;

/** How strict each status is. A pending identity has no certificate yet and can do nothing. */
const strictness = { active: 0, quarantined: 1, suspended: 2, revoked: 3, pending: 3 } as const;

export interface DeviceAdminDeps {
  readonly registry: Registry;
  readonly clock: Clock;
}

export class DeviceAdmin {
  readonly #registry: Registry;
  readonly #clock: Clock;

  constructor({ registry, clock }: DeviceAdminDeps) {
    this.#registry = registry;
    this.#clock = clock;
  }

  /** @throws FlotillaError `device-not-found` */
  async get(id: string): Promise<Stored<DeviceRecord>> {
    const row = await this.#registry.get('devices', id);
    if (row === undefined) throw new FlotillaError('device-not-found', { detail: id });
    return row;
  }

  /**
   * Revokes every certificate of an identity, and deletes every token that was created for it.
   *
   * @returns the serial numbers that this call revoked
   * @throws FlotillaError `device-not-found`
   */
  revoke(id: DeviceId, reason: RevocationReason, actor: string): Promise<string[]> {
    return retryOnConflict(async () => {
      const row = await this.get(id);
      const revoked = this.#revocations(row, reason);
      const serials = revoked.map(({ serial }) => serial);
      await this.#registry.commit({
        puts: [devicePut(row, asRevoked), ...(await this.#revocationPuts(revoked))],
        deletions: await this.#permissionsOf(id),
        events: [auditEvent('device-revoked', actor, id, { reason, serials: serials.join(' ') })],
      });
      return serials;
    });
  }

  /**
   * Locks an identity out until {@link resume}. @throws FlotillaError `device-not-found`,
   * `device-state-conflict`
   */
  suspend(id: DeviceId, actor: string): Promise<DeviceRecord> {
    return this.#change(id, 'device-suspended', actor, (record) => {
      if (record.status === 'revoked' || record.status === 'pending') throw stateConflict(record);
      return held(record, 'suspended', this.#clock.now());
    });
  }

  /**
   * Ends a suspension or quarantine. @throws FlotillaError `device-not-found`, `device-state-conflict`
   */
  resume(id: DeviceId, actor: string): Promise<DeviceRecord> {
    return this.#change(id, 'device-resumed', actor, (record) => {
      if (record.status === 'revoked' || record.status === 'pending') throw stateConflict(record);
      return { ...record, status: 'active', heldSinceMs: undefined };
    });
  }

  /**
   * Makes the reaction to an incident permanent: a stricter status, and a line in the audit log. An identity
   * whose status is already as strict is not changed.
   *
   * @returns whether the status is stricter now
   * @throws FlotillaError `device-not-found`
   */
  restrain(
    id: DeviceId,
    status: 'suspended' | 'quarantined',
    actor: string,
    detail: Readonly<Record<string, string | number>>,
  ): Promise<boolean> {
    return retryOnConflict(async () => {
      const row = await this.get(id);
      if (strictness[row.status] >= strictness[status]) return false;
      await this.#registry.commit({
        puts: [devicePut(row, (record) => held(record, status, this.#clock.now()))],
        events: [auditEvent('device-suspended', actor, id, { ...detail, status })],
      });
      return true;
    });
  }

  /**
   * Changes group, role and attributes. @throws FlotillaError `device-not-found`, `request-invalid` when there
   * are too many attributes, `identity-role-conflict` when it cannot have the role
   *
   * @param assertCurrent throws when the caller has seen another version than this one
   */
  edit(
    id: DeviceId,
    edit: Edit,
    actor: string,
    assertCurrent: (record: DeviceRecord) => void = () => undefined,
  ): Promise<DeviceRecord> {
    return this.#change(id, 'device-changed', actor, (record) => {
      assertCurrent(record);
      const attributes = new Map(Object.entries(record.attributes));
      for (const [name, value] of Object.entries(edit.attributes ?? {})) {
        if (value === null) attributes.delete(name);
        else attributes.set(name, value);
      }
      if (attributes.size > attributesMax) {
        throw new FlotillaError('request-invalid', {
          detail: `at most ${attributesMax} attributes`,
        });
      }
      return {
        ...withRole(record, edit.role),
        group: edit.group === undefined ? record.group : edit.group,
        attributes: Object.fromEntries(attributes),
      };
    });
  }

  /** Deletes an identity. Its certificates are revoked, and stay on the CRL until they expire. */
  delete(id: DeviceId, actor: string): Promise<string[]> {
    return retryOnConflict(async () => {
      const row = await this.get(id);
      const revoked = this.#revocations(row, 'cessationOfOperation');
      const serials = revoked.map(({ serial }) => serial);
      await this.#registry.commit({
        puts: await this.#revocationPuts(revoked),
        deletions: [
          { table: 'devices', key: id, expected: row.version },
          ...(await this.#permissionsOf(id)),
        ],
        events: [auditEvent('device-deleted', actor, id, { serials: serials.join(' ') })],
      });
      return serials;
    });
  }

  #change(
    id: DeviceId,
    action: AuditAction,
    actor: string,
    change: (record: DeviceRecord) => DeviceRecord,
  ): Promise<DeviceRecord> {
    return retryOnConflict(async () => {
      const before = await this.get(id);
      const put = devicePut(before, change);
      const { status, group } = put.record;
      const role = assignedRole(put.record);
      const roleBefore = assignedRole(before);
      await this.#registry.commit({
        puts: [put],
        events: [
          auditEvent(action, actor, id, {
            status,
            group,
            ...(role === roleBefore ? {} : { role, roleBefore }),
          }),
        ],
      });
      return put.record;
    });
  }

  /** Records for the certificates that are not revoked yet and have not expired. */
  #revocations(row: DeviceRecord, reason: RevocationReason): RevocationRecord[] {
    const atMs = this.#clock.now();
    return row.certificates
      .filter(({ status, notAfterMs }) => status !== 'revoked' && notAfterMs > atMs)
      .map(({ serial, issuer, keyFingerprint, notAfterMs }) => ({
        serial,
        device: row.id,
        issuer,
        keyFingerprint,
        atMs,
        reason,
        notAfterMs,
      }));
  }

  /**
   * Rows for the CRL and, if the keys are compromised, for the list of keys that must never be used again.
   */
  async #revocationPuts(revoked: readonly RevocationRecord[]): Promise<Put[]> {
    const puts: Put[] = [];
    const keys = new Set<string>();
    for (const record of revoked) {
      const known = await this.#registry.get('revocations', record.serial);
      puts.push({ table: 'revocations', record, expected: known?.version ?? 0 });
      const { keyFingerprint, device, atMs } = record;
      if (record.reason !== 'keyCompromise' || keys.has(keyFingerprint)) continue;
      keys.add(keyFingerprint);
      const blocked = await this.#registry.get('blockedKeys', keyFingerprint);
      puts.push({
        table: 'blockedKeys',
        record: { keyFingerprint, device, atMs },
        expected: blocked?.version ?? 0,
      });
    }
    return puts;
  }

  /** Tokens and requests, approved ones included: each could undo what is done to the identity. */
  async #permissionsOf(id: DeviceId): Promise<Deletion[]> {
    const tokens = await this.#registry.tokensOf(id);
    const requests = await this.#registry.requestsOf(id);
    return [
      ...tokens.map(({ hash, version }) => ({
        table: 'tokens' as const,
        key: hash,
        expected: version,
      })),
      ...requests.map((request) => ({
        table: 'requests' as const,
        key: request.id,
        expected: request.version,
      })),
    ];
  }
}

interface DevicePut {
  readonly table: 'devices';
  readonly record: DeviceRecord;
  readonly expected: number;
}

/** Replaces the row that was read, unless it has changed since. */
function devicePut(
  row: Stored<DeviceRecord>,
  change: (record: DeviceRecord) => DeviceRecord,
): DevicePut {
  const { version, ...record } = row;
  return { table: 'devices', record: change(record), expected: version };
}

function auditEvent(
  action: AuditAction,
  actor: string,
  device: DeviceId,
  detail: NonNullable<AuditEvent['detail']>,
): AuditEvent {
  return { action, actor, device, detail };
}

function asRevoked(record: DeviceRecord): DeviceRecord {
  const certificates = record.certificates.map(
    (certificate) => ({ ...certificate, status: 'revoked' }) as const,
  );
  return { ...record, status: 'revoked', certificates };
}

function held(
  record: DeviceRecord,
  status: 'suspended' | 'quarantined',
  nowMs: number,
): DeviceRecord {
  return { ...record, status, heldSinceMs: record.heldSinceMs ?? nowMs };
}

function stateConflict({ id, status }: DeviceRecord): FlotillaError {
  return new FlotillaError('device-state-conflict', { detail: `${id} is ${status}` });
}
