/**
 * Every setting: its name, description, allowed values and default. docs/configuration.md is generated
 * from here.
 *
 * @module
 */
import { z } from 'zod';
import { clusterSettingsSchema } from './cluster-settings.ts';
import { cmpSettingsSchema } from './cmp-settings.ts';
import { databaseSettings } from './database-settings.ts';
import { enrollLimitsSchema } from './enroll-limits.ts';
import { enrollmentProfileSchema } from './enrollment-profile-schema.ts';
import { brokerLimitsSchema } from './limits.ts';
import { renewalSettingsSchema } from './renewal-settings.ts';
import { externalCaSchema } from './external-ca-schema.ts';
import { ipNetworkSchema } from './server-name-settings.ts';
import { durationSetting, host, plainUrl, portSetting, webOrigin } from './setting-types.ts';

const approvalRule = z.strictObject({
  idPrefix: z.string().min(1).max(128).optional().describe('Device ids that begin with this text.'),
  addresses: z
    .array(ipNetworkSchema)
    .min(1)
    .max(64)
    .optional()
    .describe('Addresses and networks (10.0.0.0/8) that the request may come from.'),
  factory: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('The factory CA that issued the certificate of the device.'),
});

export const configSchema = z.strictObject({
  host: host('The address that the services listen on. The default is loopback only.'),
  names: z
    .array(z.string().min(1).max(253))
    .max(32)
    .default([])
    .describe(
      'Names and addresses in the server certificates, in addition to localhost and the host name.',
    ),
  proxies: z
    .array(ipNetworkSchema)
    .max(64)
    .default([])
    .describe(
      'Addresses and networks (10.0.0.0/8) of load balancers. Each connection from there must begin with a PROXY protocol header (version 1 or 2), which reports the address of the client.',
    ),
  tls: z
    .strictObject({
      rsaServerCertificate: z
        .boolean()
        .default(false)
        .describe(
          'Whether the services also have an RSA certificate, for clients with TLS 1.2 that do not support ECDSA. Clients that support both get the P-256 certificate.',
        ),
    })
    .prefault({}),
  memory: z
    .strictObject({
      allocator: z
        .enum(['auto', 'system', 'jemalloc'])
        .default('auto')
        .describe(
          'What allocates the native memory of a broker. jemalloc: the library must be installed. auto: jemalloc where it is installed, otherwise system.',
        ),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z
        .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
        .default('info')
        .describe('The lowest level that is logged.'),
    })
    .prefault({}),
  enroll: z
    .strictObject({
      port: portSetting(8443, 'The port of the enrollment service.'),
      metricsHost: host('The address for health checks and metrics, which need no authentication.'),
      metricsPort: portSetting(9465, 'The port for health checks and metrics.'),
      url: z
        .url({ protocol: /^https$/ })
        .refine((text) => bare(text), 'A URL without user, password, query and fragment')
        .optional()
        .describe(
          'The URL under which brokers, devices and the command line find the service. By default it is made of host and port.',
        ),
      ...databaseSettings(
        'A PostgreSQL database for registry and audit log, like postgres://flotilla@db1,db2/flotilla?sslmode=verify-full, so that a second instance can take over (docs/cluster.md). By default they are files of the state folder.',
      ),
      tokenTtl: durationSetting({
        defaultValue: '24h',
        min: '1s',
        description: 'Validity of an enrollment token.',
      }),
      importedTokenTtl: durationSetting({
        defaultValue: '365d',
        min: '1s',
        description: 'Validity of a token that was created by a bulk import.',
      }),
      certificateValidity: durationSetting({
        defaultValue: '365d',
        min: '1s',
        description: 'Validity of a certificate.',
      }),
      serverCertificateValidity: durationSetting({
        defaultValue: '90d',
        min: '1s',
        description: 'Validity of the certificates of the services themselves.',
      }),
      renewGrace: durationSetting({
        defaultValue: '30d',
        min: '0ms',
        description:
          'How long after its end a certificate may still be used for renewal, and only for that.',
      }),
      renewal: renewalSettingsSchema,
      renewWithdrawn: z
        .boolean()
        .default(false)
        .describe(
          'Whether devices may renew a certificate whose issuer was withdrawn: they prove that they have its key, and the registry contains it.',
        ),
      cmp: cmpSettingsSchema,
      endedCertificateKeep: durationSetting({
        defaultValue: '30d',
        min: '0ms',
        description:
          'How long a certificate stays in the registry after its end and renewGrace. Then only the audit log has it; the newest one of an identity always stays.',
      }),
      tokenReplay: durationSetting({
        defaultValue: '15m',
        min: '0ms',
        description:
          'How long a repeated enrollment with the same token and CSR gets the same response.',
      }),
      crlUrl: plainUrl('The URL of the CRL. If set, it is written into each certificate.'),
      ocspUrl: plainUrl(
        'The URL of the OCSP responder. If set, it is written into each certificate.',
      ),
      crlValidity: durationSetting({
        defaultValue: '24h',
        min: '1m',
        description: 'Validity of a CRL; a new one is issued after half of it.',
      }),
      ocspValidity: durationSetting({
        defaultValue: '1h',
        min: '1s',
        description: 'Validity of an OCSP response.',
      }),
      profiles: z
        .record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/), enrollmentProfileSchema)
        .default({})
        .describe('Enrollment profiles by name; `default` applies where none is named.'),
      approval: z
        .strictObject({
          enabled: z
            .boolean()
            .default(false)
            .describe('Whether a device without a token may request approval by an operator.'),
          expiry: durationSetting({
            defaultValue: '7d',
            min: '1s',
            description: 'How long a request waits for a decision.',
          }),
          retryAfter: durationSetting({
            defaultValue: '10s',
            min: '1s',
            description: 'When a waiting device should ask again: the Retry-After of the response.',
          }),
          autoApprove: z
            .array(approvalRule)
            .max(100)
            .default([])
            .describe(
              'Rules for automatic approval. A request is approved if it matches every condition of one rule.',
            ),
        })
        .prefault({}),
      operators: z
        .strictObject({
          sessionTtl: durationSetting({
            defaultValue: '8h',
            min: '1m',
            description: 'How long a browser stays signed in.',
          }),
          linkTtl: durationSetting({
            defaultValue: '60s',
            min: '1s',
            description:
              'How long a sign-in link can be used (default of a request without a time).',
          }),
        })
        .prefault({}),
      oidc: z
        .strictObject({
          issuer: z
            .url({ protocol: /^https$/ })
            .describe('The identity provider; its configuration is read from there.'),
          clientId: z.string().min(1).max(256).describe('The id of this service at the provider.'),
          clientSecretFile: z
            .string()
            .min(1)
            .optional()
            .describe(
              'The file with the client secret (default: a public client, with PKCE only).',
            ),
          caFile: z
            .string()
            .min(1)
            .optional()
            .describe(
              'PEM file with the CAs that are trusted for the provider (default: the system store).',
            ),
          label: z
            .string()
            .min(1)
            .max(64)
            .default('single sign-on')
            .describe('How the sign-in page names the provider.'),
          scopes: z
            .array(z.string().min(1).max(64))
            .max(16)
            .default(['openid', 'profile', 'email'])
            .describe('The scopes that are requested.'),
          nameClaim: z
            .string()
            .min(1)
            .max(64)
            .default('email')
            .describe('The claim that names the person in the audit log.'),
          roleClaim: z
            .string()
            .min(1)
            .max(256)
            .default('groups')
            .describe('The claim that names the role: a text or a list of texts.'),
          roles: z
            .strictObject({
              viewer: z
                .array(z.string().min(1).max(256))
                .max(64)
                .default([])
                .describe('Values of the claim that make a person a viewer.'),
              operator: z
                .array(z.string().min(1).max(256))
                .max(64)
                .default([])
                .describe('Values of the claim that make a person an operator.'),
              admin: z
                .array(z.string().min(1).max(256))
                .max(64)
                .default([])
                .describe('Values of the claim that make a person an administrator.'),
            })
            .describe('Values of the claim for each role. A person with none of them is refused.'),
        })
        .optional()
        .describe('Sign-in by an identity provider (OpenID Connect).'),
      externalCa: externalCaSchema,
      hook: z
        .strictObject({
          url: z
            .url({ protocol: /^https$/ })
            .describe(
              'Called before each enrollment; it may refuse the enrollment or add attributes.',
            ),
          caFile: z
            .string()
            .min(1)
            .optional()
            .describe(
              'PEM file with the CAs that are trusted for the hook (default: the system store).',
            ),
          secretFile: z.string().min(1).describe('The file with the HMAC secret.'),
          timeout: durationSetting({
            defaultValue: '3s',
            min: '10ms',
            description: 'How long to wait for a response.',
          }),
          onFailure: z
            .enum(['deny', 'allow'])
            .default('deny')
            .describe('What happens when the hook does not respond.'),
        })
        .optional()
        .describe('A web hook that may refuse enrollments.'),
    })
    .prefault({}),
  broker: z
    .strictObject({
      mqttsPort: portSetting(8883, 'The port for MQTT over TLS.'),
      wssPort: portSetting(8884, 'The port for MQTT over secure WebSocket.'),
      wssOrigins: z
        .array(webOrigin)
        .max(64)
        .default([])
        .describe(
          'Origins of web pages (https://dashboard.example.com) that may connect over WebSocket with the certificate of the browser, in addition to pages of the address of the port itself.',
        ),
      fronts: z
        .union([z.literal('auto'), z.number().int().min(0).max(64)])
        .default(0)
        .describe(
          'How many threads (fronts) do TCP, TLS and WebSocket. 0: the thread of the sessions does it. auto: on Linux with four cores or more, one less than the cores and at most 8; otherwise 0.',
        ),
      metricsHost: host('The address for health checks and metrics, which need no authentication.'),
      metricsPort: portSetting(9464, 'The port for health checks and metrics.'),
      onDenied: z
        .enum(['close', 'drop'])
        .default('close')
        .describe(
          'How the broker reacts to a denied PUBLISH from an MQTT 3.1.1 client, because that version has no negative acknowledgement.',
        ),
      store: z
        .enum(['durable', 'memory'])
        .default('durable')
        .describe(
          'Where sessions, queues and retained messages are stored: on the disk (or in broker.database), or in memory until the broker stops.',
        ),
      ...databaseSettings(
        'A PostgreSQL database for sessions, queues and retained messages, like postgres://flotilla@db1,db2/flotilla?sslmode=verify-full, so that a second broker can take over (docs/cluster.md). By default they are a file of the state folder.',
      ),
      tlsSessionTickets: z
        .boolean()
        .default(true)
        .describe('Whether clients may resume TLS sessions, which makes reconnecting cheaper.'),
      connectionMaxAge: durationSetting({
        defaultValue: '0s',
        min: '0s',
        description:
          'Maximum age of a connection; then the device must connect again. 0s means no limit.',
      }),
      cloneReaction: z
        .enum(['log', 'quarantine', 'suspend'])
        .default('log')
        .describe(
          'What happens to an identity whose certificate is used alternately in two places.',
        ),
      overlapReaction: z
        .enum(['log', 'quarantine', 'suspend'])
        .default('log')
        .describe(
          'What happens to an identity whose connections take over the session from each other. An unstable network can cause this, too.',
        ),
      flappingReaction: z
        .enum(['log', 'quarantine', 'suspend'])
        .default('log')
        .describe('What happens to an identity that connects too often.'),
    })
    .prefault({}),
  cluster: clusterSettingsSchema.prefault({}),
  limits: z
    .strictObject({
      broker: brokerLimitsSchema.prefault({}),
      enroll: enrollLimitsSchema.prefault({}),
    })
    .prefault({}),
});

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;
export type Config = DeepReadonly<z.infer<typeof configSchema>>;

/** Settings as people write them: all of them are optional. */
export type ConfigInput = z.input<typeof configSchema>;

function bare(text: string): boolean {
  if (!URL.canParse(text)) return true; // Already reported by z.url.
  const { username, password, search, hash } = new URL(text);
  return `${username}${password}${search}${hash}` === '';
}
