/**
 * Every limit of Flotilla, with its unit in its name and its default: the one place. Each can be set
 * in flotilla.yaml under `limits`; docs/configuration.md lists them.
 *
 * @module
 */
import { z } from 'zod';

const kib = 1024;
const mib = 1024 * kib;

/** A whole number from `min` to `max`, `usual` unless set. */
const whole = (usual: number, min: number, max: number): z.ZodDefault<z.ZodInt> =>
  z.int().min(min).max(max).default(usual);

/** What one MQTT connection, and all of them together, may use. */
export const brokerLimitsSchema = z.strictObject({
  connectionsMax: whole(50_000, 1, 1_000_000),
  connectionsPerDeviceMax: whole(4, 1, 1000),
  handshakeTimeoutMs: whole(10_000, 100, 120_000),
  handshakesHalfOpenMax: whole(1000, 1, 100_000),
  handshakesHalfOpenPerAddressMax: whole(200, 1, 100_000),
  connectTimeoutMs: whole(10_000, 100, 120_000),
  packetMaxBytes: whole(1 * mib, 256, 268_435_455),
  connectPacketMaxBytes: whole(80 * kib, 256, 1 * mib),
  topicMaxBytes: whole(1 * kib, 16, 65_535),
  topicLevelsMax: whole(32, 2, 256),
  subscriptionsPerSessionMax: whole(100, 1, 100_000),
  subscriptionsPerPacketMax: whole(100, 1, 10_000),
  inflightOutMax: whole(100, 1, 65_535),
  inflightInMax: whole(100, 1, 65_535),
  topicAliasesMax: whole(16, 0, 65_535),
  queuePerSessionMaxMessages: whole(10_000, 0, 10_000_000),
  queuePerSessionMaxBytes: whole(16 * mib, 0, 1024 * mib),
  outboundPerConnectionMaxBytes: whole(4 * mib, 16 * kib, 1024 * mib),
  sessionExpiryMaxSeconds: whole(7 * 86_400, 0, 4_294_967_295),
  keepAliveMaxSeconds: whole(3600, 10, 65_535),
  retainedMax: whole(1_000_000, 0, 100_000_000),
  routeCacheMaxTopics: whole(100_000, 0, 10_000_000),
});
export type BrokerLimits = Readonly<z.infer<typeof brokerLimitsSchema>>;

/** What the enrollment service takes in. */
export const enrollLimitsSchema = z.strictObject({
  bodyMaxBytes: whole(16 * kib, 1 * kib, 1 * mib),
  importMaxBytes: whole(64 * mib, 1 * kib, 1024 * mib),
  headersTimeoutMs: whole(10_000, 100, 120_000),
  requestTimeoutMs: whole(20_000, 100, 600_000),
  handshakeTimeoutMs: whole(10_000, 100, 120_000),
  connectionsMax: whole(2000, 1, 100_000),
  connectionsPerAddressMax: whole(1000, 1, 100_000),
  requestsPerAddressPerSecond: whole(500, 1, 1_000_000),
  failuresPerAddressPerMinute: whole(120, 1, 1_000_000),
  enrollmentsPerDevicePerHour: whole(20, 1, 10_000),
  signaturesPerSecond: whole(2000, 1, 1_000_000),
  certificatesPerIdentityMax: whole(8, 2, 16),
  tokensPerRequestMax: whole(1000, 1, 10_000),
  pageMaxItems: whole(1000, 1, 10_000),
  feedChangesKeptMax: whole(100_000, 1, 10_000_000),
  feedLagMaxBytes: whole(64 * mib, 64 * kib, 1024 * mib),
});
export type EnrollLimits = Readonly<z.infer<typeof enrollLimitsSchema>>;
