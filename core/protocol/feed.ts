/**
 * The protocol of the feed, which sends the directory from the enrollment service (its only writer) to
 * the brokers. The directory is what a broker needs to know about the fleet to admit connections.
 *
 * The feed is `GET /v1/feed?epoch=E&since=N` (and what generation.ts says) over mutual TLS with a certificate of role `broker`:
 * one JSON document per line ({@link FeedLine}); the response never ends. If the service can continue
 * from `since`, changes follow immediately; otherwise it sends a snapshot first. Sequence numbers grow
 * by one with each change inside an epoch; a new epoch begins with each run of the service. With a registry in a
 * database the service knows the changes of earlier runs as well: then `hello` says that it continues from what
 * the broker has. A `heartbeat` line is sent at least every 5 s, so that a broker notices a dead
 * connection.
 *
 * Brokers report with `POST /v1/feed/report` ({@link FeedReport}): the changes that they applied, how
 * many connections they closed, which devices connected and disconnected, and what they refused.
 *
 * @module
 */
import { z } from 'zod';
import { invisible } from '../escape.ts';
import { deviceIdSchema } from './device-id-schema.ts';
import { helloGenerationSchema } from './generation.ts';
import { roleNameSchema } from './policy-role.ts';

/** How often the service sends a heartbeat, in ms. */
export const feedHeartbeatMs = 5000;

/** Without leading zeros, as many digits as needed, even count. */
const serialShape = /^(?:[0-9a-f]{2}){1,20}$/;
const serial = z.string().regex(serialShape);

/** Whether a text is the serial number of a certificate, as reports contain it. */
export function isSerial(text: string): boolean {
  return serialShape.test(text);
}

/** One certificate of an identity. Serial and fingerprint are lower-case hexadecimal. */
export const directoryCertificateSchema = z.strictObject({
  serial,
  /** `sha256:` and 64 hexadecimal digits over the DER. */
  fingerprint: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  notBeforeMs: z.int(),
  notAfterMs: z.int(),
  /** `retired`: replaced by a newer one that was seen connecting. */
  status: z.enum(['active', 'revoked', 'retired']),
  /** Of a certificate with names of a server: the fingerprint of its issuer, which is not that of other devices. */
  issuer: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/)
    .optional(),
});
export type DirectoryCertificate = z.infer<typeof directoryCertificateSchema>;

/** An identity in the directory: a device, a service, an administrator or a broker. */
export const directoryEntrySchema = z.strictObject({
  id: deviceIdSchema,
  /** The role in the policy: `device`, `service`, `admin`, `broker`, or one that the operator defines. */
  role: roleNameSchema,
  status: z.enum(['active', 'suspended', 'revoked', 'quarantined']),
  group: z.string().max(128).nullable(),
  attributes: z.record(z.string().max(64), z.string().max(256)),
  certificates: z.array(directoryCertificateSchema).max(16),
  /**
   * When the identity was created. A name that was deleted and is used again has another time: a broker
   * must not give the sessions of the earlier identity to it.
   */
  createdAtMs: z.int().optional(),
  /** The enrollment profile, unless it is the default one. */
  profile: z.string().min(1).max(64).optional(),
});
export type DirectoryEntry = z.infer<typeof directoryEntrySchema>;

const sequence = z.int().min(0);

/** The newest change that a broker has, as an earlier run of the service has named it. */
const feedContinuationSchema = z.strictObject({ epoch: z.string().min(1).max(64), sequence });
export type FeedContinuation = z.infer<typeof feedContinuationSchema>;

/** One line of the feed. */
export const feedLineSchema = z.discriminatedUnion('type', [
  /** `graceMs`: how long after its end a certificate may still be used for renewal, and only for that. */
  z.strictObject({
    type: z.literal('hello'),
    epoch: z.string().min(1).max(64),
    sequence,
    graceMs: z.int().min(0),
    /** To brokers with the feature `generation`. */
    generation: helloGenerationSchema.optional(),
    /**
     * To brokers with the feature `continuation`: what they have under this name is now `sequence` of `epoch`, and the
     * changes since follow, some of them for the second time.
     */
    continues: feedContinuationSchema.optional(),
  }),
  /** All earlier entries are void; new entries follow, then `snapshot-end`. */
  z.strictObject({ type: z.literal('snapshot-begin'), sequence }),
  z.strictObject({ type: z.literal('entry'), entry: directoryEntrySchema }),
  z.strictObject({ type: z.literal('snapshot-end'), sequence }),
  /** `commit`: the commit of the registry, to brokers with the feature `generation`. */
  z.strictObject({
    type: z.literal('change'),
    sequence,
    commit: sequence.optional(),
    entry: directoryEntrySchema,
  }),
  z.strictObject({
    type: z.literal('removed'),
    sequence,
    commit: sequence.optional(),
    id: deviceIdSchema,
  }),
  /** The CA certificates that brokers trust from now on, PEM, roots and issuers. */
  z.strictObject({ type: z.literal('authorities'), sequence, pem: z.array(z.string()).max(16) }),
  z.strictObject({ type: z.literal('heartbeat'), sequence }),
  /**
   * The fleet's policy; null: the fleet has none. Comes after `hello` and with each change, to brokers that
   * name the feature `policy`.
   */
  z.strictObject({
    type: z.literal('policy'),
    text: z
      .string()
      .max(512 * 1024)
      .nullable(),
  }),
  /** A question to this broker; see broker-query.ts. Kinds that a broker does not know are answered so. */
  z.strictObject({
    type: z.literal('query'),
    id: z.int().min(1),
    query: z.looseObject({ kind: z.string().max(64) }),
  }),
  /** Nobody waits for the answer to a question any more. */
  z.strictObject({ type: z.literal('query-end'), id: z.int().min(1) }),
]);
export type FeedLine = z.infer<typeof feedLineSchema>;
/** A question to a broker, or the end of one. */
export type QueryLine = Extract<FeedLine, { type: 'query' | 'query-end' }>;

/** A connect or disconnect. */
export const presenceSchema = z.strictObject({
  id: deviceIdSchema,
  connected: z.boolean(),
  atMs: z.int(),
  /** The serial number of the certificate that was used. */
  serial,
  remoteAddress: z.string().max(64),
  /** The reason of a disconnect; absent for a connect. */
  reason: z.string().max(128).optional(),
});
export type Presence = z.infer<typeof presenceSchema>;

/** The maximum length of each list in a report. */
export const reportMax = {
  closed: 1000,
  presence: 1000,
  denied: 100,
  incidents: 100,
  refusals: 1000,
} as const;
/**
 * The largest body of a report, in bytes. A report with the longest entries in every list is smaller (a
 * test builds it): one that is too large would be rejected and sent again without end.
 */
export const feedReportMaxBytes = 4 * 1024 * 1024;

/** The maximum length of text from clients in an entry, in characters. */
export const reportedTextMaxChars = 128;
/** Text from clients, escaped by `visible`: it contains nothing that a terminal interprets. */
const reportedText = (maxChars: number): z.ZodType<string> =>
  z
    .string()
    .max(maxChars)
    .refine((text) => !invisible.test(text), 'Expected visible text');

/** Denials of one identity since the last report. */
export const deniedSchema = z.strictObject({
  id: deviceIdSchema,
  /** The total number. */
  count: z.int().min(1),
  /** The latest of them, oldest first. */
  last: z
    .array(
      z.strictObject({
        atMs: z.int(),
        action: z.enum(['connect', 'publish', 'subscribe', 'receive']),
        topic: reportedText(256),
        code: z.string().max(64),
      }),
    )
    .max(10),
});
export type Denied = z.infer<typeof deniedSchema>;

/**
 * A clone, an overlap or a flapping device that a broker detected. `reaction` is what the service makes
 * permanent: `suspend` and `quarantine` set the status of the identity, `log` only writes the audit log.
 */
export const incidentSchema = z.strictObject({
  id: deviceIdSchema,
  kind: z.enum(['clone', 'overlap', 'flapping']),
  atMs: z.int(),
  serial,
  addresses: z.array(z.string().max(64)).max(16),
  reaction: z.enum(['log', 'quarantine', 'suspend']),
});
export type Incident = z.infer<typeof incidentSchema>;

/**
 * The stage of a refusal: in the TLS handshake or before it; between the handshake and CONNACK; by the
 * policy, for a publish, a subscription or a delivery; for a packet that violated the protocol, which
 * ended the connection; or for a changed file that could not be loaded.
 */
export const refusalStages = [
  'handshake',
  'connect',
  'publish',
  'subscribe',
  'receive',
  'packet',
  'reload',
] as const;

const timeMs = z.int().min(0).max(8_640_000_000_000_000);

/** Refusals with the same reason, client and topic. */
export const refusalSchema = z.strictObject({
  /** The reason, as a code of the error catalogue. */
  code: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/),
  stage: z.enum(refusalStages),
  /** Only a name, and a serial number, in a certificate of our own CA. */
  id: deviceIdSchema.optional(),
  serial: serial.optional(),
  address: reportedText(64).optional(),
  topic: reportedText(reportedTextMaxChars).optional(),
  /** The detail of the first of them. */
  detail: reportedText(reportedTextMaxChars).optional(),
  count: z.int().min(1),
  firstAtMs: timeMs,
  lastAtMs: timeMs,
  /** Set for the sum of all refusals with this reason that exceeded the limit of separate entries. */
  rest: z.literal(true).optional(),
});
export type Refusal = z.infer<typeof refusalSchema>;

/**
 * The refusals of one report. A batch is sent again, unchanged and with its number, until the service
 * has accepted it. `run` identifies the run of the broker, in which numbers grow by one.
 */
export const refusalBatchSchema = z.strictObject({
  run: z.string().min(1).max(64),
  number: z.int().min(1),
  entries: z.array(refusalSchema).min(1).max(reportMax.refusals),
});
export type RefusalBatch = z.infer<typeof refusalBatchSchema>;

/** The report of a broker to the enrollment service. */
export const feedReportSchema = z.strictObject({
  epoch: z.string().min(1).max(64),
  /** All changes up to this sequence number are in force at this broker. */
  applied: sequence,
  /** How many live connections each change closed, without zeros. */
  closed: z
    .array(z.strictObject({ sequence, connections: z.int().min(1) }))
    .max(reportMax.closed)
    .default([]),
  presence: z.array(presenceSchema).max(reportMax.presence).default([]),
  denied: z.array(deniedSchema).max(reportMax.denied).default([]),
  incidents: z.array(incidentSchema).max(reportMax.incidents).default([]),
  refusals: refusalBatchSchema.optional(),
});
export type FeedReport = z.infer<typeof feedReportSchema>;
