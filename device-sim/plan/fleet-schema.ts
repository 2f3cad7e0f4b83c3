/**
 * The `fleet` part of a plan: groups of devices, what they publish, and what they subscribe to.
 *
 * @module
 */
import { z } from 'zod';
import { devicesMax, duration, plainName, qos, rate, topicText } from './plan-values.ts';

const bytesMax = 262_144;

const walkField = z.strictObject({
  start: z.number().default(0),
  step: z.number().positive().default(1).describe('Standard deviation of one step'),
  min: z.number().optional(),
  max: z.number().optional(),
  decimals: z.int().min(0).max(9).default(2),
});

const payloadSchema = z.discriminatedUnion('kind', [
  z
    .strictObject({
      kind: z.literal('sequence'),
      bytes: z.int().min(0).max(bytesMax).default(0).describe('Padded to this size'),
    })
    .describe('Only the sequence number'),
  z
    .strictObject({
      kind: z.literal('walk'),
      fields: z.record(z.string().min(1).max(64), walkField).default({
        value: { start: 20, step: 0.2, decimals: 2 },
      }),
      bytes: z.int().min(0).max(bytesMax).default(0).describe('Padded to this size'),
    })
    .describe('Numbers that follow a random walk, one JSON field for each'),
  z
    .strictObject({
      kind: z.literal('template'),
      text: z.string().max(bytesMax),
    })
    .describe(
      'Text with placeholders: {{device}} {{group}} {{n}} {{seq}} {{time}} {{iso}} {{uuid}} {{int 1 6}} {{float 0 1 3}} {{gauss 20 2 1}} {{hex 8}} {{pick a b c}}, and %c %u %i as in other tools',
    ),
  z
    .strictObject({
      kind: z.literal('replay'),
      file: z.string().min(1).describe('CSV with a header line, or .jsonl; relative to the plan'),
      shuffle: z.boolean().default(false),
    })
    .describe('Rows of a file. Each device starts at its own row and repeats the file at its end'),
]);
/** The content of the messages of a stream, without the envelope. */
export type PayloadSpec = z.output<typeof payloadSchema>;

const publishSchema = z.strictObject({
  topic: topicText.default('devices/{device}/telemetry'),
  qos: qos.default(1),
  retain: z.boolean().default(false),
  rate: rate.prefault(1),
  spread: z.enum(['fixed', 'jitter', 'poisson']).default('fixed'),
  jitter: z
    .number()
    .min(0)
    .max(0.5)
    .default(0.1)
    .describe('For spread: jitter, as a share of the interval'),
  payload: payloadSchema.prefault({ kind: 'sequence' }),
});

export const groupSchema = z.strictObject({
  group: plainName,
  count: z.int().min(1).max(devicesMax),
  id: z
    .string()
    .regex(/\{n\}/, 'must contain {n}')
    .max(128)
    .default('{group}-{n}')
    .describe('The device id: {group}, {n} (its number, padded with zeros), {seed}'),
  client: z
    .enum(['mqttjs', 'light'])
    .default('mqttjs')
    .describe('mqttjs: the MQTT.js library. light: a small client that uses less memory'),
  keyType: z.enum(['p256', 'p384', 'ed25519', 'rsa2048', 'rsa3072', 'rsa4096']).default('p256'),
  mqtt: z.enum(['3.1.1', '5.0']).default('3.1.1'),
  tls: z
    .strictObject({
      version: z.enum(['1.2', '1.3', 'any']).default('any'),
      resume: z.boolean().default(false).describe('Offer the last TLS session when reconnecting'),
    })
    .prefault({}),
  keepAlive: duration.prefault('60s'),
  session: z.enum(['clean', 'kept']).default('clean'),
  sessionExpiry: duration.prefault('1h').describe('For kept sessions with MQTT 5.0'),
  inflightMax: z.int().min(1).max(65_535).default(100),
  publish: z.array(publishSchema).max(16).default([]),
  commands: z
    .strictObject({ filter: topicText.default('devices/{device}/commands/#'), qos: qos.default(1) })
    .nullable()
    .default({ filter: 'devices/{device}/commands/#', qos: 1 })
    .describe('The subscription of each device, or null for none'),
  connectTimeout: duration.prefault('20s'),
  reconnect: z
    .strictObject({
      minDelay: duration.prefault('500ms'),
      maxDelay: duration.prefault('15s'),
    })
    .prefault({})
    .describe('Delay before a reconnect: doubled after each failure, half of it random'),
});
export type GroupSpec = z.output<typeof groupSchema>;
