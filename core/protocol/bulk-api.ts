/**
 * One action on many devices: `POST /v1/devices/bulk`.
 *
 * @module
 */
import { z } from 'zod';
import { deviceIdSchema } from './device-id-schema.ts';
import { editRequestSchema, revokeRequestSchema } from './enrollment-api.ts';

const count = z.int().min(0);

export const bulkRequestSchema = z.strictObject({
  /** Which devices: all conditions must hold. */
  filter: z.strictObject({
    ids: z.array(deviceIdSchema).min(1).max(20_000).optional(),
    search: z.string().min(1).max(128).optional(),
    online: z.boolean().optional(),
    prefix: z.string().min(1).max(128).optional(),
    group: z.string().min(1).max(128).optional(),
    /** The role in the policy. */
    role: z.string().min(1).max(64).optional(),
    status: z.enum(['pending', 'active', 'suspended', 'revoked', 'quarantined']).optional(),
    attributes: z.record(z.string().min(1).max(64), z.string().max(256)).optional(),
    expiresWithinSeconds: z.int().min(0).max(1e9).optional(),
  }),
  action: z.enum(['suspend', 'resume', 'revoke', 'delete', 'edit']),
  /** Only counts. */
  dryRun: z.boolean().default(false),
  /** How many devices the caller believes to change: another number changes nothing. */
  expected: count.optional(),
  /** For `revoke`. */
  reason: revokeRequestSchema.shape.reason.optional(),
  /** For `edit`. */
  edit: editRequestSchema.optional(),
});
export const bulkResultSchema = z.object({
  dryRun: z.boolean(),
  matched: count,
  /** The first ids. */
  sample: z.array(z.string()),
  changed: count,
  failed: count,
  failures: z.array(z.object({ id: z.string(), code: z.string() })),
  connectionsClosed: count,
  /** Brokers that have not confirmed it in time. */
  brokersLate: count,
  /** How many brokers were connected, and the names of those that have not confirmed it. */
  brokers: count.optional(),
  brokersUnconfirmed: z.array(z.string()).optional(),
  /** Brokers that are not connected now, and were since the service started. */
  brokersAbsent: z.array(z.string()).optional(),
});
