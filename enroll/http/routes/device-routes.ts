/**
 * Calls of operators about devices.
 *
 * @module
 */
import { z } from 'zod';
import type { Clock } from '../../../core/clock.ts';
import type { Config } from '../../../core/config/config.ts';
import type { DeviceId } from '../../../core/device-id.ts';
import { deviceIdSchema } from '../../../core/protocol/device-id-schema.ts';
import {
  deletedSchema,
  devicePageSchema,
  deviceSchema,
  editRequestSchema,
  groupRevokedSchema,
  revokedSchema,
  revokeRequestSchema,
  serviceRoles,
  suspendedSchema,
} from '../../../core/protocol/enrollment-api.ts';
import type { DeviceAdmin } from '../../devices/devices.ts';
import type { DeviceRecord } from '../../registry/records.ts';
import type { DeviceQuery, Registry } from '../../registry/registry.ts';
import type { DeviceActions, RevokeResult } from '../../devices/device-actions.ts';
import { deviceSortKeys, searchDevices, type DeviceSortKey } from '../../queries/device-search.ts';
import type { KnownRoles } from '../../policy/known-roles.ts';
import type { DeviceTable } from '../../queries/device-table.ts';
import type { LockoutGuard } from '../../operators/lockout-guard.ts';
import { assertMayChange } from '../assert-may-change.ts';
import { deviceJson, type DeviceViewDeps } from '../device-view.ts';
import { assertMatches, entityTag } from '../entity-tag.ts';
import { route, type HttpRoute } from '../route.ts';

export interface DeviceRouteDeps extends DeviceViewDeps {
  readonly clock: Clock;
  readonly config: Config;
  readonly devices: DeviceAdmin;
  readonly lockout: LockoutGuard;
  readonly registry: Registry;
  readonly revocations: DeviceActions;
  readonly roles: KnownRoles;
  readonly table: DeviceTable;
}

const pageItemsUsual = 100;

const idParams = z.strictObject({ id: deviceIdSchema });
const empty = z.strictObject({}).optional();

const flag = z.enum(['true', 'false']).transform((value) => value === 'true');
/** Confirms that the identity that makes the call may be locked out. */
export const ownIdentityQuery = z.strictObject({ ownIdentity: flag.optional() });
const sortKeys = deviceSortKeys.flatMap((key) => [key, `-${key}` as const]);

/** The filters of a list. */
export const listQuery = z.strictObject({
  search: z.string().min(1).max(128).optional(),
  online: flag.optional(),
  sort: z.enum(sortKeys).default('id'),
  /** Whether the response contains the number of all devices that match. */
  total: flag.optional(),
  prefix: z.string().min(1).max(128).optional(),
  group: z.string().min(1).max(128).optional(),
  role: z.string().min(1).max(64).optional(),
  kind: z.enum(['device', ...serviceRoles]).optional(),
  status: z.enum(['pending', 'active', 'suspended', 'revoked', 'quarantined']).optional(),
  attribute: z
    .union([z.string(), z.array(z.string()).max(16)])
    .transform((value) => (typeof value === 'string' ? [value] : value))
    .pipe(z.array(z.string().regex(/^[^=]{1,64}=.{0,256}$/, 'write name=value')))
    .optional(),
  expiresWithinSeconds: z.coerce.number().int().min(0).max(1e9).optional(),
  limit: z.coerce.number().int().min(1).optional(),
  after: z.string().min(1).max(1024).optional(),
});

export function deviceRoutes(deps: DeviceRouteDeps): HttpRoute[] {
  return [...readRoutes(deps), ...changeRoutes(deps), ...restrictionRoutes(deps)];
}

type DeviceJson = z.infer<typeof deviceSchema>;

function viewOf(deps: DeviceRouteDeps): (record: DeviceRecord) => DeviceJson {
  return (record) => deviceJson(record, deps, deps.clock.now());
}

function readRoutes(deps: DeviceRouteDeps): HttpRoute[] {
  const { clock, config, devices, presence, registry, table } = deps;
  const view = viewOf(deps);
  return [
    route({
      method: 'GET',
      path: '/v1/devices',
      summary: 'Lists identities by page, with filters',
      access: 'viewer',
      query: listQuery,
      response: devicePageSchema,
      async handle({ query }) {
        const { search, online, sort, total } = query;
        const plain = queryOf(query, clock.now(), config.limits.enroll.pageMaxItems);
        if (search === undefined && online === undefined && sort === 'id' && total !== true) {
          const page = await registry.list(plain);
          return { devices: page.devices.map(view), next: page.next };
        }
        const page = await searchDevices(table, presence, {
          ...plain,
          ...(search === undefined ? {} : { search }),
          ...(online === undefined ? {} : { online }),
          sort: sortKeyOf(sort),
          descending: sort.startsWith('-'),
        });
        return {
          devices: page.devices.map(view),
          next: page.next,
          ...(total === true ? { total: page.total } : {}),
        };
      },
    }),
    route({
      method: 'GET',
      path: '/v1/devices/:id',
      summary: 'Returns one identity',
      access: 'viewer',
      params: idParams,
      response: deviceSchema,
      async handle({ params, header }) {
        const device = view(await devices.get(params.id));
        header('etag', entityTag(device));
        return device;
      },
    }),
  ];
}

function changeRoutes(deps: DeviceRouteDeps): HttpRoute[] {
  const { devices, lockout, revocations, roles, table } = deps;
  const view = viewOf(deps);
  return [
    route({
      method: 'PATCH',
      path: '/v1/devices/:id',
      summary: 'Changes group, role and attributes of an identity',
      access: 'operator',
      ifMatch: 'optional',
      params: idParams,
      body: editRequestSchema,
      response: deviceSchema,
      async handle({ params, body, actor, operator, headers, header }) {
        assertMayChange(operator, table.get(params.id));
        await roles.assertKnown(body.role);
        const edited = await devices.edit(params.id, body, actor, (record) =>
          assertMatches(headers['if-match'], entityTag(view(record))),
        );
        const device = view(edited);
        header('etag', entityTag(device));
        return device;
      },
    }),
    route({
      method: 'DELETE',
      path: '/v1/devices/:id',
      summary: 'Revokes and deletes an identity',
      access: 'operator',
      params: idParams,
      query: ownIdentityQuery,
      response: deletedSchema,
      async handle({ params: { id }, query, actor, operator }) {
        assertMayChange(operator, table.get(id));
        const change = { caller: operator, names: [id], ...query };
        const done = await lockout.run(change, () => revocations.delete(id, actor));
        return { id, deleted: true as const, ...revokedJson(done) };
      },
    }),
    route({
      method: 'POST',
      path: '/v1/devices/:id/revoke',
      summary: 'Revokes all certificates of an identity and closes its connections',
      access: 'operator',
      params: idParams,
      query: ownIdentityQuery,
      body: revokeRequestSchema,
      response: revokedSchema,
      async handle({ params: { id }, query, body, actor, operator }) {
        assertMayChange(operator, table.get(id));
        const change = { caller: operator, names: [id], ...query };
        const revoked = await lockout.run(change, () =>
          revocations.revoke([id], body.reason, actor),
        );
        return { id, ...revokedJson(revoked) };
      },
    }),
  ];
}

function restrictionRoutes(deps: DeviceRouteDeps): HttpRoute[] {
  const { devices, lockout, registry, revocations, table } = deps;
  const view = viewOf(deps);
  return [
    route({
      method: 'POST',
      path: '/v1/groups/:group/revoke',
      summary: 'Revokes every device of a group',
      access: 'operator',
      params: z.strictObject({ group: z.string().min(1).max(128) }),
      query: ownIdentityQuery,
      body: revokeRequestSchema,
      response: groupRevokedSchema,
      async handle({ params: { group }, query, body, actor, operator }) {
        const ids: DeviceId[] = [];
        let after: string | null = '';
        while (after !== null) {
          const page = await registry.list({ group, limit: 1000, after });
          for (const record of page.devices) {
            assertMayChange(operator, record);
            if (record.status !== 'revoked') ids.push(record.id);
          }
          after = page.next;
        }
        const change = { caller: operator, names: ids, ...query };
        const revoked = await lockout.run(change, () =>
          revocations.revoke(ids, body.reason, actor),
        );
        return { group, devices: ids, ...revokedJson(revoked) };
      },
    }),
    route({
      method: 'POST',
      path: '/v1/devices/:id/suspend',
      summary: 'Suspends an identity until it is resumed',
      access: 'operator',
      params: idParams,
      query: ownIdentityQuery,
      body: empty,
      response: suspendedSchema,
      async handle({ params: { id }, query, actor, operator }) {
        assertMayChange(operator, table.get(id));
        const change = { caller: operator, names: [id], ...query };
        const done = await lockout.run(change, () => revocations.suspend(id, actor));
        const { connectionsClosed, brokers, brokersUnconfirmed, brokersAbsent } = revokedJson(done);
        const device = view(await devices.get(id));
        const effect = { brokersAsked: brokers, brokersUnconfirmed, brokersAbsent };
        return { ...device, connectionsClosed, ...effect };
      },
    }),
    route({
      method: 'POST',
      path: '/v1/devices/:id/resume',
      summary: 'Ends the suspension or quarantine of an identity',
      access: 'operator',
      params: idParams,
      body: empty,
      response: deviceSchema,
      async handle({ params, actor, operator }) {
        assertMayChange(operator, table.get(params.id));
        await revocations.resume(params.id, actor);
        return view(await devices.get(params.id));
      },
    }),
  ];
}

function sortKeyOf(sort: (typeof sortKeys)[number]): DeviceSortKey {
  const name = sort.startsWith('-') ? sort.slice(1) : sort;
  return deviceSortKeys.find((key) => key === name) ?? 'id';
}

/** The conditions of a list as the registry has them. */
export function queryOf(
  query: Omit<z.infer<typeof listQuery>, 'sort' | 'search' | 'online' | 'total'>,
  nowMs: number,
  maxItems: number,
): DeviceQuery {
  const { prefix, attribute, expiresWithinSeconds, limit = pageItemsUsual, ...rest } = query;
  const { group, role, kind, status, after } = rest;
  return {
    limit: Math.min(limit, maxItems),
    ...(after === undefined ? {} : { after }),
    ...(group === undefined ? {} : { group }),
    ...(role === undefined ? {} : { role }),
    ...(kind === undefined ? {} : { kind }),
    ...(status === undefined ? {} : { status }),
    ...(prefix === undefined ? {} : { idPrefix: prefix }),
    ...(attribute === undefined
      ? {}
      : {
          attributes: Object.fromEntries(
            attribute.map((pair) => {
              const at = pair.indexOf('=');
              return [pair.slice(0, at), pair.slice(at + 1)];
            }),
          ),
        }),
    ...(expiresWithinSeconds === undefined
      ? {}
      : { expiresBeforeMs: nowMs + expiresWithinSeconds * 1000 }),
  };
}

function revokedJson({ serials, effect, elapsedMs, crlNumber }: RevokeResult): {
  serials: string[];
  connectionsClosed: number;
  elapsedMs: number;
  brokers: number;
  brokersLate: number;
  brokersUnconfirmed: string[];
  brokersAbsent: string[];
  crlNumber?: number;
} {
  return {
    serials: [...serials],
    connectionsClosed: effect.connectionsClosed,
    elapsedMs,
    brokers: effect.brokers,
    brokersLate: effect.late,
    brokersUnconfirmed: [...effect.lateBrokers],
    brokersAbsent: [...effect.absentBrokers],
    ...(crlNumber === undefined ? {} : { crlNumber }),
  };
}
