/**
 * The calls with which an operator decides about changes that a restored registry has lost.
 *
 * @module
 */
import { z } from 'zod';

export const reconcileActions = [
  'revoke',
  'suspend',
  'quarantine',
  'delete',
  'revoke-certificates',
  /** Accept certificates that were issued after the backup. */
  'adopt',
  /** An administrator, broker or server, or a service that is not in the registry: it needs a command of its own. */
  'manual',
] as const;
export type ReconcileAction = (typeof reconcileActions)[number];

export const differenceSchema = z.object({
  device: z.string(),
  action: z.enum(reconcileActions),
  /** The serial numbers that it is about. */
  serials: z.array(z.string()),
  /** The brokers that know it, or `audit log`. */
  sources: z.array(z.string()),
});
export type Difference = z.infer<typeof differenceSchema>;

export const reconcileSchema = z.object({
  /** The brokers that know more than the registry. */
  brokers: z.array(
    z.object({
      broker: z.string(),
      /** The newest commit that it knows, and when the registry began without it. */
      commit: z.int(),
      since: z.iso.datetime(),
    }),
  ),
  /** At most 1000; `total` counts all. */
  differences: z.array(differenceSchema),
  total: z.int(),
  /** Registered brokers that are not connected: what they know is not included. */
  brokersAbsent: z.array(z.string()),
});

export const reconcileRequestSchema = z.strictObject({
  /** `discard`: what the brokers know more is forgotten. */
  action: z.enum(['apply', 'discard']),
  /** Whether certificates that were issued after the backup are accepted. */
  adopt: z.boolean().default(false),
  /** How many differences the caller believes to decide about: another number changes nothing. */
  expected: z.int().min(0),
});

export const reconciledSchema = z.object({
  applied: z.int(),
  skipped: z.int(),
  /** What was skipped, at most 1000: the brokers do not know it any more. */
  left: z.array(differenceSchema),
  /** The first ones. While there are some, the brokers keep what they know. */
  failures: z.array(z.object({ device: z.string(), code: z.string() })),
  /** The brokers that now have the state of the registry. */
  brokers: z.array(z.string()),
});
