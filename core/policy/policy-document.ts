/**
 * The document of policy.yaml: its keys, their values and what they mean. Editors get it as a JSON Schema.
 *
 * @module
 */
import { z } from 'zod';
import { queueOverflows } from '../config/limits.ts';
import { identityConditionSchema } from './identity-condition.ts';
import { templateMaxChars } from './topic-template.ts';

const actions = ['publish', 'subscribe', 'receive'] as const;
const someActions = z.union([z.enum(actions), z.array(z.enum(actions)).min(1).max(3)]);
const billion = 1_000_000_000;
const count = (max: number, description: string): z.ZodOptional<z.ZodInt> =>
  z.int().min(0).max(max).optional().describe(description);

const limitsSchema = z.strictObject({
  messagesPerSecond: count(billion, 'Messages that a connection may publish per second.'),
  messagesBurst: count(billion, 'Messages that may be published at once before the rate applies.'),
  bytesPerSecond: count(billion * 1000, 'Bytes that a connection may publish per second.'),
  bytesBurst: count(billion * 1000, 'Bytes that may be published at once before the rate applies.'),
  connectionsMax: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe('Simultaneous connections of one identity.'),
  subscriptionsMax: count(100_000, 'Subscriptions of one session.'),
  inflightMax: z
    .int()
    .min(1)
    .max(65_535)
    .optional()
    .describe('Messages sent to a client and not acknowledged yet.'),
  queueMaxMessages: count(10_000_000, 'Messages queued for one session.'),
  queueMaxBytes: count(1024 ** 3, 'Bytes queued for one session.'),
  queueOverflow: z
    .enum(queueOverflows)
    .optional()
    .describe('Which message a full queue drops: the oldest or the new one.'),
  queueQos0: z
    .boolean()
    .optional()
    .describe('Whether QoS 0 messages are queued for sessions that are disconnected.'),
  payloadMaxBytes: count(268_435_455, 'Size of a payload.'),
  retainedMax: count(100_000_000, 'Retained messages of one identity.'),
  retainedMaxBytes: count(64 * 1024 ** 3, 'Bytes of the retained messages of one identity.'),
  sessionExpiryMaxSeconds: count(
    4_294_967_295,
    'How long a session is kept after its connection has ended.',
  ),
});

const ruleSchema = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe('Names the rule in explanations and in the log.'),
  allow: someActions.optional().describe('What the rule allows. A rule has allow or deny.'),
  deny: someActions
    .optional()
    .describe('What the rule denies. A rule that denies wins against all that allow.'),
  topics: z
    .array(z.string().min(1).max(templateMaxChars))
    .min(1)
    .max(256)
    .describe('Topic filters. They can contain {device}, {group}, {role} and {attr.NAME}.'),
  qos: z
    .union([z.int().min(0).max(2), z.array(z.int().min(0).max(2)).min(1).max(3)])
    .optional()
    .describe('The rule applies to messages with this quality of service only.'),
  retain: z.boolean().optional().describe('The rule applies to retained messages only, or never.'),
  payloadMinBytes: count(268_435_455, 'The rule applies to payloads of at least this size.'),
  payloadMaxBytes: count(268_435_455, 'The rule applies to payloads of at most this size.'),
  addresses: z
    .array(z.string().min(2).max(64))
    .min(1)
    .max(256)
    .optional()
    .describe('Addresses and networks (10.0.0.0/8) of the client.'),
  when: identityConditionSchema
    .optional()
    .describe('Conditions on the group and the attributes of the identity.'),
});

const roleName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'not a valid role name');
const roleSchema = z.strictObject({
  extends: z
    .union([roleName, z.array(roleName).max(16)])
    .optional()
    .describe('Roles whose rules and limits this role inherits.'),
  clientIds: z
    .enum(['exact', 'prefix', 'any'])
    .optional()
    .describe('exact: the device id; prefix: also the device id, a slash and more; any.'),
  rules: z.array(ruleSchema).max(1000).default([]).describe('What no rule allows is denied.'),
  limits: limitsSchema.optional().describe('Limits of connections and sessions with this role.'),
});

export const policyDocumentSchema = z.strictObject({
  version: z.literal(1).describe('The version of this format.'),
  onDenied: z
    .enum(['close', 'drop'])
    .optional()
    .describe('What happens on a denied PUBLISH of an MQTT 3.1.1 client.'),
  roles: z
    .record(roleName, roleSchema)
    .describe('Permissions by role. Devices have the role device unless they got another.'),
});

/** The limits that a role can have; docs/policy.md describes them. */
export const roleLimitNames: readonly string[] = Object.keys(limitsSchema.shape);
export type RoleDefinition = z.infer<typeof roleSchema>;
export type RuleDefinition = z.infer<typeof ruleSchema>;

/** The JSON Schema of policy.yaml, for editors. */
export function policyJsonSchema(): Record<string, unknown> {
  return {
    ...z.toJSONSchema(policyDocumentSchema, { io: 'input', target: 'draft-2020-12' }),
    $id: 'urn:flotilla:policy',
    title: 'Flotilla policy',
  };
}
