/**
 * Every limit that an operator can set, with its unit in its name and its default. They are set in
 * flotilla.yaml under `limits`; docs/configuration.md lists them. Bounds that nobody needs to change
 * are constants beside the code that they protect.
 *
 * @module
 */
import { z } from 'zod';
import { defaultTopicLimits } from '../topic.ts';

const kib = 1024;
const mib = 1024 * kib;

/** A whole number from `min` to `max`, `usual` unless set. `meaning` goes into the documentation. */
const whole = (usual: number, min: number, max: number, meaning: string): z.ZodDefault<z.ZodInt> =>
  z.int().min(min).max(max).default(usual).describe(meaning);

/** What gives way when a queue is full. */
export const queueOverflows = ['drop-oldest', 'drop-newest'] as const;
export type QueueOverflow = (typeof queueOverflows)[number];

/** What one MQTT connection, and all of them together, may use. */
export const brokerLimitsSchema = z.strictObject({
  connectionsMax: whole(50_000, 1, 1_000_000, 'Connections in all, those before CONNECT included.'),
  connectionsPerDeviceMax: whole(
    4,
    1,
    1000,
    'Connections of one identity at a time, by different client ids.',
  ),
  handshakeTimeoutMs: whole(
    10_000,
    100,
    120_000,
    'From the TCP connection to the end of the TLS handshake.',
  ),
  handshakesRunningMax: whole(
    1000,
    1,
    10_000,
    'TLS handshakes that are worked on at a time, while there is time to spare.',
  ),
  handshakesHalfOpenMax: whole(
    20_000,
    1,
    1_000_000,
    'Accepted connections whose TLS handshake is not done, those that wait included.',
  ),
  handshakesHalfOpenPerAddressMax: whole(10_000, 1, 1_000_000, 'The same from one address.'),
  handshakesPerSecondMax: whole(0, 0, 1_000_000, 'TLS handshakes begun a second; 0 is no limit.'),
  handshakesPerAddressPerSecondMax: whole(
    0,
    0,
    1_000_000,
    'Connections taken from one address a second; 0 is no limit.',
  ),
  connectsPerDevicePerMinuteMax: whole(
    60,
    1,
    1_000_000,
    'Connections of one identity a minute; more is flapping, and refused until the minute is over.',
  ),
  connectTimeoutMs: whole(
    10_000,
    100,
    120_000,
    'From the end of the TLS handshake to a whole CONNECT.',
  ),
  packetMaxBytes: whole(
    1 * mib,
    256,
    268_435_455,
    'One MQTT packet, by its declared length, before it is buffered.',
  ),
  connectPacketMaxBytes: whole(
    80 * kib,
    256,
    1 * mib,
    'The CONNECT packet, will and properties included.',
  ),
  topicMaxBytes: whole(
    defaultTopicLimits.maxBytes,
    16,
    65_535,
    'A topic name or filter, in bytes of UTF-8.',
  ),
  topicLevelsMax: whole(defaultTopicLimits.levelsMax, 2, 256, 'Levels of a topic name or filter.'),
  subscriptionsPerSessionMax: whole(100, 1, 100_000, 'Subscriptions of one session.'),
  subscriptionsPerPacketMax: whole(100, 1, 10_000, 'Filters in one SUBSCRIBE or UNSUBSCRIBE.'),
  inflightOutMax: whole(
    100,
    1,
    65_535,
    'QoS 1 and 2 messages on their way to one client, unacknowledged.',
  ),
  inflightInMax: whole(
    100,
    1,
    65_535,
    'QoS 1 and 2 messages on their way from one client, unacknowledged.',
  ),
  topicAliasesMax: whole(
    16,
    0,
    65_535,
    'Topic aliases that a client may set (MQTT 5.0); 0 allows none.',
  ),
  queuePerSessionMaxMessages: whole(
    10_000,
    0,
    10_000_000,
    'Messages that wait for one session, connected or not.',
  ),
  queuePerSessionMaxBytes: whole(
    16 * mib,
    0,
    1024 * mib,
    'Bytes of the messages that wait for one session.',
  ),
  queueOverflow: z
    .enum(queueOverflows)
    .default('drop-oldest')
    .describe(
      'What gives way when the queue of a session is full and nothing of QoS 0 waits in it: the oldest message that is not in flight, or the new one.',
    ),
  queueQos0: z
    .boolean()
    .default(false)
    .describe(
      'Whether QoS 0 messages wait, in memory, for kept sessions that are away. They are the first to give way.',
    ),
  outboundPerConnectionMaxBytes: whole(
    4 * mib,
    16 * kib,
    1024 * mib,
    'Bytes written to one connection that its client has not read yet.',
  ),
  sessionsPerDeviceMax: whole(
    16,
    1,
    100_000,
    'Sessions of one identity that are kept; one more ends the one that is away the longest.',
  ),
  outboundStalledMaxMs: whole(
    20_000,
    1000,
    3_600_000,
    'How long a client may read nothing of what waits for it, before it is cut.',
  ),
  sessionExpiryMaxSeconds: whole(
    7 * 86_400,
    0,
    4_294_967_295,
    'How long a session is kept after its connection; longer wishes are cut.',
  ),
  keepAliveMaxSeconds: whole(
    3600,
    10,
    65_535,
    'The longest keep-alive; on MQTT 5.0 longer ones, and none, are cut to it, and the client is told.',
  ),
  retainedMax: whole(1_000_000, 0, 100_000_000, 'Retained messages in all.'),
  retainedTotalMaxBytes: whole(256 * mib, 0, 65_536 * mib, 'Bytes of all retained messages.'),
  queuedTotalMaxMessages: whole(
    1_000_000,
    0,
    100_000_000,
    'Messages that wait for all kept sessions together.',
  ),
  queuedTotalMaxBytes: whole(
    512 * mib,
    0,
    65_536 * mib,
    'Bytes of the messages that wait for all kept sessions together.',
  ),
  storePendingMaxBytes: whole(
    32 * mib,
    64 * kib,
    1024 * mib,
    'Bytes on their way to the disk, before publishers of QoS 1 and 2 are paused.',
  ),
  refusalsKeptMax: whole(
    500,
    10,
    500,
    'Refusals that are told apart until the enrollment service has them; more are summed by reason.',
  ),
  routeCacheMaxTopics: whole(
    100_000,
    0,
    10_000_000,
    'Topics whose receivers are remembered; 0 remembers none.',
  ),
});
export type BrokerLimits = Readonly<z.infer<typeof brokerLimitsSchema>>;

/** What the enrollment service takes in. */
export const enrollLimitsSchema = z.strictObject({
  bodyMaxBytes: whole(16 * kib, 1 * kib, 1 * mib, 'The body of a request.'),
  importMaxBytes: whole(64 * mib, 1 * kib, 1024 * mib, 'The body of an import of many devices.'),
  headersTimeoutMs: whole(
    10_000,
    100,
    120_000,
    "From a request's first byte to the end of its headers.",
  ),
  requestTimeoutMs: whole(20_000, 100, 600_000, "From a request's first byte to its last."),
  handshakeTimeoutMs: whole(
    10_000,
    100,
    120_000,
    'From the TCP connection to the end of the TLS handshake.',
  ),
  connectionsMax: whole(2000, 1, 100_000, 'Connections in all.'),
  connectionsPerAddressMax: whole(1000, 1, 100_000, 'Connections from one address.'),
  requestsPerAddressPerSecond: whole(2000, 1, 1_000_000, 'Requests from one address.'),
  failuresPerAddressPerMinute: whole(
    120,
    1,
    1_000_000,
    'Refused credentials from one address, before it has to wait.',
  ),
  enrollmentsPerDevicePerHour: whole(20, 1, 10_000, 'Certificates for one identity.'),
  signaturesPerSecond: whole(2000, 1, 1_000_000, 'Certificates in all.'),
  requestsPendingMax: whole(10_000, 0, 1_000_000, 'Enrollments that wait for an operator.'),
  certificatesPerIdentityMax: whole(
    8,
    2,
    16,
    'Certificates of one identity that are known at a time.',
  ),
  tokensPerRequestMax: whole(1000, 1, 10_000, 'Tokens made by one request.'),
  pageMaxItems: whole(1000, 1, 10_000, 'Devices on one page of a list.'),
  feedChangesKeptMax: whole(
    100_000,
    1,
    10_000_000,
    'Changes kept for brokers that come back; older ones need a snapshot.',
  ),
  refusalLinesPerBrokerPerMinute: whole(
    100,
    10,
    10_000,
    'Lines of the audit log for refusals that a broker tells, those that repeat or are too many apart: they are summed, and told when the minute is over.',
  ),
  eventStreamsMax: whole(200, 1, 10_000, 'Clients that follow events at the same time.'),
  eventStreamsPerOperatorMax: whole(
    20,
    1,
    10_000,
    'Clients of one operator that follow events at the same time.',
  ),
  eventStreamMaxBytes: whole(
    1 * mib,
    64 * kib,
    64 * mib,
    'Bytes of events that wait for one client before newer ones are dropped.',
  ),
  feedLagMaxBytes: whole(
    64 * mib,
    64 * kib,
    1024 * mib,
    'Bytes that a broker may lag behind before it is cut off.',
  ),
});
