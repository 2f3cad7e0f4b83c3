/**
 * The directory: what a broker must know of the fleet to decide who may connect, as it travels on
 * the feed from the enrollment service (its only writer) to the brokers.
 *
 * The feed is `GET /v1/feed?epoch=E&since=N` over mutual TLS with a certificate of role `broker`:
 * one JSON document a line ({@link FeedLine}), the response never ends. When the service can go on
 * from `since`, changes follow at once; else a snapshot comes first. Sequence numbers grow by one
 * with each change inside one epoch; a new epoch begins when the service lost its change log (a
 * restart). A line `heartbeat` comes at least every 5 s, so that a broker notices a dead link.
 *
 * The way back is `POST /v1/feed/report` ({@link FeedReport}): what a broker has applied, how many
 * connections it closed by it, which devices came and went, and whom it refused.
 *
 * @module
 */
import { z } from 'zod';
import { invisible } from '../escape.ts';
import { deviceIdSchema } from './device-id-schema.ts';

/** How often the service sends a heartbeat, in ms. */
export const feedHeartbeatMs = 5000;

/** Without leading zeros, as many digits as needed, even count. */
const serialShape = /^(?:[0-9a-f]{2}){1,20}$/;
const serial = z.string().regex(serialShape);

/** Whether a text is the serial number of a certificate, as reports tell it. */
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
});
export type DirectoryCertificate = z.infer<typeof directoryCertificateSchema>;

/** What a broker knows of one identity: a device, a service, an administrator, a broker. */
export const directoryEntrySchema = z.strictObject({
  id: deviceIdSchema,
  /** The policy's role: `device`, `service`, `admin`, `broker`, or one of the operator's own. */
  role: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
  status: z.enum(['active', 'suspended', 'revoked', 'quarantined']),
  group: z.string().max(128).nullable(),
  attributes: z.record(z.string().max(64), z.string().max(256)),
  certificates: z.array(directoryCertificateSchema).max(16),
});
export type DirectoryEntry = z.infer<typeof directoryEntrySchema>;

const sequence = z.int().min(0);

/** One line of the feed. */
export const feedLineSchema = z.discriminatedUnion('type', [
  /** `graceMs`: how long after its end a certificate may still be used to renew, and nothing else. */
  z.strictObject({
    type: z.literal('hello'),
    epoch: z.string().min(1).max(64),
    sequence,
    graceMs: z.int().min(0),
  }),
  /** Everything known before is void; entries follow, then `snapshot-end`. */
  z.strictObject({ type: z.literal('snapshot-begin'), sequence }),
  z.strictObject({ type: z.literal('entry'), entry: directoryEntrySchema }),
  z.strictObject({ type: z.literal('snapshot-end'), sequence }),
  z.strictObject({ type: z.literal('change'), sequence, entry: directoryEntrySchema }),
  z.strictObject({ type: z.literal('removed'), sequence, id: deviceIdSchema }),
  /** The CA certificates that brokers trust from now on, PEM, roots and issuers. */
  z.strictObject({ type: z.literal('authorities'), sequence, pem: z.array(z.string()).max(16) }),
  z.strictObject({ type: z.literal('heartbeat'), sequence }),
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

/** One coming or going of a connection. */
export const presenceSchema = z.strictObject({
  id: deviceIdSchema,
  connected: z.boolean(),
  atMs: z.int(),
  /** The serial number of the certificate that was used. */
  serial,
  remoteAddress: z.string().max(64),
  /** Why it went; absent when it came. */
  reason: z.string().max(128).optional(),
});
export type Presence = z.infer<typeof presenceSchema>;

/** The most of each list in one report. */
export const reportMax = {
  closed: 1000,
  presence: 1000,
  denied: 100,
  incidents: 100,
  refusals: 1000,
} as const;
/**
 * The largest body of a report, in bytes. A report with every list full of the longest entries is
 * smaller (a test builds it): one that is too large would be refused, and come again, for ever.
 */
export const feedReportMaxBytes = 4 * 1024 * 1024;

/** How long what strangers wrote may be in an entry, in characters. */
export const reportedTextMaxChars = 128;
/** What strangers wrote, made visible (see `visible`): nothing in it that a terminal could obey. */
const told = (maxChars: number): z.ZodType<string> =>
  z
    .string()
    .max(maxChars)
    .refine((text) => !invisible.test(text), 'Expected visible text');

/** Denials of one identity since the last report. */
export const deniedSchema = z.strictObject({
  id: deviceIdSchema,
  /** How many in all. */
  count: z.int().min(1),
  /** The latest ones, oldest first. */
  last: z
    .array(
      z.strictObject({
        atMs: z.int(),
        action: z.enum(['connect', 'publish', 'subscribe', 'receive']),
        topic: told(256),
        code: z.string().max(64),
      }),
    )
    .max(10),
});
export type Denied = z.infer<typeof deniedSchema>;

/**
 * A clone, an overlap or a flapping device, seen by a broker. `reaction` is what the service must make lasting:
 * `suspend` and `quarantine` are the status that the identity gets; `log` is for the audit alone.
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
 * Where somebody was refused: in the TLS handshake or before it; between it and CONNACK; by the policy,
 * on publishing, subscribing, or being sent something; for a packet that broke a rule, which ended the
 * connection; or it was a file that was not taken over.
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

/** Refusals that are alike: same reason, same party, same topic. */
export const refusalSchema = z.strictObject({
  /** The reason, of the error catalogue. */
  code: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/),
  stage: z.enum(refusalStages),
  /** Only a name that our own CA vouches for, as it does for the serial. */
  id: deviceIdSchema.optional(),
  serial: serial.optional(),
  address: told(64).optional(),
  topic: told(reportedTextMaxChars).optional(),
  /** Of the first of them. */
  detail: told(reportedTextMaxChars).optional(),
  count: z.int().min(1),
  firstAtMs: timeMs,
  lastAtMs: timeMs,
  /** The sum of those of this reason for which there was no room apart: of any party and topic. */
  rest: z.literal(true).optional(),
});
export type Refusal = z.infer<typeof refusalSchema>;

/**
 * The refusals of one report. A batch is sent again, unchanged and under its number, until it was
 * taken: `run` names the run of the broker, in which numbers grow by one.
 */
export const refusalBatchSchema = z.strictObject({
  run: z.string().min(1).max(64),
  number: z.int().min(1),
  entries: z.array(refusalSchema).min(1).max(reportMax.refusals),
});
export type RefusalBatch = z.infer<typeof refusalBatchSchema>;

/** What a broker tells the service. */
export const feedReportSchema = z.strictObject({
  epoch: z.string().min(1).max(64),
  /** All changes up to this one are in force at this broker. */
  applied: sequence,
  /** How many live connections each change closed; zeros left out. */
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
