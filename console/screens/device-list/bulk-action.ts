/** One action for many devices, each with a call of its own. @module */
import { callApi, getApi, problemFrom } from '../../api/api-client.ts';
import type { ApiDevicePage } from '../../api/api-types.ts';
import { deviceListPath, type ListFilter } from './device-filter.ts';

export const bulkActions = [
  'suspend',
  'resume',
  'disconnect',
  'group',
  'revoke',
  'delete',
] as const;
export type BulkAction = (typeof bulkActions)[number];

/** Calls that run at the same time. */
const parallelMax = 4;
/** The most devices of one bulk action. */
export const bulkDevicesMax = 10_000;
const pageItems = 1000;

export interface BulkResult {
  readonly done: number;
  readonly failed: readonly { readonly id: string; readonly reason: string }[];
}

/** The ids of all devices that match. @throws ApiProblem */
export async function idsOf(filter: ListFilter): Promise<string[]> {
  const ids: string[] = [];
  let after: string | null = '';
  while (after !== null && ids.length < bulkDevicesMax) {
    const path: string = deviceListPath(filter, {
      limit: pageItems,
      isCounted: false,
      ...(after === '' ? {} : { after }),
    });
    const page: ApiDevicePage = await getApi<ApiDevicePage>(path);
    ids.push(...page.devices.map(({ id }) => id));
    after = page.next;
  }
  return ids.slice(0, bulkDevicesMax);
}

/**
 * Runs the action for each device. A failure does not stop the others.
 *
 * @param value the group for `group` (empty: none), the reason for `revoke`
 */
export async function runBulk(
  action: BulkAction,
  ids: readonly string[],
  value: string,
  progress: (done: number) => void,
): Promise<BulkResult> {
  const failed: { id: string; reason: string }[] = [];
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    for (let id = ids[next++]; id !== undefined; id = ids[next++]) {
      try {
        await runOne(action, id, value);
      } catch (error) {
        failed.push({ id, reason: problemFrom(error).message });
      }
      progress(++done);
    }
  };
  await Promise.all(Array.from({ length: parallelMax }, work));
  return { done: done - failed.length, failed };
}

async function runOne(action: BulkAction, id: string, value: string): Promise<void> {
  const path = `/v1/devices/${encodeURIComponent(id)}`;
  switch (action) {
    case 'suspend':
    case 'resume':
    case 'disconnect':
      await callApi('POST', `${path}/${action}`);
      return;
    case 'revoke':
      await callApi('POST', `${path}/revoke`, { body: { reason: value } });
      return;
    case 'group':
      await callApi('PATCH', path, { body: { group: value === '' ? null : value } });
      return;
    case 'delete':
      await callApi('DELETE', path);
      return;
  }
}
