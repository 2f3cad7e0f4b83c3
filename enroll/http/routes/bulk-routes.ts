/**
 * `POST /v1/devices/bulk`: one action on all devices that a filter matches.
 *
 * @module
 */
import type { z } from 'zod';
import type { Clock } from '../../../core/clock.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import { bulkRequestSchema, bulkResultSchema } from '../../../core/protocol/bulk-api.ts';
import type { DeviceActions } from '../../devices/device-actions.ts';
import type { DeviceAdmin } from '../../devices/devices.ts';
import type { PresenceTable } from '../../devices/presence-table.ts';
import { changeDevices, matchingDevices, type BulkAction } from '../../queries/bulk-action.ts';
import type { DeviceFilter } from '../../queries/device-search.ts';
import type { KnownRoles } from '../../policy/known-roles.ts';
import type { DeviceTable } from '../../queries/device-table.ts';
import { route, type HttpRoute } from '../route.ts';

export interface BulkRouteDeps {
  readonly clock: Clock;
  readonly devices: DeviceAdmin;
  readonly presence: PresenceTable;
  readonly revocations: DeviceActions;
  readonly roles: KnownRoles;
  readonly table: DeviceTable;
}

type BulkRequest = z.infer<typeof bulkRequestSchema>;

const bodyMaxBytes = 4 * 1024 * 1024;
/** How many ids a dry run names. */
const sampleMax = 20;

export function bulkRoutes(deps: BulkRouteDeps): HttpRoute[] {
  const { clock, devices, presence, revocations, roles, table } = deps;
  return [
    route({
      method: 'POST',
      path: '/v1/devices/bulk',
      summary: 'Changes all devices that a filter matches; a dry run counts them first',
      access: 'operator',
      body: bulkRequestSchema,
      bodyMaxBytes,
      response: bulkResultSchema,
      async handle({ body, actor }) {
        await roles.assertKnown(body.edit?.role);
        const { ids, ...filter } = body.filter;
        const matched = await matchingDevices(table, presence, filterOf(filter, clock.now()), ids);
        const nothing = {
          changed: 0,
          failed: 0,
          failures: [],
          connectionsClosed: 0,
          brokersLate: 0,
        };
        const seen = { matched: matched.length, sample: matched.slice(0, sampleMax) };
        if (body.dryRun) return { dryRun: true, ...seen, ...nothing };
        if (body.expected !== matched.length) {
          throw new FlotillaError('version-conflict', {
            detail: `${matched.length} devices match now; expected was ${body.expected ?? 'nothing'}`,
          });
        }
        const outcome = await changeDevices(devices, revocations, matched, actionOf(body), actor);
        const { failures, brokersUnconfirmed, brokersAbsent } = outcome;
        return {
          dryRun: false,
          ...seen,
          ...outcome,
          failures: [...failures],
          brokersUnconfirmed: [...brokersUnconfirmed],
          brokersAbsent: [...brokersAbsent],
        };
      },
    }),
  ];
}

function filterOf(filter: Omit<BulkRequest['filter'], 'ids'>, nowMs: number): DeviceFilter {
  const { search, online, group, role, status, attributes, prefix, expiresWithinSeconds } = filter;
  return {
    ...(search === undefined ? {} : { search }),
    ...(online === undefined ? {} : { online }),
    ...(group === undefined ? {} : { group }),
    ...(role === undefined ? {} : { role }),
    ...(status === undefined ? {} : { status }),
    ...(attributes === undefined ? {} : { attributes }),
    ...(prefix === undefined ? {} : { idPrefix: prefix }),
    ...(expiresWithinSeconds === undefined
      ? {}
      : { expiresBeforeMs: nowMs + expiresWithinSeconds * 1000 }),
  };
}

function actionOf({ action, reason, edit }: BulkRequest): BulkAction {
  if (action === 'revoke') return { action, reason: reason ?? 'unspecified' };
  if (action !== 'edit') return { action };
  if (edit === undefined) throw new FlotillaError('request-invalid', { detail: 'body.edit' });
  return { action, edit };
}
