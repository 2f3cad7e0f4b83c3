/**
 * Calls of operators about the audit log and the history of devices.
 *
 * @module
 */
import { z } from 'zod';
import { isDeviceId, type DeviceId } from '../../../core/device-id.ts';
import {
  auditPageSchema,
  auditVerdictSchema,
  historySchema,
} from '../../../core/protocol/operator-api.ts';
import { auditActions, type AuditLine } from '../../audit/audit-event.ts';
import { queryAudit } from '../../audit/audit-query.ts';
import { verifyAudit, type AuditVerdict } from '../../audit/audit-reader.ts';
import type { PresenceHistory } from '../../devices/presence-history.ts';
import { deviceHistory } from '../../queries/device-history.ts';
import type { DeviceTable } from '../../queries/device-table.ts';
import { route, type HttpRoute } from '../route.ts';

export interface AuditRouteDeps {
  /** The folder of the audit log. */
  readonly folder: string;
  readonly history: PresenceHistory;
  readonly table: DeviceTable;
}

const pageItemsDefault = 100;
const pageItemsMax = 1000;

const limit = z.coerce.number().int().min(1).default(pageItemsDefault);
const after = z.string().min(1).max(128).optional();
const moment = z.iso.datetime({ offset: true }).optional();

const auditQuery = z.strictObject({
  device: z.string().min(1).max(128).optional(),
  actor: z.string().min(1).max(256).optional(),
  action: z
    .union([z.enum(auditActions), z.array(z.enum(auditActions)).max(auditActions.length)])
    .transform((value) => (typeof value === 'string' ? [value] : value))
    .optional(),
  since: moment,
  until: moment,
  limit,
  after,
});

export function auditRoutes({ folder, history, table }: AuditRouteDeps): HttpRoute[] {
  let verifying: Promise<AuditVerdict> | undefined;
  return [
    route({
      method: 'GET',
      path: '/v1/audit',
      summary: 'Lines of the audit log, newest first, filtered, by page',
      access: 'viewer',
      query: auditQuery,
      response: auditPageSchema,
      async handle({ query }) {
        const page = await queryAudit(folder, {
          device: query.device,
          actor: query.actor,
          action: query.action,
          sinceMs: query.since === undefined ? undefined : Date.parse(query.since),
          untilMs: query.until === undefined ? undefined : Date.parse(query.until),
          limit: Math.min(query.limit, pageItemsMax),
          after: query.after,
        });
        return { lines: page.lines.map(auditLineJson), next: page.next };
      },
    }),
    route({
      method: 'GET',
      path: '/v1/audit/verify',
      summary: 'Checks that no line of the audit log was changed, removed or inserted',
      access: 'viewer',
      response: auditVerdictSchema,
      async handle() {
        // All files are read: those who ask at the same time share one check.
        verifying ??= verifyAudit(folder).finally(() => (verifying = undefined));
        const { ok, lines, files, detail, head } = await verifying;
        return { ok, lines, files, detail, head };
      },
    }),
    route({
      method: 'GET',
      path: '/v1/devices/:id/history',
      summary: 'What happened to a device, newest first: certificates, refusals, connections',
      access: 'viewer',
      params: z.strictObject({
        id: z.custom<DeviceId>((value) => typeof value === 'string' && isDeviceId(value), {
          error: 'not a device id',
        }),
      }),
      query: z.strictObject({ limit, after }),
      response: historySchema,
      async handle({ params, query }) {
        const page = await deviceHistory(folder, history, {
          id: params.id,
          record: table.get(params.id),
          limit: Math.min(query.limit, pageItemsMax),
          after: query.after,
        });
        return { entries: [...page.entries], next: page.next };
      },
    }),
  ];
}

/** A line as the API shows it. */
export function auditLineJson(line: AuditLine): z.infer<typeof auditPageSchema>['lines'][number] {
  const { seq, at, action, actor, device, remoteAddress, detail, hash } = line;
  return {
    seq,
    at,
    action,
    actor,
    ...(device === undefined ? {} : { device }),
    ...(remoteAddress === undefined ? {} : { remoteAddress }),
    ...(detail === undefined ? {} : { detail: { ...detail } }),
    hash,
  };
}
