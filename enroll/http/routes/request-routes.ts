/**
 * Calls of operators about enrollment requests that wait for a decision.
 *
 * @module
 */
import { z } from 'zod';
import {
  approveRequestSchema,
  pendingRequestSchema,
  requestPageSchema,
  type PendingRequest,
} from '../../../core/protocol/enrollment-api.ts';
import type { Approvals } from '../../enrollment/approvals.ts';
import type { KnownRoles } from '../../policy/known-roles.ts';
import type { RequestRecord } from '../../registry/records.ts';
import { iso } from '../device-view.ts';
import { route, type HttpRoute } from '../route.ts';

const idParams = z.strictObject({ id: z.string().regex(/^[0-9a-f]{32}$/) });

export function requestRoutes(approvals: Approvals, roles: KnownRoles): HttpRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/requests',
      summary: 'Lists enrollment requests that wait for a decision',
      access: 'viewer',
      response: requestPageSchema,
      handle: async () => ({ requests: (await approvals.list()).map(view) }),
    }),
    route({
      method: 'POST',
      path: '/v1/requests/:id/approve',
      summary: 'Approves a request; the device gets its certificate with its next attempt',
      access: 'operator',
      params: idParams,
      body: approveRequestSchema,
      response: pendingRequestSchema,
      async handle({ params, body, actor }) {
        await roles.assertKnown(body.role);
        return view(await approvals.decide(params.id, 'approved', actor, body));
      },
    }),
    route({
      method: 'POST',
      path: '/v1/requests/:id/deny',
      summary: 'Denies a request',
      access: 'operator',
      params: idParams,
      body: z.strictObject({}).optional(),
      response: pendingRequestSchema,
      handle: async ({ params, actor }) => view(await approvals.decide(params.id, 'denied', actor)),
    }),
  ];
}

function view(record: RequestRecord): PendingRequest {
  return {
    id: record.id,
    device: record.device,
    fingerprint: record.keyFingerprint,
    remoteAddress: record.remoteAddress,
    receivedAt: iso(record.receivedAtMs),
    expiresAt: iso(record.expiresAtMs),
    status: record.status,
    profile: record.profile,
    factory: record.factory?.name ?? null,
  };
}
