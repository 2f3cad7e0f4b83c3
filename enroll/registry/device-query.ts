/**
 * Matches devices against the conditions of a query.
 *
 * @module
 */
import { assignedRole } from './assigned-role.ts';
import type { DeviceRecord } from './records.ts';
import type { DeviceQuery } from './registry.ts';

/** Creates a test for all conditions of a query, to be called for each row. It ignores paging. */
export function matcherOf(query: DeviceQuery): (record: DeviceRecord) => boolean {
  const { idPrefix, group, role, kind, status, expiresBeforeMs } = query;
  const attributes = Object.entries(query.attributes ?? {}).map(
    ([name, value]) =>
      ({ attributes }: DeviceRecord) =>
        attributes[name] === value && Object.hasOwn(attributes, name),
  );
  return (record) => {
    if (idPrefix !== undefined && !record.id.startsWith(idPrefix)) return false;
    if (group !== undefined && record.group !== group) return false;
    if (role !== undefined && assignedRole(record) !== role) return false;
    if (kind !== undefined && record.role !== kind) return false;
    if (status !== undefined && record.status !== status) return false;
    if (!attributes.every((has) => has(record))) return false;
    return expiresBeforeMs === undefined || endOf(record) < expiresBeforeMs;
  };
}

/**
 * When the newest active certificate of an identity expires, in ms since 1970; `Infinity` if it has none.
 */
export function endOf({ certificates }: DeviceRecord): number {
  for (let at = certificates.length - 1; at >= 0; at--) {
    const certificate = certificates[at];
    if (certificate?.status === 'active') return certificate.notAfterMs;
  }
  return Infinity;
}
