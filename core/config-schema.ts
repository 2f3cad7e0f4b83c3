/**
 * Every setting: its name, what it means, what it may be, and what it is unless set.
 * docs/configuration.md is made from here.
 *
 * @module
 */
import { z } from 'zod';
import { formatDuration, parseDuration } from './duration.ts';
import { messageOf } from './errors/flotilla-error.ts';
import { brokerLimitsSchema, enrollLimitsSchema } from './limits.ts';

type Duration = z.ZodPrefault<z.ZodPipe<z.ZodString, z.ZodTransform<number, string>>>;

/** A duration, written `90d`; milliseconds once read. `least` is the shortest one taken. */
const duration = (usual: string, least: string, meaning: string): Duration =>
  z
    .string()
    .transform((text, context) => {
      try {
        const ms = parseDuration(text);
        if (ms >= parseDuration(least)) return ms;
        context.addIssue({ code: 'custom', message: `Too short: expected ${least} or longer` });
      } catch (error) {
        context.addIssue({ code: 'custom', message: messageOf(error) });
      }
      return z.NEVER;
    })
    .prefault(usual)
    .meta({ description: meaning, durationMin: formatDuration(parseDuration(least)) });

const port = (usual: number, meaning: string): z.ZodDefault<z.ZodInt> =>
  z.int().min(0).max(65_535).default(usual).describe(`${meaning} 0 takes any free one.`);

const host = (meaning: string): z.ZodDefault<z.ZodString> =>
  z.string().min(1).max(253).default('127.0.0.1').describe(meaning);

export const configSchema = z.strictObject({
  host: host(
    'The address that the services listen on. Loopback unless set: opening up is a decision.',
  ),
  names: z
    .array(z.string().min(1).max(253))
    .max(32)
    .default([])
    .describe(
      'Names and addresses for the server certificates, beside localhost and the name of the machine.',
    ),
  log: z
    .strictObject({
      level: z
        .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
        .default('info')
        .describe('The least severe lines that the log keeps.'),
    })
    .prefault({}),
  enroll: z
    .strictObject({
      port: port(8443, 'The port of the enrollment service.'),
      url: z
        .url({ protocol: /^https$/ })
        .refine((text) => bare(text), 'A URL without user, password, query and fragment')
        .optional()
        .describe(
          'Where brokers, devices and the command line find the service; made of host and port unless set.',
        ),
      tokenTtl: duration('24h', '1s', 'How long an enrollment token is good.'),
      certificateValidity: duration('365d', '1s', 'How long a certificate is good.'),
      serverCertificateValidity: duration(
        '90d',
        '1s',
        'How long the certificates of the services themselves are good.',
      ),
      renewGrace: duration(
        '30d',
        '0ms',
        'How long after its end a certificate may still be used to renew, and for nothing else.',
      ),
      tokenReplay: duration(
        '15m',
        '0ms',
        'How long a repeated enrollment with the same token and CSR gets the same answer.',
      ),
    })
    .prefault({}),
  broker: z
    .strictObject({
      mqttsPort: port(8883, 'The port of MQTT over TLS.'),
      wssPort: port(8884, 'The port of MQTT over WebSocket over TLS.'),
      metricsHost: host('The address of health and metrics, which have no password.'),
      metricsPort: port(9464, 'The port of health and metrics.'),
      onDenied: z
        .enum(['close', 'drop'])
        .default('close')
        .describe(
          'What a PUBLISH that the policy denies does on MQTT 3.1.1, which has no negative answer.',
        ),
      store: z
        .enum(['durable', 'memory'])
        .default('durable')
        .describe(
          'Where sessions, queues and retained messages are: on the disk, or lost at a stop.',
        ),
      tlsSessionTickets: z
        .boolean()
        .default(true)
        .describe('Whether clients may resume TLS sessions, which makes reconnecting cheaper.'),
    })
    .prefault({}),
  limits: z
    .strictObject({
      broker: brokerLimitsSchema.prefault({}),
      enroll: enrollLimitsSchema.prefault({}),
    })
    .prefault({}),
});

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;
export type Config = DeepReadonly<z.infer<typeof configSchema>>;

/** Settings as people write them: everything may be left out. */
export type ConfigInput = z.input<typeof configSchema>;

function bare(text: string): boolean {
  if (!URL.canParse(text)) return true; // Said by z.url already.
  const { username, password, search, hash } = new URL(text);
  return `${username}${password}${search}${hash}` === '';
}
