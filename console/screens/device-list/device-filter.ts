/** The filter of the device list. It is kept in the address of the page. @module */
import { withQuery } from '../../api/call-api.ts';

export const filterNames = [
  'search',
  'status',
  'online',
  'group',
  'role',
  'policyRole',
  'attribute',
  'expires',
  'sort',
] as const;
export type FilterName = (typeof filterNames)[number];
export type ListFilter = Readonly<Partial<Record<FilterName, string>>>;

/** The choice that also lists services, brokers and administrators. */
export const anyRole = 'any';

export const deviceStatuses = ['pending', 'active', 'suspended', 'revoked', 'quarantined'] as const;

/** The filter of a query; empty values are left out. */
export function filterOf(query: URLSearchParams): ListFilter {
  return Object.fromEntries(
    filterNames.flatMap((name) => {
      const value = query.get(name);
      return value === null || value === '' ? [] : [[name, value]];
    }),
  );
}

/** The call of the API for one page of the list. */
export function deviceListPath(
  filter: ListFilter,
  page: { readonly limit: number; readonly after?: string; readonly isCounted: boolean },
): string {
  return withQuery('/v1/devices', {
    ...conditionsOf(filter),
    sort: filter.sort,
    total: page.isCounted ? true : undefined,
    limit: page.limit,
    after: page.after,
  });
}

/** The call that exports what the filter matches, as a table for spreadsheets. */
export function csvPath(filter: ListFilter): string {
  return withQuery('/v1/devices/export', { format: 'csv', ...conditionsOf(filter) });
}

function conditionsOf(filter: ListFilter): Readonly<Record<string, string | undefined>> {
  const { expires, policyRole, role = 'device', search, status, online, group, attribute } = filter;
  return {
    ...{ search, status, online, group, attribute },
    kind: role === anyRole ? undefined : role,
    role: policyRole,
    expiresWithinSeconds: expires,
  };
}
