/**
 * The operators' part of the JSON API: what the console and other tools read and change, as it is on the
 * wire. The OpenAPI document at `/v1/openapi.json` is made from these schemas.
 *
 * @module
 */
import { z } from 'zod';
import { isDeviceId, type DeviceId } from '../device-id.ts';
import {
  connectionSchema,
  policyAnswerSchema,
  policyDiffAnswerSchema,
  policyTextMaxBytes,
  commandReplySchema,
  commandWaitMaxSeconds,
} from './broker-query.ts';
import { policyInForceSchema } from './broker-sample.ts';
import { operatorRoles } from './operator-role.ts';

const time = z.iso.datetime();
const count = z.int().min(0);
const deviceId = z.custom<DeviceId>((value) => typeof value === 'string' && isDeviceId(value), {
  error: 'not a device id',
});

// ---- the fleet in numbers ----

/** What a broker last reported of itself. Counters count since its start. */
export const brokerSampleSchema = z.object({
  at: time,
  version: z.string(),
  startedAt: time,
  connections: count,
  sessions: count,
  subscriptions: count,
  retained: count,
  queuedMessages: count,
  queuedBytes: count,
  messagesIn: count,
  messagesOut: count,
  bytesIn: count,
  bytesOut: count,
  denied: count,
  eventLoopLagMs: z.number().min(0),
});

export const brokerSchema = z.object({
  broker: z.string(),
  /** Whether it follows the feed now. */
  connected: z.boolean(),
  /** Since when it follows the feed; null when it does not. */
  since: time.nullable(),
  /** How many changes of the directory it has not reported as in force. */
  changesBehind: count,
  /** Bytes on the way to it. */
  lagBytes: count,
  lastReportAt: time.nullable(),
  sample: brokerSampleSchema.nullable(),
  /** The policy in force there: its own file, the fleet's, or the one that a new state starts with. */
  policy: z
    .object({
      source: z.enum(['file', 'fleet', 'default']),
      sha256: z.string(),
      /** Why the fleet's policy could not be used; absent when it could. */
      fault: z.string().optional(),
    })
    .nullable(),
});
export type BrokerAnswer = z.infer<typeof brokerSchema>;
export const brokersSchema = z.object({ brokers: z.array(brokerSchema) });

export const groupCountSchema = z.object({ group: z.string().nullable(), count });
export const groupsSchema = z.object({ groups: z.array(groupCountSchema) });

export const statsSchema = z.object({
  at: time,
  devices: z.object({
    total: count,
    connected: count,
    byStatus: z.object({
      pending: count,
      active: count,
      suspended: count,
      revoked: count,
      quarantined: count,
    }),
  }),
  /** Identities of services, operators and brokers. */
  services: count,
  /** Active devices by the time that their newest certificate has left; each device is counted once. */
  certificates: z.object({
    ended: count,
    days1: count,
    days7: count,
    days30: count,
    days90: count,
    later: count,
    none: count,
  }),
  lastHour: z.object({ enrollments: count, renewals: count, refusals: count, denials: count }),
  requestsPending: count,
  brokers: z.array(brokerSchema),
});

// ---- history and audit ----

export const historyKinds = [
  'issued',
  'renewed',
  'seen',
  'retired',
  'revoked',
  'suspended',
  'resumed',
  'changed',
  'refused',
  'denied',
  'incident',
  'connected',
  'disconnected',
  'other',
] as const;
export type HistoryKind = (typeof historyKinds)[number];

const detail = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));

export const historyEntrySchema = z.object({
  at: time,
  kind: z.enum(historyKinds),
  /** The action of the audit log; absent for connections. */
  action: z.string().optional(),
  actor: z.string().optional(),
  remoteAddress: z.string().optional(),
  detail,
});
export type HistoryEntry = z.infer<typeof historyEntrySchema>;
export const historySchema = z.object({
  entries: z.array(historyEntrySchema),
  next: z.string().nullable(),
});

export const auditLineSchema = z.object({
  seq: z.int(),
  at: time,
  action: z.string(),
  actor: z.string(),
  device: z.string().optional(),
  remoteAddress: z.string().optional(),
  detail: detail.optional(),
  hash: z.string(),
});
export const auditPageSchema = z.object({
  /** Newest first. */
  lines: z.array(auditLineSchema),
  /** Pass as `after`; a page can be short, or empty, and have a next one. */
  next: z.string().nullable(),
});
export const auditVerdictSchema = z.object({
  ok: z.boolean(),
  lines: count,
  files: count,
  detail: z.string(),
  head: z.object({ seq: z.int(), hash: z.string() }).nullable(),
});

// ---- tokens ----

export const tokenRowSchema = z.object({
  /** How the audit log names it. */
  name: z.string(),
  device: z.string().nullable(),
  group: z.string().nullable(),
  /** The role in the policy that it gives. */
  role: z.string().nullable().optional(),
  profile: z.string().nullable(),
  uses: count,
  usesMax: count,
  createdAt: time,
  expiresAt: time,
  /** `active` tokens can still be used. */
  status: z.enum(['active', 'used', 'expired']),
});
export const tokenPageSchema = z.object({
  tokens: z.array(tokenRowSchema),
  next: z.string().nullable(),
});

// ---- numbers over time, and events ----

export const metricsPointSchema = z.object({
  at: time,
  connections: count,
  sessions: count,
  queuedMessages: count,
  messagesInPerSecond: z.number(),
  messagesOutPerSecond: z.number(),
  bytesInPerSecond: z.number(),
  bytesOutPerSecond: z.number(),
  deniedPerSecond: z.number(),
  /** Of the slowest broker. */
  eventLoopLagMs: z.number(),
});
export type MetricsPoint = z.infer<typeof metricsPointSchema>;
export const metricsHistorySchema = z.object({
  stepMs: count,
  /** Oldest first. */
  points: z.array(metricsPointSchema),
});

/**
 * The types of events at `GET /v1/events`. `audit`: a line of the audit log. `presence`: connections and
 * disconnections, in batches. `metrics`: a point of the metrics history. `brokers`: the list of brokers,
 * when one came or went; `simulation`: a run. Beside them `hello` (the stream begins) and `gap` (dropped events).
 */
export const eventTypes = ['audit', 'presence', 'metrics', 'brokers', 'simulation'] as const;
export type EventType = (typeof eventTypes)[number];

export const presenceChangeSchema = z.object({
  device: z.string(),
  connected: z.boolean(),
  at: time,
  broker: z.string(),
  remoteAddress: z.string(),
  reason: z.string().optional(),
});
export type PresenceChange = z.infer<typeof presenceChangeSchema>;
export const presenceEventSchema = z.object({
  /** How many identities are connected now. */
  connected: count,
  changes: z.array(presenceChangeSchema),
  /** How many more changes there were that are not listed. */
  more: count,
});

// ---- live connections and messages ----

export const deviceConnectionsSchema = z.object({
  connections: z.array(connectionSchema.extend({ broker: z.string() })),
});
export const disconnectedSchema = z.object({ connectionsClosed: count });

export const publishRequestSchema = z.strictObject({
  topic: z.string().min(1).max(1024),
  payload: z.string().max(128 * 1024),
  encoding: z.enum(['utf8', 'base64']).default('utf8'),
  qos: z.union([z.literal(0), z.literal(1), z.literal(2)]).default(0),
  retain: z.boolean().default(false),
  /** The broker that publishes; by default one of those connected. */
  broker: deviceId.optional(),
});
export const publishedSchema = z.object({ published: z.literal(true), broker: z.string() });
/** How long the reply to a command is waited for, in seconds, if the caller does not say it. */
const commandWaitSeconds = 10;
export const commandRequestSchema = z.strictObject({
  /** The topic is `devices/{id}/commands/{name}`. */
  name: z
    .string()
    .min(1)
    .max(256)
    .regex(/^[^+#\0]+$/, 'not a part of a topic'),
  payload: z
    .string()
    .max(128 * 1024)
    .default(''),
  encoding: z.enum(['utf8', 'base64']).default('utf8'),
  qos: z.union([z.literal(0), z.literal(1), z.literal(2)]).default(1),
  waitSeconds: z.int().min(1).max(commandWaitMaxSeconds).default(commandWaitSeconds),
});
export const commandResultSchema = commandReplySchema.extend({
  broker: z.string(),
  topic: z.string(),
  /** Where the reply is expected: the response topic of MQTT 5.0. */
  responseTopic: z.string(),
  /** Whether the device was connected when the command was published. */
  connected: z.boolean(),
});

// ---- operators, keys, sessions ----

const operatorName = z
  .string()
  .max(128)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._@+-]*$/, 'not a name for an operator');
const operatorRole = z.enum(operatorRoles);
const seconds = (max: number): z.ZodOptional<z.ZodInt> => z.int().min(1).max(max).optional();

export const signInOptionsSchema = z.object({
  /** The identity provider: begin at `/v1/sign-in/oidc`; null when none is configured. */
  oidc: z.object({ label: z.string() }).nullable(),
});
export const sessionInfoSchema = z.object({
  operator: z.string(),
  role: operatorRole,
  via: z.enum(['certificate', 'key', 'session']),
  /** To be sent as `X-CSRF-Token` with each call that changes something; null when it is not needed. */
  csrf: z.string().nullable(),
  /** The groups of operations that an API key is limited to; null: no limit. */
  scopes: z.array(z.string()).nullable(),
  expiresAt: time.nullable(),
});
export const linkRequestSchema = z.strictObject({
  /** By default the caller. */
  operator: operatorName.optional(),
  ttlSeconds: seconds(86_400),
});
export const linkSchema = z.object({ url: z.string(), operator: z.string(), expiresAt: time });

export const operatorSchema = z.object({
  name: operatorName,
  role: operatorRole,
  disabled: z.boolean(),
  createdAt: time,
  createdBy: z.string(),
  /** How many API keys it has. */
  keys: count,
});
export const operatorsSchema = z.object({ operators: z.array(operatorSchema) });
export const operatorRequestSchema = z.strictObject({
  role: operatorRole,
  disabled: z.boolean().default(false),
});

export const keySchema = z.object({
  id: z.string(),
  name: z.string(),
  operator: z.string(),
  role: operatorRole,
  scopes: z.array(z.string()).nullable(),
  createdAt: time,
  expiresAt: time,
});
export const keysSchema = z.object({ keys: z.array(keySchema) });
export const keyRequestSchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'not a name for a key'),
  /** By default the caller; another operator's key needs the role `admin`. */
  operator: operatorName.optional(),
  /** At most the operator's own role, which is the default. */
  role: operatorRole.optional(),
  /** Groups of operations (the tags of the OpenAPI document); by default all. */
  scopes: z.array(z.string().max(64)).min(1).max(32).optional(),
  /** Default: 90 days. */
  ttlSeconds: seconds(10 * 365 * 86_400),
});
export const keyCreatedSchema = keySchema.extend({
  /** The one moment when the key can be seen. */
  key: z.string(),
});

// ---- policy ----

const policyText = z.string().min(1).max(policyTextMaxBytes);

export const policyTextRequestSchema = z.strictObject({ text: policyText });
export const policySchema = z.object({
  text: z.string(),
  /** Over the text; also the ETag. */
  sha256: z.string(),
  /** `default`: the fleet has no policy of its own yet. */
  source: z.enum(['fleet', 'default']),
  updatedAt: time.nullable(),
  updatedBy: z.string().nullable(),
  /** What is in force at each broker that reported. */
  brokers: z.array(
    policyInForceSchema.extend({
      broker: z.string(),
      /** Whether it is this policy. */
      isCurrent: z.boolean(),
    }),
  ),
});
export const policyCheckedSchema = z.object({
  ok: z.boolean(),
  roles: z.array(z.object({ name: z.string(), rules: count })),
  error: z
    .object({ detail: z.string(), line: z.int().nullable(), column: z.int().nullable() })
    .nullable(),
});
export const policyExplainRequestSchema = z.strictObject({
  /** By default the fleet's policy. */
  text: policyText.optional(),
  device: z.string().min(1).max(256),
  /** By default those of the registry. */
  role: z.string().min(1).max(64).optional(),
  group: z.string().max(128).optional(),
  attributes: z.record(z.string().max(64), z.string().max(256)).optional(),
  address: z.string().max(64).optional(),
  action: z.enum(['connect', 'publish', 'subscribe', 'receive']),
  /** The topic or filter; for `connect` the client id. */
  topic: z.string().min(1).max(4096),
  qos: z.union([z.literal(0), z.literal(1), z.literal(2)]).optional(),
  retain: z.boolean().optional(),
  payloadBytes: count.optional(),
});
export const policyExplainedSchema = z.object({
  allowed: z.boolean(),
  code: z.string().nullable(),
  rule: z.string().nullable(),
  expansion: z.string().nullable(),
  reason: z.string(),
  nearest: z.object({ rule: z.string(), because: z.string() }).nullable(),
});
export const policyTestRequestSchema = z.strictObject({
  /** By default the fleet's policy. */
  text: policyText.optional(),
  /** YAML, as `flotilla policy test` reads it. */
  tests: z.string().min(1).max(policyTextMaxBytes),
});
/** So many decisions of a test file are listed one by one. */
export const policyCasesMax = 1000;
export const policyTestedSchema = z.object({
  passed: count,
  failures: z.array(z.string()),
  /** The decisions in the order of the file; at most 1000. */
  cases: z.array(
    z.object({
      device: z.string(),
      role: z.string(),
      group: z.string().nullable(),
      attributes: z.record(z.string(), z.string()),
      address: z.string().nullable(),
      standing: z.enum(['full', 'renewal-only', 'quarantined']),
      action: z.enum(['publish', 'subscribe', 'receive', 'connect']),
      topic: z.string(),
      qos: z.int().nullable(),
      retain: z.boolean().nullable(),
      payloadBytes: z.int().nullable(),
      expected: z.boolean(),
      allowed: z.boolean(),
      reason: z.string(),
    }),
  ),
});
export const brokerPolicySchema = policyAnswerSchema;
export const policyDiffSchema = z.object({
  brokers: z.array(policyDiffAnswerSchema.extend({ broker: z.string() })),
});
