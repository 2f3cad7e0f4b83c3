/**
 * Only an administrator changes identities that are not devices: an operator who could revoke a broker or an
 * administrator, or resume one, would have more rights than its role says.
 *
 * @module
 */
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { protectedRoles } from '../operators/protected-roles.ts';
import type { OperatorCaller } from '../operators/caller.ts';
import type { DeviceRecord } from '../registry/records.ts';

/** @throws FlotillaError `role-missing` */
export function assertMayChange(
  operator: OperatorCaller | undefined,
  record: DeviceRecord | undefined,
): void {
  if (record === undefined || operator?.role === 'admin') return;
  if (!protectedRoles.has(record.role)) return;
  throw new FlotillaError('role-missing', {
    detail: `${record.id} is a ${record.role}, which only admin may change`,
  });
}
