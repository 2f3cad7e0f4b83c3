/**
 * The shape of each row on the disk, for the check of a state folder. The service itself does not parse every
 * row at each start: it relies on the checksums.
 *
 * @module
 */
import { z } from 'zod';
import { deviceIdSchema } from '../../core/protocol/device-id-schema.ts';
import { revocationReasons } from '../../core/protocol/enrollment-api.ts';
import { operatorRoles } from '../../core/protocol/operator-role.ts';
import { auditActions } from '../audit/audit-event.ts';
import type { TableName } from './records.ts';

const version = z.int().min(1);
const timeMs = z.number().min(0);
const text = z.string();
const nullableText = z.string().nullable();
const hash = z.string().regex(/^[0-9a-f]{64}$/, 'not a SHA-256 hash');
const fingerprint = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'not a fingerprint');
const serial = z.string().regex(/^[0-9a-f]{1,64}$/, 'not a serial number');
const count = z.int().min(0);

const certificate = z.object({
  serial,
  fingerprint,
  keyFingerprint: fingerprint,
  key: z.base64(),
  issuer: fingerprint,
  notBeforeMs: timeMs,
  notAfterMs: timeMs,
  status: z.enum(['active', 'revoked', 'retired']),
  retiredAtMs: timeMs.optional(),
  seenAtMs: timeMs.optional(),
  names: z.array(text).optional(),
  adopted: z.literal(true).optional(),
});

/** Rows may have further fields, which a later version has added. */
export const recordSchemas: {
  readonly [T in TableName]: z.ZodType;
} = {
  devices: z.object({
    version,
    id: deviceIdSchema,
    role: text.min(1),
    policyRole: text.min(1).optional(),
    status: z.enum(['pending', 'active', 'suspended', 'revoked', 'quarantined']),
    heldSinceMs: timeMs.optional(),
    group: nullableText,
    attributes: z.record(z.string(), z.string()),
    profile: text,
    factory: text.optional(),
    createdAtMs: timeMs,
    certificates: z.array(certificate),
  }),
  tokens: z.object({
    version,
    hash,
    device: deviceIdSchema.nullable(),
    group: nullableText,
    profile: nullableText,
    reenrolls: z.boolean().optional(),
    cmpSeed: text.optional(),
    usesMax: count,
    uses: count,
    createdAtMs: timeMs,
    expiresAtMs: timeMs,
  }),
  answers: z.object({
    version,
    key: text,
    device: deviceIdSchema,
    serial,
    certificate: z.base64(),
    issuer: fingerprint,
    expiresAtMs: timeMs,
  }),
  requests: z.object({
    version,
    id: text,
    device: deviceIdSchema,
    csr: z.base64(),
    keyFingerprint: fingerprint,
    remoteAddress: text,
    status: z.enum(['pending', 'approved', 'denied']),
    receivedAtMs: timeMs,
    expiresAtMs: timeMs,
  }),
  revocations: z.object({
    version,
    serial,
    device: deviceIdSchema,
    issuer: fingerprint,
    keyFingerprint: fingerprint,
    atMs: timeMs,
    reason: z.enum(revocationReasons),
    notAfterMs: timeMs,
  }),
  blockedKeys: z.object({
    version,
    keyFingerprint: fingerprint,
    device: deviceIdSchema,
    atMs: timeMs,
  }),
  factories: z.object({ version, name: text, certificate: text, fingerprint, createdAtMs: timeMs }),
  operators: z.object({
    version,
    name: text,
    role: z.enum(operatorRoles),
    disabled: z.boolean(),
    createdAtMs: timeMs,
    createdBy: text,
  }),
  apiKeys: z.object({
    version,
    hash: text,
    id: text,
    name: text,
    operator: text,
    role: z.enum(operatorRoles),
    scopes: z.array(z.string()).nullable(),
    createdAtMs: timeMs,
    expiresAtMs: timeMs,
  }),
  sessions: z.object({
    version,
    hash: text,
    kind: z.enum(['session', 'link']),
    operator: text,
    source: z.enum(['operator', 'identity', 'provider']),
    createdAtMs: timeMs,
    expiresAtMs: timeMs,
  }),
  documents: z.object({
    version,
    name: text,
    text,
    sha256: hash,
    updatedAtMs: timeMs,
    updatedBy: text,
  }),
};

const tableName = z.custom<TableName>(
  (value) => typeof value === 'string' && Object.hasOwn(recordSchemas, value),
  { error: 'not a table' },
);

/** A line of the journal. Its rows are checked with those of the shards. */
export const journalLineSchema = z.object({
  n: z.int().min(1),
  at: z.number(),
  put: z.array(z.tuple([tableName, z.looseObject({ version })])),
  del: z.array(z.tuple([tableName, z.string()])),
  events: z.array(z.looseObject({ action: z.enum(auditActions), actor: z.string() })),
});
