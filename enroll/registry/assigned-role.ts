/**
 * The role of an identity in the policy. It is kept apart from the kind of the identity, which decides what
 * the identity may do at the enrollment service and never changes.
 *
 * @module
 */
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { mayHaveRole } from '../../core/protocol/policy-role.ts';
import type { DeviceRecord } from './records.ts';

/** The role by which the policy decides. */
export function assignedRole({
  role,
  policyRole,
}: Pick<DeviceRecord, 'role' | 'policyRole'>): string {
  return policyRole ?? role;
}

/**
 * The row with another role in the policy.
 *
 * @param role null: the role of its kind; undefined: the role does not change
 * @throws FlotillaError `identity-role-conflict` when an identity of this kind cannot have the role
 */
export function withRole(record: DeviceRecord, role: string | null | undefined): DeviceRecord {
  if (role === undefined) return record;
  if (role === null || role === record.role) return { ...record, policyRole: undefined };
  if (!mayHaveRole(record.role, role)) {
    throw new FlotillaError('identity-role-conflict', {
      detail: `${record.id} is a ${record.role}, which cannot have the role ${role}`,
    });
  }
  return { ...record, policyRole: role };
}
