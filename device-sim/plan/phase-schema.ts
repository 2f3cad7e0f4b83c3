/**
 * The phases of a plan: the load and the drills that the fleet performs.
 *
 * @module
 */
import { z } from 'zod';
import { revocationReasons } from '../../core/protocol/enrollment-api.ts';
import { duration, plainName, qos, rate, share } from './plan-values.ts';

const name = plainName.optional().describe('Name in the report (default: the kind of phase)');
const groups = z
  .array(plainName)
  .min(1)
  .optional()
  .describe('Groups that take part (default: all)');
const sample = z.int().min(1).max(10_000);

const loadPhases = [
  z
    .strictObject({
      phase: z.literal('enroll'),
      name,
      groups,
      rate: rate
        .optional()
        .describe('Enrollments per second (default: as fast as the service answers)'),
      atOnce: z.int().min(1).max(1000).default(32).describe('Concurrent requests'),
    })
    .describe('Every device makes its key and gets its certificate from the real API'),
  z
    .strictObject({
      phase: z.literal('ramp'),
      name,
      groups,
      rate: rate.optional().describe('Connections started per second'),
      over: duration.optional().describe('Instead of rate: start all within this time'),
      share: share.default(1),
      timeout: duration.prefault('60s').describe('How long the last devices may take'),
    })
    .describe('Devices connect'),
  z
    .strictObject({ phase: z.literal('steady'), name, groups, duration })
    .describe('Devices publish at the rates of their groups'),
  z
    .strictObject({ phase: z.literal('soak'), name, groups, duration })
    .describe('The same as steady for a long time; reports how much memory the broker gained'),
  z
    .strictObject({
      phase: z.literal('burst'),
      name,
      groups,
      duration,
      factor: z.number().min(1).max(1000).default(10),
    })
    .describe('Devices publish at a multiple of their rates'),
  z
    .strictObject({ phase: z.literal('pause'), name, groups, duration })
    .describe('Devices stay connected and do not publish'),
] as const;

const reconnectPhases = [
  z
    .strictObject({
      phase: z.literal('reconnect-storm'),
      name,
      groups,
      share: share.default(1),
      how: z.enum(['abrupt', 'clean']).default('abrupt'),
      within: duration.prefault('1s').describe('The connections end within this time'),
      timeout: duration.prefault('60s'),
    })
    .describe('A share of the fleet loses its connections at the same time and reconnects'),
  z
    .strictObject({
      phase: z.literal('churn'),
      name,
      groups,
      duration,
      rate: rate.prefault(10).describe('Devices per second that disconnect and reconnect'),
      away: duration.prefault('1s'),
    })
    .describe('Devices disconnect and reconnect continuously'),
  z
    .strictObject({
      phase: z.literal('mass-renewal'),
      name,
      groups,
      share: share.default(1),
      over: duration.prefault('10s'),
      rekey: z.boolean().default(true),
      when: z
        .enum(['now', 'due'])
        .default('now')
        .describe(
          'now: all of them; due: only those whose time, which the service names, has come',
        ),
      timeout: duration.prefault('120s'),
    })
    .describe('Devices renew their certificates and reconnect with the new ones'),
] as const;

const securityPhases = [
  z
    .strictObject({
      phase: z.literal('revocation-drill'),
      name,
      groups,
      devices: sample.default(5),
      reason: z.enum(revocationReasons).default('keyCompromise'),
      limit: duration.prefault('1s').describe('From the call to the closed connection'),
    })
    .describe(
      'Revokes connected devices, measures when they are disconnected, checks that they cannot return',
    ),
  z
    .strictObject({
      phase: z.literal('clone-attack'),
      name,
      groups,
      devices: sample.default(3),
      attempts: z.int().min(1).max(100).default(5),
    })
    .describe('An attacker uses a copied key and certificate, with its own and with other names'),
  z
    .strictObject({ phase: z.literal('acl-probe'), name, groups, devices: sample.default(5) })
    .describe(
      'Tries topics of other devices, wildcards and system topics, and checks that nothing leaks',
    ),
  z
    .strictObject({ phase: z.literal('bad-certificates'), name, groups, rounds: sample.default(3) })
    .describe(
      'No certificate, an untrusted, expired or server certificate, hostile names: each must be rejected',
    ),
  z
    .strictObject({
      phase: z.literal('half-open'),
      name,
      groups,
      connections: z.int().min(1).max(10_000).default(50),
      duration: duration.prefault('10s'),
    })
    .describe('Connections that stop after TCP, inside TLS or before CONNECT'),
] as const;

const commandPhases = [
  z
    .strictObject({
      phase: z.literal('slow-readers'),
      name,
      groups,
      devices: sample.default(5),
      duration: duration.prefault('10s'),
      commandRate: rate.prefault(50).describe('Commands per second to each slow reader'),
      bytes: z.int().min(0).max(65_536).default(1024),
    })
    .describe('Devices that stop reading while commands are sent to them'),
  z
    .strictObject({
      phase: z.literal('command-roundtrip'),
      name,
      groups,
      duration: duration.prefault('10s'),
      rate: rate.prefault(10).describe('Commands per second in total'),
      qos: qos.default(1),
      bytes: z.int().min(0).max(65_536).default(0),
    })
    .describe('A service sends commands; each must reach its device and no other'),
  z
    .strictObject({
      phase: z.literal('offline-queue'),
      name,
      groups,
      devices: sample.default(10),
      messages: z
        .int()
        .min(1)
        .max(10_000)
        .default(20)
        .describe('Commands to each device while it is offline'),
      timeout: duration.prefault('30s'),
    })
    .describe('Devices with a kept session disconnect; commands sent meanwhile must be queued'),
] as const;

export const phaseSchema = z.discriminatedUnion('phase', [
  ...loadPhases,
  ...reconnectPhases,
  ...securityPhases,
  ...commandPhases,
]);
/** One phase of a plan. */
export type PhaseSpec = z.output<typeof phaseSchema>;
export type PhaseKind = PhaseSpec['phase'];
export type PhaseOf<K extends PhaseKind> = Extract<PhaseSpec, { phase: K }>;

/** A step of a plan: one phase, or several that run in parallel. */
export const stepSchema = z.union([
  phaseSchema,
  z.strictObject({ parallel: z.array(phaseSchema).min(2).max(8) }),
]);
export type StepSpec = z.output<typeof stepSchema>;
