/**
 * Questions of the enrollment service to a broker, and their answers.
 *
 * A question is a line `query` on the feed, which the broker opened, so that no port of a broker needs to
 * be reachable. The broker answers with `POST /v1/feed/answer`: once, or for `tail` in parts, of which the
 * last says `done`. The service takes answers only from the broker that it asked, and stops waiting after
 * the deadline of the question. A broker says with the header `flotilla-features: query` on its request for
 * the feed that it understands such lines.
 *
 * @module
 */
import { z } from 'zod';
import { isDeviceId, type DeviceId } from '../device-id.ts';
import { policyInForceSchema } from './broker-sample.ts';
import { directoryEntrySchema } from './feed.ts';

/** The header with which a broker names what it understands beside the directory. */
export const featuresHeader = 'flotilla-features';
export const queryFeature = 'query';
/** The fleet's policy comes over the feed. */
export const policyFeature = 'policy';
/** The broker knows `createdAtMs` in entries; others reject a line with it. */
export const createdFeature = 'created';

/**
 * The broker keeps what only the service needs after a restore: profiles that are not the default one, and issuers of
 * certificates of servers. Others reject a line with them.
 */
export const restoreFeature = 'restore';

/** The broker says which state of the registry it knows; see generation.ts. */
export const generationFeature = 'generation';

/** The broker goes on with the changes that it misses after another run of the service, or another instance, took over. */
export const continuationFeature = 'continuation';

/** The largest body of an answer, in bytes. */
export const answerMaxBytes = 2 * 1024 * 1024;
export const queryPageItemsMax = 1000;
/** The largest payload that is published for an operator, in bytes. */
export const publishPayloadMaxBytes = 64 * 1024;
/** Of each message that an operator looks at so many bytes are shown. */
export const shownPayloadMaxBytes = 16 * 1024;
/** The largest policy, in characters. */
export const policyTextMaxBytes = 256 * 1024;
export const tailMaxMessages = 10_000;
export const tailMaxSeconds = 3600;
/** The longest time that an operator waits for the reply to a command, in seconds. */
export const commandWaitMaxSeconds = 30;
/** Longer correlation data of a message is not shown to operators, in bytes. */
export const shownCorrelationMaxBytes = 64;

const count = z.int().min(0);
const time = z.iso.datetime();
const limit = z.int().min(1).max(queryPageItemsMax);
const after = z.string().max(65_535).optional();
const topic = z.string().min(1).max(65_535);
const qos = z.union([z.literal(0), z.literal(1), z.literal(2)]);
const deviceId = z.custom<DeviceId>((value) => typeof value === 'string' && isDeviceId(value));

/** The operator for whom a broker acts; its policy decides by the role. */
export const operatorSubjectSchema = z.strictObject({
  name: z.string().min(1).max(256),
  /** A role of the policy. */
  role: z.string().min(1).max(64),
  remoteAddress: z.string().max(64),
});
export type OperatorSubject = z.infer<typeof operatorSubjectSchema>;

export const brokerQuerySchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('connections'),
    device: z.string().max(128).optional(),
    /** A part of the client id or the address. */
    search: z.string().max(128).optional(),
    limit,
    after,
  }),
  z.strictObject({
    kind: z.literal('sessions'),
    device: z.string().max(128).optional(),
    search: z.string().max(128).optional(),
    /** `queue`: the longest queue first, one page only. */
    sort: z.enum(['clientId', 'queue']),
    limit,
    after,
  }),
  z.strictObject({ kind: z.literal('session'), clientId: z.string().min(1).max(65_535) }),
  z.strictObject({
    kind: z.literal('retained'),
    subject: operatorSubjectSchema,
    /** What topics begin with. */
    prefix: z.string().max(65_535),
    limit,
    after,
  }),
  z.strictObject({
    kind: z.literal('disconnect'),
    device: deviceId,
    clientId: z.string().max(65_535).optional(),
  }),
  z.strictObject({
    kind: z.literal('publish'),
    subject: operatorSubjectSchema,
    topic,
    /** Base64. */
    payload: z.base64().max(Math.ceil((publishPayloadMaxBytes * 4) / 3) + 4),
    qos,
    retain: z.boolean(),
  }),
  /** Publishes a command and waits for the reply of the device. */
  z.strictObject({
    kind: z.literal('command'),
    subject: operatorSubjectSchema,
    topic,
    /** Base64. */
    payload: z.base64().max(Math.ceil((publishPayloadMaxBytes * 4) / 3) + 4),
    qos,
    /** Topics of the reply; the first one is the response topic of MQTT 5.0. */
    replyTopics: z.array(topic).min(1).max(4),
    waitSeconds: z.int().min(1).max(commandWaitMaxSeconds),
  }),
  /** Identities about which the broker knows more than a registry that was restored; see generation.ts. */
  z.strictObject({ kind: z.literal('earlier'), limit, after }),
  z.strictObject({ kind: z.literal('policy') }),
  z.strictObject({ kind: z.literal('policy-diff'), text: z.string().max(policyTextMaxBytes) }),
  z.strictObject({
    kind: z.literal('tail'),
    subject: operatorSubjectSchema,
    filter: topic,
    seconds: z.int().min(1).max(tailMaxSeconds),
    messagesMax: z.int().min(1).max(tailMaxMessages),
  }),
]);
export type BrokerQuery = z.infer<typeof brokerQuerySchema>;
export type BrokerQueryKind = BrokerQuery['kind'];

// ---- answers ----

export const connectionSchema = z.object({
  device: z.string(),
  /** Null until CONNECT was accepted. */
  clientId: z.string().nullable(),
  remoteAddress: z.string(),
  connectedAt: time,
  /** 3, 4 (3.1.1) or 5. */
  protocolVersion: z.int().nullable(),
  tlsVersion: z.string(),
  tlsResumed: z.boolean(),
  role: z.string(),
  group: z.string().nullable(),
  /** `full`, `renewal-only`, or `quarantined`. */
  standing: z.string(),
  serial: z.string(),
  certificateNotAfter: time,
  keepAliveSeconds: z.number().nullable(),
  subscriptions: count,
  queuedMessages: count,
  queuedBytes: count,
  inFlight: count,
});
export type ConnectionAnswer = z.infer<typeof connectionSchema>;

export const sessionSchema = z.object({
  clientId: z.string(),
  device: z.string(),
  connected: z.boolean(),
  protocolVersion: z.int(),
  /** Null: never. */
  expirySeconds: z.number().nullable(),
  subscriptions: count,
  queuedMessages: count,
  queuedBytes: count,
  inFlight: count,
  willTopic: z.string().nullable(),
});
export type SessionAnswer = z.infer<typeof sessionSchema>;

export const subscriptionSchema = z.object({
  filter: z.string(),
  qos,
  noLocal: z.boolean(),
  retainAsPublished: z.boolean(),
  identifier: z.int().nullable(),
});

export const messageSchema = z.object({
  topic: z.string(),
  /** As `encoding` says; cut to the first bytes when `truncated`. */
  payload: z.string(),
  encoding: z.enum(['utf8', 'base64']),
  bytes: count,
  truncated: z.boolean(),
  qos,
  retain: z.boolean(),
  at: time,
  /** The client id of the publisher; null when the broker itself published. */
  publisher: z.string().nullable(),
  /** Base64; absent when the message has none, or a long one. */
  correlationData: z.string().optional(),
});
export type MessageAnswer = z.infer<typeof messageSchema>;

const next = z.string().nullable();
export const connectionsAnswerSchema = z.object({ connections: z.array(connectionSchema), next });
export const sessionsAnswerSchema = z.object({ sessions: z.array(sessionSchema), next });
export const sessionDetailSchema = sessionSchema.extend({
  /** At most 1000. */
  filters: z.array(subscriptionSchema),
});
export const retainedAnswerSchema = z.object({
  messages: z.array(messageSchema),
  next,
  /** False when there were too many topics to look at all: use a longer prefix. */
  complete: z.boolean(),
});
export const disconnectAnswerSchema = z.object({ connectionsClosed: count });
export const publishAnswerSchema = z.object({ published: z.literal(true) });
export const commandReplySchema = z.object({
  /** Null: no reply in time. */
  reply: messageSchema.nullable(),
  /** What shows that it is the reply: its correlation data (MQTT 5.0), or only its topic. */
  matchedBy: z.enum(['correlation', 'topic']).nullable(),
  /** How long the reply took, or was waited for. */
  afterMs: count,
});
/** The first part comes when the command is published, the last one with the reply. */
const commandAnswerSchema = publishAnswerSchema.extend(commandReplySchema.shape);
export const tailAnswerSchema = z.object({
  messages: z.array(messageSchema),
  /** Messages that were not shown because they came too fast. */
  dropped: count,
});

export const policyAnswerSchema = policyInForceSchema.extend({ text: z.string() });
export const policyDiffAnswerSchema = z.object({
  /** Subscriptions that would be taken away; at most 1000 are listed. */
  lost: z.array(
    z.object({
      device: z.string(),
      clientId: z.string(),
      filter: z.string(),
      /** The rule that denies it; null: no rule allows it. */
      rule: z.string().nullable(),
    }),
  ),
  total: count,
  /** How many subscriptions were looked at. */
  subscriptions: count,
});

export const earlierAnswerSchema = z.object({
  identities: z.array(
    z.object({
      id: deviceId,
      /** As the broker knew it before the restore; null: it was deleted. */
      entry: directoryEntrySchema.nullable(),
    }),
  ),
  next,
});
export type EarlierIdentity = z.infer<typeof earlierAnswerSchema>['identities'][number];

/** What each question is answered with. */
export const brokerAnswerSchemas = {
  connections: connectionsAnswerSchema,
  sessions: sessionsAnswerSchema,
  session: sessionDetailSchema,
  retained: retainedAnswerSchema,
  disconnect: disconnectAnswerSchema,
  publish: publishAnswerSchema,
  command: commandAnswerSchema,
  earlier: earlierAnswerSchema,
  policy: policyAnswerSchema,
  'policy-diff': policyDiffAnswerSchema,
  tail: tailAnswerSchema,
} as const satisfies Record<BrokerQueryKind, z.ZodType>;
export type BrokerAnswerOf<Kind extends BrokerQueryKind> = z.infer<
  (typeof brokerAnswerSchemas)[Kind]
>;

/** The body of `POST /v1/feed/answer`. */
export const queryReplySchema = z.strictObject({
  id: z.int().min(1),
  /** Whether this is the last part. */
  done: z.boolean(),
  result: z.unknown().optional(),
  /** Why there is no result. */
  error: z
    .strictObject({ code: z.string().max(64), detail: z.string().max(2000).optional() })
    .optional(),
});
export type QueryReply = z.infer<typeof queryReplySchema>;
