/**
 * Which devices an operator asks for, in which order, and the page of them. A page costs one pass over
 * all devices, whichever page it is; nothing is sorted but the page itself.
 *
 * @module
 */
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { PresenceTable } from '../devices/presence-table.ts';
import { endOf, matcherOf } from '../registry/device-query.ts';
import type { DeviceRecord } from '../registry/records.ts';
import type { DeviceQuery } from '../registry/registry.ts';
import type { DeviceTable } from './device-table.ts';

export const deviceSortKeys = ['id', 'status', 'group', 'lastSeen', 'expires', 'created'] as const;
export type DeviceSortKey = (typeof deviceSortKeys)[number];

/** Which devices. All conditions must hold. */
export interface DeviceFilter extends Omit<DeviceQuery, 'after' | 'limit'> {
  /** A part of the id, of the group or of an attribute's value; case does not matter. */
  readonly search?: string;
  readonly online?: boolean;
}

export interface DeviceSearch extends DeviceFilter {
  readonly sort: DeviceSortKey;
  readonly descending: boolean;
  readonly limit: number;
  /** The `next` of the page before. */
  readonly after?: string;
}

export interface DeviceSearchPage {
  readonly devices: readonly DeviceRecord[];
  readonly next: string | null;
  /** How many devices match, on all pages. */
  readonly total: number;
}

/** Where a device is in the order: the value it is sorted by, then its id. */
interface Place {
  readonly value: string | number;
  readonly id: string;
}

interface Candidate extends Place {
  readonly record: DeviceRecord;
}

/** A test for a filter; made once, asked for each device. */
export function deviceMatcher(
  filter: DeviceFilter,
  presence: PresenceTable,
): (record: DeviceRecord) => boolean {
  const { search, online } = filter;
  const matches = matcherOf({ ...filter, limit: 0 });
  const needle = search?.toLowerCase();
  return (record) =>
    matches(record) &&
    (online === undefined || presence.isConnected(record.id) === online) &&
    (needle === undefined || contains(record, needle));
}

/**
 * One page of the devices that match.
 *
 * @throws FlotillaError `request-invalid` when the cursor is not one of this order
 */
export async function searchDevices(
  table: DeviceTable,
  presence: PresenceTable,
  search: DeviceSearch,
): Promise<DeviceSearchPage> {
  const { limit, sort, descending, after } = search;
  const matches = deviceMatcher(search, presence);
  const valueOf = valueReader(sort, presence);
  const order = descending
    ? (one: Place, other: Place) => compare(other, one)
    : (one: Place, other: Place) => compare(one, other);
  const start = after === undefined ? undefined : placeOf(after, sort);
  let page: Candidate[] = [];
  let last: Candidate | undefined;
  let total = 0;
  const cut = (): void => {
    page = page.sort(order).slice(0, limit + 1);
    last = page.length > limit ? page.at(-1) : undefined;
  };
  await table.each((record) => {
    if (!matches(record)) return;
    total++;
    const candidate = { value: valueOf(record), id: record.id, record };
    if (start !== undefined && order(candidate, start) <= 0) return;
    if (last !== undefined && order(candidate, last) >= 0) return;
    page.push(candidate);
    // Sorting now and then keeps the list short at the price of few comparisons.
    if (page.length >= 2 * limit + 64) cut();
  });
  cut();
  const more = page.length > limit;
  const devices = page.slice(0, limit);
  const end = devices.at(-1);
  return {
    devices: devices.map(({ record }) => record),
    next: more && end !== undefined ? cursorOf(end, sort) : null,
    total,
  };
}

function contains({ id, group, attributes }: DeviceRecord, needle: string): boolean {
  if (id.toLowerCase().includes(needle)) return true;
  if (group?.toLowerCase().includes(needle) === true) return true;
  for (const name in attributes) {
    if (attributes[name]?.toLowerCase().includes(needle) === true) return true;
  }
  return false;
}

function valueReader(
  sort: DeviceSortKey,
  presence: PresenceTable,
): (record: DeviceRecord) => string | number {
  switch (sort) {
    case 'id':
      return ({ id }) => id;
    case 'status':
      return ({ status }) => status;
    case 'group':
      return ({ group }) => group ?? '';
    case 'lastSeen':
      return ({ id }) => presence.lastSeenAtMs(id) ?? 0;
    case 'expires':
      return (record) => Math.min(endOf(record), Number.MAX_SAFE_INTEGER);
    case 'created':
      return ({ createdAtMs }) => createdAtMs;
  }
}

function compare(one: Place, other: Place): number {
  if (one.value !== other.value) return one.value < other.value ? -1 : 1;
  if (one.id === other.id) return 0;
  return one.id < other.id ? -1 : 1;
}

/** The order by id keeps the plain id as cursor, which clients of the first version use. */
function cursorOf({ value, id }: Place, sort: DeviceSortKey): string {
  if (sort === 'id') return id;
  return Buffer.from(JSON.stringify([sort, value, id])).toString('base64url');
}

function placeOf(cursor: string, sort: DeviceSortKey): Place {
  if (sort === 'id') return { value: cursor, id: cursor };
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(parts) && parts.length === 3 && parts[0] === sort) {
      const [, value, id] = parts as unknown[];
      if (
        typeof id === 'string' &&
        typeof value === (sort === 'status' || sort === 'group' ? 'string' : 'number')
      ) {
        return { value: value as string | number, id };
      }
    }
  } catch {
    // Falls through to the refusal.
  }
  throw new FlotillaError('request-invalid', {
    detail: 'query.after is not a cursor of this order',
  });
}
