/**
 * One action on all devices that a filter matches. Only devices: identities of services, operators and
 * brokers are never part of it.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { RevocationReason } from '../../core/protocol/enrollment-api.ts';
import type { DeviceActions } from '../devices/device-actions.ts';
import type { DeviceAdmin, Edit } from '../devices/devices.ts';
import type { PresenceTable } from '../devices/presence-table.ts';
import { protectedRoles } from '../operators/protected-roles.ts';
import { deviceMatcher, type DeviceFilter } from './device-search.ts';
import type { DeviceTable } from './device-table.ts';

/** The most devices of one call. */
export const bulkDevicesMax = 20_000;
const failuresMax = 100;

export type BulkAction =
  | { readonly action: 'suspend' | 'resume' | 'delete' }
  | { readonly action: 'revoke'; readonly reason: RevocationReason }
  | { readonly action: 'edit'; readonly edit: Edit };

export interface BulkOutcome {
  readonly changed: number;
  readonly failed: number;
  /** The first ones. */
  readonly failures: readonly { readonly id: string; readonly code: string }[];
  readonly connectionsClosed: number;
  readonly brokersLate: number;
  readonly brokers: number;
  readonly brokersUnconfirmed: readonly DeviceId[];
  readonly brokersAbsent: readonly DeviceId[];
}

/**
 * The devices that a filter matches, in the order of their ids.
 *
 * @param ids only these; undefined: any
 * @throws FlotillaError `request-invalid` when there are more than {@link bulkDevicesMax}
 */
export async function matchingDevices(
  table: DeviceTable,
  presence: PresenceTable,
  filter: DeviceFilter,
  ids: readonly string[] | undefined,
): Promise<DeviceId[]> {
  const matches = deviceMatcher(filter, presence);
  const wanted = ids === undefined ? undefined : new Set(ids);
  const found: DeviceId[] = [];
  await table.each((record) => {
    if (protectedRoles.has(record.role)) return;
    if (wanted !== undefined && !wanted.has(record.id)) return;
    if (matches(record)) found.push(record.id);
  });
  if (found.length > bulkDevicesMax) {
    throw new FlotillaError('request-invalid', {
      detail: `${found.length} devices match; at most ${bulkDevicesMax} are changed by one call`,
    });
  }
  return found.sort();
}

/** Changes the devices, as far as each of them allows it. */
export async function changeDevices(
  devices: DeviceAdmin,
  actions: DeviceActions,
  ids: readonly DeviceId[],
  what: BulkAction,
  actor: string,
): Promise<BulkOutcome> {
  const failures: { id: string; code: string }[] = [];
  let failed = 0;
  const change = async (id: DeviceId): Promise<string[]> => {
    switch (what.action) {
      case 'revoke':
        return devices.revoke(id, what.reason, actor);
      case 'delete':
        return devices.delete(id, actor);
      case 'suspend':
        await devices.suspend(id, actor);
        return [];
      case 'resume':
        await devices.resume(id, actor);
        return [];
      case 'edit':
        await devices.edit(id, what.edit, actor);
        return [];
    }
  };
  const { effect } = await actions.each(ids, actor, async (id) => {
    try {
      return await change(id);
    } catch (error) {
      if (!isFlotillaError(error) || error.code === 'registry-unavailable') throw error;
      failed++;
      if (failures.length < failuresMax) failures.push({ id, code: error.code });
      return [];
    }
  });
  return {
    changed: ids.length - failed,
    failed,
    failures,
    connectionsClosed: effect.connectionsClosed,
    brokersLate: effect.late,
    brokers: effect.brokers,
    brokersUnconfirmed: effect.lateBrokers,
    brokersAbsent: effect.absentBrokers,
  };
}
