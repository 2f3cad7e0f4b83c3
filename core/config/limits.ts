/**
 * Every limit of the broker that an operator can set, with its unit in its name and its default
 * (enroll-limits.ts: those of the enrollment service). They are set in
 * flotilla.yaml under `limits`; docs/configuration.md lists them. Bounds that nobody needs to change
 * are constants beside the code that they protect.
 *
 * @module
 */
import { z } from 'zod';
import { defaultTopicLimits } from '../topic.ts';
import { kib, mib, wholeNumber } from './limit-range.ts';

/** Which message is dropped when a queue is full. */
export const queueOverflows = ['drop-oldest', 'drop-newest'] as const;
export type QueueOverflow = (typeof queueOverflows)[number];

/** The limits of one MQTT connection, and of all of them together. */
export const brokerLimitsSchema = z.strictObject({
  connectionsMax: wholeNumber({
    defaultValue: 50_000,
    min: 1,
    max: 1_000_000,
    description: 'Open connections, including those that have not sent CONNECT.',
  }),
  connectionsPerDeviceMax: wholeNumber({
    defaultValue: 4,
    min: 1,
    max: 1000,
    description: 'Simultaneous connections of one identity, each with its own client id.',
  }),
  handshakeTimeoutMs: wholeNumber({
    defaultValue: 10_000,
    min: 100,
    max: 120_000,
    description: 'Time from the TCP connection to the end of the TLS handshake.',
  }),
  handshakesRunningMax: wholeNumber({
    defaultValue: 1000,
    min: 1,
    max: 10_000,
    description: 'TLS handshakes in progress at a time, while the event loop has time to spare.',
  }),
  handshakesHalfOpenMax: wholeNumber({
    defaultValue: 20_000,
    min: 1,
    max: 1_000_000,
    description:
      'Accepted connections whose TLS handshake is not complete, including those that wait for it to start.',
  }),
  handshakesHalfOpenPerAddressMax: wholeNumber({
    defaultValue: 10_000,
    min: 1,
    max: 1_000_000,
    description: 'Accepted connections from one address whose TLS handshake is not complete.',
  }),
  handshakesPerSecondMax: wholeNumber({
    defaultValue: 0,
    min: 0,
    max: 1_000_000,
    description: 'TLS handshakes started per second; 0 means no limit.',
  }),
  handshakesPerAddressPerSecondMax: wholeNumber({
    defaultValue: 0,
    min: 0,
    max: 1_000_000,
    description: 'Connections accepted from one address per second; 0 means no limit.',
  }),
  connectsPerDevicePerMinuteMax: wholeNumber({
    defaultValue: 60,
    min: 1,
    max: 1_000_000,
    description:
      'Connections of one identity per minute. A device that exceeds it is flapping: it is rejected until the minute is over.',
  }),
  connectTimeoutMs: wholeNumber({
    defaultValue: 10_000,
    min: 100,
    max: 120_000,
    description: 'Time from the end of the TLS handshake to a complete CONNECT packet.',
  }),
  packetMaxBytes: wholeNumber({
    defaultValue: 1 * mib,
    min: 256,
    max: 268_435_455,
    description:
      'Size of one MQTT packet; its declared length is checked before anything is buffered.',
  }),
  connectPacketMaxBytes: wholeNumber({
    defaultValue: 80 * kib,
    min: 256,
    max: 1 * mib,
    description: 'Size of the CONNECT packet, including will and properties.',
  }),
  topicMaxBytes: wholeNumber({
    defaultValue: defaultTopicLimits.maxBytes,
    min: 16,
    max: 65_535,
    description: 'Size of a topic name or filter, in bytes of UTF-8.',
  }),
  topicLevelsMax: wholeNumber({
    defaultValue: defaultTopicLimits.levelsMax,
    min: 2,
    max: 256,
    description: 'Levels of a topic name or filter.',
  }),
  subscriptionsPerSessionMax: wholeNumber({
    defaultValue: 100,
    min: 1,
    max: 100_000,
    description: 'Subscriptions of one session.',
  }),
  subscriptionsPerPacketMax: wholeNumber({
    defaultValue: 100,
    min: 1,
    max: 10_000,
    description: 'Topic filters in one SUBSCRIBE or UNSUBSCRIBE packet.',
  }),
  subscriptionsPerDeviceMax: wholeNumber({
    defaultValue: 2000,
    min: 1,
    max: 1_000_000,
    description:
      'Subscriptions of one identity in all of its sessions, or those of one session, if its role allows more.',
  }),
  subscriptionsTotalMax: wholeNumber({
    defaultValue: 1_000_000,
    min: 1,
    max: 100_000_000,
    description:
      'Subscriptions of all sessions together. In the last quarter, an identity may have at most a sixteenth of what is left.',
  }),
  subscriptionsTotalMaxBytes: wholeNumber({
    defaultValue: 512 * mib,
    min: 1 * kib,
    max: 65_536 * mib,
    description:
      'Memory of the subscriptions of all sessions together: the filters, and about 600 bytes for each subscription. Shared as subscriptionsTotalMax is.',
  }),
  sessionsTotalMax: wholeNumber({
    defaultValue: 500_000,
    min: 1,
    max: 100_000_000,
    description:
      'Stored sessions of all identities together. In the last quarter, an identity may have at most a sixteenth of what is left, and at least one.',
  }),
  willsTotalMaxBytes: wholeNumber({
    defaultValue: 256 * mib,
    min: 1 * kib,
    max: 65_536 * mib,
    description:
      'Memory of the will messages of all clients together, connected or not. Shared as sessionsTotalMax is.',
  }),
  willsPerDeviceMaxBytes: wholeNumber({
    defaultValue: 2 * mib,
    min: 1 * kib,
    max: 1024 * mib,
    description: 'Memory of the will messages of one identity.',
  }),
  topicsTotalMaxBytes: wholeNumber({
    defaultValue: 256 * mib,
    min: 1 * kib,
    max: 65_536 * mib,
    description:
      'Memory of the topics that all connections keep: topic aliases, and the topics that they published to. Without room a topic is not cached, and an alias is refused.',
  }),
  topicsPerDeviceMaxBytes: wholeNumber({
    defaultValue: 1 * mib,
    min: 1 * kib,
    max: 1024 * mib,
    description: 'The part of topicsTotalMaxBytes that the connections of one identity may use.',
  }),
  unreleasedTotalMax: wholeNumber({
    defaultValue: 4_000_000,
    min: 1,
    max: 100_000_000,
    description:
      'QoS 2 messages that were received from all clients together and not released by PUBREL. Shared as sessionsTotalMax is; one identity may have 131,070.',
  }),
  inboundTotalMaxBytes: wholeNumber({
    defaultValue: 256 * mib,
    min: 64 * kib,
    max: 65_536 * mib,
    description:
      'Memory of the packets of all connections that are not complete yet. In the last quarter, a packet may have at most a sixteenth of what is left.',
  }),
  outboundTotalMaxBytes: wholeNumber({
    defaultValue: 1024 * mib,
    min: 64 * kib,
    max: 65_536 * mib,
    description:
      'Bytes that all clients together have not read yet, also those in full sockets. In the last quarter, a connection may have at most a sixteenth of what is left; one that reads nothing and has four times as much is closed within a second.',
  }),
  inflightOutMax: wholeNumber({
    defaultValue: 100,
    min: 1,
    max: 65_535,
    description: 'QoS 1 and 2 messages sent to one client and not acknowledged yet.',
  }),
  inflightInMax: wholeNumber({
    defaultValue: 100,
    min: 1,
    max: 65_535,
    description:
      'QoS 1 and 2 messages received from one client and not acknowledged yet (the Receive Maximum of MQTT 5.0).',
  }),
  topicAliasesMax: wholeNumber({
    defaultValue: 16,
    min: 0,
    max: 65_535,
    description: 'Topic aliases that a client may set (MQTT 5.0); 0 allows none.',
  }),
  queuePerSessionMaxMessages: wholeNumber({
    defaultValue: 10_000,
    min: 0,
    max: 10_000_000,
    description: 'Messages queued for one session, connected or not.',
  }),
  queuePerSessionMaxBytes: wholeNumber({
    defaultValue: 16 * mib,
    min: 0,
    max: 1024 * mib,
    description: 'Bytes of the messages queued for one session.',
  }),
  queueOverflow: z
    .enum(queueOverflows)
    .default('drop-oldest')
    .describe(
      'Which message is dropped when the queue of a session is full and contains no QoS 0 message: the oldest one that is not in flight, or the new one.',
    ),
  queueQos0: z
    .boolean()
    .default(false)
    .describe(
      'Whether QoS 0 messages are queued, in memory, for stored sessions that are disconnected. They are the first to be dropped.',
    ),
  outboundPerConnectionMaxBytes: wholeNumber({
    defaultValue: 4 * mib,
    min: 16 * kib,
    max: 1024 * mib,
    description: 'Bytes written to one connection that its client has not read yet.',
  }),
  sessionsPerDeviceMax: wholeNumber({
    defaultValue: 16,
    min: 1,
    max: 100_000,
    description:
      'Stored sessions of one identity. One more removes the session that has been disconnected the longest.',
  }),
  outboundStalledMaxMs: wholeNumber({
    defaultValue: 20_000,
    min: 1000,
    max: 3_600_000,
    description:
      'How long a client may read nothing while data is waiting, before the broker closes the connection.',
  }),
  sessionExpiryMaxSeconds: wholeNumber({
    defaultValue: 7 * 86_400,
    min: 0,
    max: 4_294_967_295,
    description:
      'How long a session is kept after its connection has ended; a longer session expiry interval is reduced to this.',
  }),
  keepAliveMaxSeconds: wholeNumber({
    defaultValue: 3600,
    min: 10,
    max: 65_535,
    description:
      'The longest keep-alive. For MQTT 5.0 clients a longer one, or none, is reduced to this, and the CONNACK contains the value.',
  }),
  retainedMax: wholeNumber({
    defaultValue: 1_000_000,
    min: 0,
    max: 100_000_000,
    description:
      'Retained messages of all clients together. In the last quarter, an identity may have at most a sixteenth of what is left. Messages of the broker itself ($fleet/…) are counted separately, with the same limit.',
  }),
  retainedTotalMaxBytes: wholeNumber({
    defaultValue: 512 * mib,
    min: 0,
    max: 65_536 * mib,
    description:
      'Memory of the retained messages of all clients together: topic and payload, and about 210 bytes for each message. Shared as retainedMax is.',
  }),
  retainedPerDeviceMax: wholeNumber({
    defaultValue: 10_000,
    min: 0,
    max: 100_000_000,
    description: 'Retained messages of one identity. A role of the policy can have another limit.',
  }),
  retainedPerDeviceMaxBytes: wholeNumber({
    defaultValue: 16 * mib,
    min: 0,
    max: 65_536 * mib,
    description:
      'Memory of the retained messages of one identity. A role of the policy can have another limit.',
  }),
  queuedTotalMaxMessages: wholeNumber({
    defaultValue: 1_000_000,
    min: 0,
    max: 100_000_000,
    description: 'Messages queued for all stored sessions together.',
  }),
  queuedTotalMaxBytes: wholeNumber({
    defaultValue: 512 * mib,
    min: 0,
    max: 65_536 * mib,
    description: 'Bytes of the messages queued for all stored sessions together.',
  }),
  queuedPerDeviceMaxMessages: wholeNumber({
    defaultValue: 200_000,
    min: 0,
    max: 100_000_000,
    description:
      'Messages queued for all stored sessions of one identity. In the last quarter of queuedTotalMaxMessages, it may have at most a sixteenth of what is left.',
  }),
  queuedPerDeviceMaxBytes: wholeNumber({
    defaultValue: 128 * mib,
    min: 0,
    max: 65_536 * mib,
    description:
      'Bytes of the messages queued for all stored sessions of one identity. In the last quarter of queuedTotalMaxBytes, it may have at most a sixteenth of what is left.',
  }),
  storePendingMaxBytes: wholeNumber({
    defaultValue: 32 * mib,
    min: 64 * kib,
    max: 1024 * mib,
    description:
      'Bytes waiting to be written to the disk, before the broker stops reading from clients that publish with QoS 1 and 2.',
  }),
  refusalsKeptMax: wholeNumber({
    defaultValue: 500,
    min: 10,
    max: 500,
    description:
      'Distinct refusals kept until the enrollment service has received them; further ones are summed by reason.',
  }),
  routeCacheMaxTopics: wholeNumber({
    defaultValue: 100_000,
    min: 0,
    max: 10_000_000,
    description: 'Topics whose receivers are cached; 0 disables the cache.',
  }),
});
export type BrokerLimits = Readonly<z.infer<typeof brokerLimitsSchema>>;
