/**
 * What stands in a plan. The published JSON Schema (docs/plan.schema.json) is made from this.
 *
 * @module
 */
import { z } from 'zod';
import { parseDuration } from '../../core/config/duration.ts';
import { messageOf } from '../../core/errors/flotilla-error.ts';
import { revocationReasons } from '../../core/protocol/enrollment-api.ts';
import { isComparison } from './threshold.ts';

/** The most devices of one plan. */
export const devicesMax = 1_000_000;

const durationText = z
  .string()
  .regex(/^\d{1,12}(ms|s|m|h|d)$/, 'not a duration: write a number and a unit, like 30s or 5m')
  .transform((text, context) => {
    try {
      return parseDuration(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error) });
      return z.NEVER;
    }
  })
  .describe('A duration: a number and ms, s, m, h or d');

const rate = z
  .union([
    z.number().positive().max(1_000_000),
    z
      .string()
      .regex(
        /^\d{1,7}(\.\d{1,6})?\/(\d{0,6})(s|m|h)$/,
        'not a rate: write 5/s, 1/10s, 30/m or a number a second',
      ),
  ])
  .transform((value, context) => {
    const perSecond = typeof value === 'number' ? value : ratePerSecond(value);
    if (perSecond > 0 && Number.isFinite(perSecond)) return perSecond;
    context.addIssue({ code: 'custom', message: 'a rate must be more than 0' });
    return z.NEVER;
  })
  .describe('How often: 5/s, 1/10s, 30/m, or a number a second');

const qos = z.literal([0, 1, 2]);
const share = z.number().min(0).max(1);
const topicText = z.string().min(1).max(1024);

const hostPortText = z
  .string()
  .regex(/^(?:\[[0-9A-Fa-f:.]+\]|[^:[\]/\s,]{1,255}):\d{1,5}$/, 'not an address: write host:port');

const field = z.strictObject({
  start: z.number().default(0),
  step: z.number().positive().default(1).describe('Standard deviation of one step'),
  min: z.number().optional(),
  max: z.number().optional(),
  decimals: z.int().min(0).max(9).default(2),
});

/** What a message says, beside the envelope that it is accounted by. */
const payloadSchema = z.discriminatedUnion('kind', [
  z
    .strictObject({
      kind: z.literal('sequence'),
      bytes: z.int().min(0).max(262_144).default(0).describe('Filled up to this size'),
    })
    .describe('The sequence number alone'),
  z
    .strictObject({
      kind: z.literal('walk'),
      fields: z.record(z.string().min(1).max(64), field).default({
        value: { start: 20, step: 0.2, decimals: 2 },
      }),
      bytes: z.int().min(0).max(262_144).default(0),
    })
    .describe('Numbers on a random walk, one JSON field each'),
  z
    .strictObject({
      kind: z.literal('template'),
      text: z.string().max(262_144),
    })
    .describe(
      'Text with placeholders: {{device}} {{group}} {{n}} {{seq}} {{time}} {{iso}} {{uuid}} {{int 1 6}} {{float 0 1 3}} {{gauss 20 2 1}} {{hex 8}} {{pick a b c}}, and %c %u %i of other tools',
    ),
  z
    .strictObject({
      kind: z.literal('replay'),
      file: z.string().min(1).describe('CSV with a header line, or .jsonl; relative to the plan'),
      shuffle: z.boolean().default(false),
    })
    .describe('The rows of a file, each device from its own row on, again from the top at the end'),
]);
export type PayloadSpec = z.output<typeof payloadSchema>;

const publishSchema = z.strictObject({
  topic: topicText.default('devices/{device}/telemetry'),
  qos: qos.default(1),
  retain: z.boolean().default(false),
  rate: rate.prefault(1),
  spread: z.enum(['fixed', 'jitter', 'poisson']).default('fixed'),
  jitter: z.number().min(0).max(0.5).default(0.1).describe('Share of the interval, for jitter'),
  payload: payloadSchema.prefault({ kind: 'sequence' }),
});

const groupName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'a name of letters, digits, dot, underscore, hyphen');

const groupSchema = z.strictObject({
  group: groupName,
  count: z.int().min(1).max(devicesMax),
  id: z
    .string()
    .regex(/\{n\}/, 'must contain {n}')
    .max(128)
    .default('{group}-{n}')
    .describe('The device id: {group}, {n} (its number, zeros in front), {seed}'),
  client: z
    .enum(['mqttjs', 'light'])
    .default('mqttjs')
    .describe('mqttjs: MQTT.js as people run it. light: the same behaviour in less memory'),
  keyType: z.enum(['p256', 'p384', 'ed25519', 'rsa2048', 'rsa3072', 'rsa4096']).default('p256'),
  mqtt: z.enum(['3.1.1', '5.0']).default('3.1.1'),
  tls: z
    .strictObject({
      version: z.enum(['1.2', '1.3', 'any']).default('any'),
      resume: z.boolean().default(false).describe('Offer the last TLS session when reconnecting'),
    })
    .prefault({}),
  keepAlive: durationText.prefault('60s'),
  session: z.enum(['clean', 'kept']).default('clean'),
  sessionExpiry: durationText.prefault('1h').describe('For kept sessions of MQTT 5.0'),
  inflightMax: z.int().min(1).max(65_535).default(100),
  publish: z.array(publishSchema).max(16).default([]),
  commands: z
    .strictObject({ filter: topicText.default('devices/{device}/commands/#'), qos: qos.default(1) })
    .nullable()
    .default({ filter: 'devices/{device}/commands/#', qos: 1 })
    .describe('What the device subscribes to, or null for nothing'),
  connectTimeout: durationText.prefault('20s'),
  reconnect: z
    .strictObject({
      minDelay: durationText.prefault('500ms'),
      maxDelay: durationText.prefault('15s'),
    })
    .prefault({})
    .describe('Waiting before a reconnect: doubled each time, half of it random'),
});
export type GroupSpec = z.output<typeof groupSchema>;

const name = groupName.optional().describe('How the report calls it; the phase itself unless told');
const groups = z
  .array(groupName)
  .min(1)
  .optional()
  .describe('Groups that take part; all unless told');
const sample = z.int().min(1).max(10_000);

const phaseOptions = [
  z
    .strictObject({
      phase: z.literal('enroll'),
      name,
      groups,
      rate: rate
        .optional()
        .describe('Enrollments a second; as fast as the service answers unless told'),
      atOnce: z.int().min(1).max(1000).default(32).describe('Requests at the same time'),
    })
    .describe('Every device makes its key and gets its certificate over the real API'),
  z
    .strictObject({
      phase: z.literal('ramp'),
      name,
      groups,
      rate: rate.optional().describe('Connections begun a second'),
      over: durationText.optional().describe('Instead of rate: all within this time'),
      share: share.default(1),
      timeout: durationText.prefault('60s').describe('For the last ones to arrive'),
    })
    .describe('Devices connect'),
  z
    .strictObject({ phase: z.literal('steady'), name, groups, duration: durationText })
    .describe('Devices publish as their group says'),
  z
    .strictObject({ phase: z.literal('soak'), name, groups, duration: durationText })
    .describe('As steady, for long; memory growth of the broker is judged'),
  z
    .strictObject({
      phase: z.literal('burst'),
      name,
      groups,
      duration: durationText,
      factor: z.number().min(1).max(1000).default(10),
    })
    .describe('Devices publish so many times as often'),
  z
    .strictObject({
      phase: z.literal('reconnect-storm'),
      name,
      groups,
      share: share.default(1),
      how: z.enum(['abrupt', 'clean']).default('abrupt'),
      within: durationText.prefault('1s').describe('The losses are spread over this time'),
      timeout: durationText.prefault('60s'),
    })
    .describe('A share of the fleet loses its connection at once and returns'),
  z
    .strictObject({
      phase: z.literal('churn'),
      name,
      groups,
      duration: durationText,
      rate: rate.prefault(10).describe('Devices a second that go and come back'),
      away: durationText.prefault('1s'),
    })
    .describe('Devices go and come back all the time'),
  z
    .strictObject({
      phase: z.literal('mass-renewal'),
      name,
      groups,
      share: share.default(1),
      over: durationText.prefault('10s'),
      rekey: z.boolean().default(true),
      timeout: durationText.prefault('120s'),
    })
    .describe('Devices renew their certificates and return with the new ones'),
  z
    .strictObject({
      phase: z.literal('revocation-drill'),
      name,
      groups,
      devices: sample.default(5),
      reason: z.enum(revocationReasons).default('keyCompromise'),
      limit: durationText.prefault('1s').describe('From the call to the closed connection'),
    })
    .describe('Revokes live devices, measures until they are out, proves that they stay out'),
  z
    .strictObject({
      phase: z.literal('clone-attack'),
      name,
      groups,
      devices: sample.default(3),
      attempts: z.int().min(1).max(100).default(5),
    })
    .describe('A thief uses a copied key and certificate, as itself and under other names'),
  z
    .strictObject({ phase: z.literal('acl-probe'), name, groups, devices: sample.default(5) })
    .describe('Tries topics of others, wildcards and system topics, and proves that nothing leaks'),
  z
    .strictObject({ phase: z.literal('bad-certificates'), name, groups, rounds: sample.default(3) })
    .describe(
      'No certificate, foreign, expired, for servers, with hostile names: each must be refused',
    ),
  z
    .strictObject({
      phase: z.literal('slow-readers'),
      name,
      groups,
      devices: sample.default(5),
      duration: durationText.prefault('10s'),
      commandRate: rate.prefault(50).describe('Commands a second to each slow reader'),
      bytes: z.int().min(0).max(65_536).default(1024),
    })
    .describe('Devices that stop reading while commands go on to them'),
  z
    .strictObject({
      phase: z.literal('half-open'),
      name,
      groups,
      connections: z.int().min(1).max(10_000).default(50),
      duration: durationText.prefault('10s'),
    })
    .describe('Connections that stop half way: after TCP, inside TLS, before CONNECT'),
  z
    .strictObject({
      phase: z.literal('command-roundtrip'),
      name,
      groups,
      duration: durationText.prefault('10s'),
      rate: rate.prefault(10).describe('Commands a second in all'),
      qos: qos.default(1),
      bytes: z.int().min(0).max(65_536).default(0),
    })
    .describe('A service sends commands; every one must reach its device and no other'),
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
        .describe('Commands to each while it is away'),
      timeout: durationText.prefault('30s'),
    })
    .describe('Devices with a kept session go away; what was sent meanwhile must wait for them'),
  z
    .strictObject({ phase: z.literal('pause'), name, groups, duration: durationText })
    .describe('Devices stay connected and silent'),
] as const;

const phaseSchema = z.discriminatedUnion('phase', phaseOptions);
/** One thing that a plan lets the fleet do. */
export type PhaseSpec = z.output<typeof phaseSchema>;
export type PhaseKind = PhaseSpec['phase'];
export type PhaseOf<K extends PhaseKind> = Extract<PhaseSpec, { phase: K }>;

const stepSchema = z.union([
  phaseSchema,
  z.strictObject({ parallel: z.array(phaseSchema).min(2).max(8) }),
]);

export const planSchema = z
  .strictObject({
    name: groupName.describe('How the report calls the plan'),
    description: z.string().max(2000).optional(),
    seed: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/)
      .optional()
      .describe('The same seed gives the same ids, schedules, payloads and faults'),
    fleet: z.array(groupSchema).min(1).max(64),
    run: z
      .strictObject({
        workers: z
          .int()
          .min(1)
          .max(256)
          .optional()
          .describe('Processes; one for each core unless told'),
        agents: z
          .array(groupName)
          .max(256)
          .default([])
          .describe('Devices that run flotilla sim agent on other hosts; they carry the fleet'),
        sourceAddresses: z
          .array(z.union([z.ipv4(), z.cidrv4()]))
          .max(256)
          .default([])
          .describe('Local addresses to connect from, e.g. 127.0.0.0/28'),
        brokers: z
          .array(hostPortText)
          .min(1)
          .max(64)
          .optional()
          .describe(
            'Brokers of the fleet, host:port: devices are spread over them by their number; --mqtts goes first',
          ),
        observers: z
          .int()
          .min(0)
          .max(16)
          .default(1)
          .describe('Service subscribers that check what arrives, at each broker'),
        observerClient: z.enum(['mqttjs', 'light']).default('light'),
        observe: z
          .array(topicText)
          .max(16)
          .optional()
          .describe('Filters of the observers; from the topics of the fleet unless told'),
        drain: durationText
          .prefault('10s')
          .describe('At the end, wait so long for what is under way'),
        keep: z.boolean().default(false).describe('Keep keys and certificates, and use them again'),
        removeDevices: z
          .boolean()
          .default(false)
          .describe('Delete the devices from the registry at the end'),
      })
      .prefault({}),
    phases: z.array(stepSchema).min(1).max(64),
    thresholds: z
      .array(
        z.string().max(200).refine(isComparison, {
          error:
            'not a threshold: write a figure of the report, a comparison and a number, like latencyMs.endToEnd.p99 <= 250',
        }),
      )
      .max(100)
      .optional()
      .describe('Figures of the report that must hold, e.g. messages.lost <= 0'),
  })
  .superRefine((plan, context) => {
    const names = new Set<string>();
    for (const [index, { group }] of plan.fleet.entries()) {
      if (names.has(group)) {
        context.addIssue({
          code: 'custom',
          path: ['fleet', index, 'group'],
          message: `the group ${group} stands twice`,
        });
      }
      names.add(group);
    }
    const total = plan.fleet.reduce((sum, { count }) => sum + count, 0);
    if (total > devicesMax) {
      context.addIssue({
        code: 'custom',
        path: ['fleet'],
        message: `${total} devices are more than ${devicesMax}`,
      });
    }
    const seen = new Set<string>();
    for (const [index, step] of plan.phases.entries()) {
      const inside = 'parallel' in step;
      for (const [at, phase] of (inside ? step.parallel : [step]).entries()) {
        const path = ['phases', index, ...(inside ? ['parallel', at] : [])];
        for (const group of phase.groups ?? []) {
          if (!names.has(group)) {
            context.addIssue({
              code: 'custom',
              path: [...path, 'groups'],
              message: `there is no group ${group}`,
            });
          }
        }
        if (phase.name !== undefined && seen.has(phase.name)) {
          context.addIssue({
            code: 'custom',
            path: [...path, 'name'],
            message: `the phase ${phase.name} stands twice`,
          });
        }
        if (phase.name !== undefined) seen.add(phase.name);
        if (phase.phase === 'ramp' && phase.rate !== undefined && phase.over !== undefined) {
          context.addIssue({ code: 'custom', path, message: 'give rate or over, not both' });
        }
      }
    }
  });

/** A plan as it was checked: durations in ms, rates a second, every default filled in. */
export type Plan = z.output<typeof planSchema>;

function ratePerSecond(text: string): number {
  const [, count, every, unit] = /^([\d.]+)\/(\d*)(s|m|h)$/.exec(text) ?? [];
  const unitSeconds = unit === 'h' ? 3600 : unit === 'm' ? 60 : 1;
  return Number(count) / (Number(every === '' ? 1 : every) * unitSeconds);
}
