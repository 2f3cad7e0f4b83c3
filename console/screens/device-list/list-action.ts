/** One action for many devices, which the service runs as one. @module */
import { api } from '../../api/page-api.ts';
import { revocationReasonOf } from '../../parts/revocation-reason.tsx';
import type { ApiBulkResult } from '../../api/api-types.ts';
import type { ListFilter } from './device-filter.ts';

export const listActions = ['suspend', 'resume', 'edit', 'revoke', 'delete'] as const;
export type ListAction = (typeof listActions)[number];

/** The most devices of one bulk action. */
export const listActionDevicesMax = 20_000;

/** What is selected: some ids, or all devices that match a filter. */
export type Selection =
  | { readonly kind: 'ids'; readonly ids: ReadonlySet<string> }
  | { readonly kind: 'all'; readonly filter: ListFilter; readonly count: number };

/**
 * Runs the action. The service changes nothing when another number of devices matches than was confirmed.
 *
 * @param value the new group for `edit` (empty: none), the reason for `revoke`
 * @throws ApiProblem
 */
export function runBulk(
  action: ListAction,
  selection: Selection,
  value: string,
): Promise<ApiBulkResult> {
  const isSome = selection.kind === 'ids';
  return api.changeDevices({
    body: {
      action,
      filter: isSome ? { ids: [...selection.ids] } : bulkFilter(selection.filter),
      expected: isSome ? selection.ids.size : selection.count,
      ...(action === 'revoke' ? { reason: revocationReasonOf(value) } : {}),
      ...(action === 'edit' ? { edit: { group: value === '' ? null : value } } : {}),
    },
  });
}

/** The filter of the list as bulk changes have it. They never include services, operators or brokers. */
function bulkFilter(filter: ListFilter): object {
  const { search, status, online, group, policyRole, attribute, expires } = filter;
  const at = attribute?.indexOf('=') ?? -1;
  return {
    ...(search === undefined ? {} : { search }),
    ...(status === undefined ? {} : { status }),
    ...(online === undefined ? {} : { online: online === 'true' }),
    ...(group === undefined ? {} : { group }),
    ...(policyRole === undefined ? {} : { role: policyRole }),
    ...(expires === undefined ? {} : { expiresWithinSeconds: Number(expires) }),
    ...(attribute === undefined || at < 0
      ? {}
      : { attributes: { [attribute.slice(0, at)]: attribute.slice(at + 1) } }),
  };
}
