/** The filter of the device list. It is kept in the address of the page. @module */
import { withQuery } from '../../api/call-api.ts';

export const filterNames = [
  'search',
  'status',
  'online',
  'group',
  'role',
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
  const { expires, role = 'device', ...same } = filter;
  return withQuery('/v1/devices', {
    ...same,
    kind: role === anyRole ? undefined : role,
    expiresWithinSeconds: expires,
    total: page.isCounted ? true : undefined,
    limit: page.limit,
    after: page.after,
  });
}
