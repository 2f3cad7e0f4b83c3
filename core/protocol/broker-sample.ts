/**
 * The numbers that a broker reports of itself: `POST /v1/feed/sample`, every five seconds. Counters count
 * since the start of the broker; the service computes rates from the differences.
 *
 * @module
 */
import { z } from 'zod';

/** How often a broker reports, in ms. */
export const samplePeriodMs = 5000;

const count = z.int().min(0);

/** Where the policy in force comes from: the broker's own file, the fleet, or the default of a new state. */
export const policySources = ['file', 'fleet', 'default'] as const;

export const policyInForceSchema = z.strictObject({
  source: z.enum(policySources),
  /** Over the text, hexadecimal. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Why the fleet's policy is not in force here although nothing overrides it. */
  fault: z.string().max(1000).optional(),
});
export type PolicyInForce = z.infer<typeof policyInForceSchema>;

export const brokerSampleReportSchema = z.strictObject({
  /** Names the run of the broker: counters start at zero in each. */
  run: z.string().min(1).max(64),
  version: z.string().min(1).max(64),
  startedAtMs: count,
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
  /** Actions that the policy denied. */
  denied: count,
  eventLoopLagMs: z.number().min(0),
  policy: policyInForceSchema.optional(),
});
export type BrokerSampleReport = z.infer<typeof brokerSampleReportSchema>;
