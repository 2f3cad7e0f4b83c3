/**
 * Every setting: its name, what it means, what it may be, and what it is unless set.
 * docs/configuration.md is made from here.
 *
 * @module
 */
import { z } from 'zod';
import { formatDuration, parseDuration } from './duration.ts';
import { messageOf } from '../errors/flotilla-error.ts';
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
  z
    .string()
    .max(253)
    .regex(/^[A-Za-z0-9._:%-]+$/, 'Expected an address or the name of a host')
    .default('127.0.0.1')
    .describe(meaning);

/** The kinds of keys that certificates are issued for. */
export const deviceKeyTypes = ['p256', 'p384', 'ed25519', 'rsa2048', 'rsa3072', 'rsa4096'] as const;

const plainUrl = (meaning: string): z.ZodOptional<z.ZodURL> =>
  z
    .url({ protocol: /^http$/ })
    .optional()
    .describe(meaning);

/** What certificates of one kind of device are like. */
const enrollmentProfile = z.strictObject({
  validity: duration('365d', '1s', 'How long a certificate is good.').optional(),
  keyTypes: z
    .array(z.enum(deviceKeyTypes))
    .min(1)
    .default([...deviceKeyTypes])
    .describe('The kinds of keys that are taken.'),
  renewalPart: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe('The last part of its life in which a certificate may be renewed; 1 is always.'),
  keyReuse: z
    .boolean()
    .default(true)
    .describe('Whether a renewal may keep the key; else each needs a new one.'),
  overlap: z
    .enum(['until-seen', 'until-end'])
    .default('until-seen')
    .describe(
      'How long the old certificate stays good: until the new one was seen connecting, or to its end.',
    ),
  group: z.string().min(1).max(128).optional().describe('The group that its devices get.'),
  attributes: z
    .record(z.string().min(1).max(64), z.string().max(256))
    .default({})
    .describe('The attributes that its devices get.'),
});

const approvalRule = z.strictObject({
  idPrefix: z.string().min(1).max(128).optional().describe('Ids that begin so.'),
  addresses: z
    .array(z.string().min(1).max(64))
    .min(1)
    .max(64)
    .optional()
    .describe('Addresses and networks (10.0.0.0/8) that the request comes from.'),
  factory: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('The name of the factory CA that vouches for it.'),
});

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
      importedTokenTtl: duration(
        '365d',
        '1s',
        'How long a token that came with an import of devices is good.',
      ),
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
      crlUrl: plainUrl('Where others find the CRL; stands in each certificate when it is set.'),
      ocspUrl: plainUrl('Where others ask by OCSP; stands in each certificate when it is set.'),
      crlValidity: duration('24h', '1m', 'How long a CRL is good; a new one comes at half of it.'),
      ocspValidity: duration('1h', '1s', 'How long an OCSP answer is good.'),
      profiles: z
        .record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/), enrollmentProfile)
        .default({})
        .describe('Enrollment profiles by name; `default` holds where none is named.'),
      approval: z
        .strictObject({
          enabled: z
            .boolean()
            .default(false)
            .describe('Whether a device without a token may ask an operator to be let in.'),
          expiry: duration('7d', '1s', 'How long a request waits for a decision.'),
          retryAfter: duration('10s', '1s', 'How soon a waiting device is told to ask again.'),
          autoApprove: z
            .array(approvalRule)
            .max(100)
            .default([])
            .describe('Requests that fit one of these, in all that it names, need no operator.'),
        })
        .prefault({}),
      hook: z
        .strictObject({
          url: z
            .url({ protocol: /^https$/ })
            .describe('Asked before each enrollment; it may refuse, or add attributes.'),
          caFile: z
            .string()
            .min(1)
            .optional()
            .describe(
              'PEM of what its certificate is checked against; the system store unless set.',
            ),
          secretFile: z.string().min(1).describe('The file with the secret of the HMAC.'),
          timeout: duration('3s', '10ms', 'How long an answer is waited for.'),
          onFailure: z
            .enum(['deny', 'allow'])
            .default('deny')
            .describe('What happens when it does not answer.'),
        })
        .optional()
        .describe('A web hook that may refuse enrollments.'),
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
      connectionMaxAge: duration(
        '0s',
        '0s',
        'How long a connection may live; then the device must connect anew. 0s is no limit.',
      ),
      cloneReaction: z
        .enum(['log', 'quarantine', 'suspend'])
        .default('log')
        .describe('What happens to an identity whose certificate is used in two places in turn.'),
      overlapReaction: z
        .enum(['log', 'quarantine', 'suspend'])
        .default('log')
        .describe(
          'What happens to an identity whose connections take the session from each other; a bad network causes it too.',
        ),
      flappingReaction: z
        .enum(['log', 'quarantine', 'suspend'])
        .default('log')
        .describe('What happens to an identity that connects far too often.'),
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
