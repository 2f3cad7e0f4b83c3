/**
 * Which devices a query means.
 *
 * @module
 */
import type { DeviceRecord } from './records.ts';
import type { DeviceQuery } from './registry.ts';

/** Whether all conditions hold. Paging is not looked at. */
export function matchesQuery(record: DeviceRecord, query: DeviceQuery): boolean {
  if (query.idPrefix !== undefined && !record.id.startsWith(query.idPrefix)) return false;
  if (query.group !== undefined && record.group !== query.group) return false;
  if (query.role !== undefined && record.role !== query.role) return false;
  if (query.status !== undefined && record.status !== query.status) return false;
  for (const [name, value] of Object.entries(query.attributes ?? {})) {
    if (!Object.hasOwn(record.attributes, name) || record.attributes[name] !== value) return false;
  }
  if (query.expiresBeforeMs === undefined) return true;
  const newest = record.certificates.findLast(({ status }) => status === 'active');
  return newest !== undefined && newest.notAfterMs < query.expiresBeforeMs;
}
