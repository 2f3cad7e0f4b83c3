/**
 * Decisions that the audit log has and the registry has lost, because it was restored without the log.
 *
 * @module
 */
import { isDeviceId, type DeviceId } from '../../core/device-id.ts';
import type { AuditLine } from '../audit/audit-event.ts';
import type { DeviceRecord } from '../registry/records.ts';
import type { RestoreStep } from './restore-plan.ts';

/** The commits that are in the audit log only. */
export interface LostCommits {
  readonly from: number;
  readonly to: number;
}

const decisions = {
  'device-revoked': 'revoke',
  'device-suspended': 'suspend',
  'device-deleted': 'delete',
  'device-resumed': undefined,
} as const;

/** The last decision about each identity. @param lines oldest first */
export function lostDecisions(
  lines: readonly AuditLine[],
  { from, to }: LostCommits,
): ReadonlyMap<DeviceId, RestoreStep['action']> {
  const last = new Map<DeviceId, RestoreStep['action']>();
  for (const { action, commit, device } of lines) {
    if (commit === undefined || commit <= from || commit > to) continue;
    if (device === undefined || !isDeviceId(device) || !isDecision(action)) continue;
    const decided = decisions[action];
    if (decided === undefined) last.delete(device);
    else last.set(device, decided);
  }
  return last;
}

/** The step that repeats a decision; undefined when the registry has it. */
export function repeatedStep(
  device: DeviceId,
  action: RestoreStep['action'],
  row: DeviceRecord | undefined,
): RestoreStep | undefined {
  if (row === undefined || row.status === 'revoked') return undefined;
  if (action === 'suspend' && row.status !== 'active') return undefined;
  const isChangeable = row.role === 'device' || row.role === 'service';
  return { device, action: isChangeable ? action : 'manual', certificates: [] };
}

function isDecision(action: string): action is keyof typeof decisions {
  return action in decisions;
}
