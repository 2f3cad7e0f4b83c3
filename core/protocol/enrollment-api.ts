/**
 * The JSON API of the enrollment service, used by its clients (command line, simulator, broker). Errors
 * are problem documents (RFC 9457).
 *
 * | call | authentication | body | response |
 * |---|---|---|---|
 * | `GET /v1/ca` | anyone | | {@link caSchema} |
 * | `POST /v1/enroll` | bearer token | {@link enrollRequestSchema} | {@link issuedSchema} 201 |
 * | `POST /v1/renew` | the current certificate | {@link renewRequestSchema} | {@link issuedSchema} 201 |
 * | `GET /v1/renewal-info` | the current certificate | | {@link renewalInfoSchema} |
 * | `POST /v1/relay/renew` | broker | {@link relayRenewRequestSchema} | {@link issuedSchema} 201 |
 * | `POST /v1/tokens` | admin | {@link tokenRequestSchema} | {@link tokenSchema} 201 |
 * | `POST /v1/tokens/batch` | admin | {@link tokenBatchRequestSchema} | {@link tokenBatchSchema} 201 |
 * | `POST /v1/services` | admin | {@link serviceRequestSchema} | {@link issuedSchema} 201 |
 * | `GET /v1/devices`, `/v1/devices/{id}` | admin | | {@link devicePageSchema}, {@link deviceSchema} |
 * | `POST /v1/devices/{id}/revoke` | admin | {@link revokeRequestSchema} | {@link revokedSchema} |
 * | `POST /v1/devices/{id}/suspend`, `resume`, `DELETE /v1/devices/{id}` | admin | | {@link suspendedSchema}, {@link deviceSchema}, {@link deletedSchema} |
 * | `GET /v1/feed`, `POST /v1/feed/report` | broker | see feed.ts | |
 * | `GET /v1/status` | admin | | {@link statusSchema} |
 * | `GET /v1/whoami` | any certificate | | {@link whoamiSchema} |
 * | `POST /v1/tokens/group` | admin | {@link groupTokenRequestSchema} | {@link groupTokenSchema} 201 |
 * | `DELETE /v1/tokens/{name}` | admin | | 204; the name is the one in the audit log |
 * | `GET /v1/requests` | admin | | {@link requestPageSchema} |
 * | `POST /v1/requests/{id}/approve`, `deny` | admin | {@link approveRequestSchema}, `{}` | {@link pendingRequestSchema} |
 * | `PATCH /v1/devices/{id}` | admin | {@link editRequestSchema} | {@link deviceSchema} |
 * | `POST /v1/groups/{group}/revoke` | admin | {@link revokeRequestSchema} | {@link groupRevokedSchema} |
 * | `GET /v1/factories`, `POST`, `DELETE /v1/factories/{name}` | admin | {@link factoryRequestSchema} | {@link factoriesSchema}, {@link factorySchema} 201, 204 |
 * | `GET /v1/issuers`, `POST`, `DELETE /v1/issuers/{fingerprint}` | admin | | {@link issuersSchema}, {@link issuerSchema} 201, 204 |
 * | `POST /v1/devices/import` | admin | CSV or JSON lines, {@link importRowSchema} | {@link importedSchema} |
 * | `GET /v1/devices/export` | admin | | JSON lines of {@link deviceSchema} |
 * | `GET /v1/openapi.json` | anyone | | OpenAPI 3.1 |
 *
 * `POST /v1/enroll` without a token is an enrollment by factory certificate, if the client sends one.
 * Otherwise it requests the approval of an operator, if that is enabled: the response is 202 with
 * `Retry-After` and {@link waitingSchema} until the same request is approved.
 *
 * @module
 */
import { z } from 'zod';
import { deviceIdSchema } from './device-id-schema.ts';
import { plainText } from './plain-text.ts';
import { deviceRoleSchema, roleNameSchema, serviceRoleSchema } from './policy-role.ts';

const fingerprint = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const time = z.iso.datetime();

/** The CA certificates. `fingerprint` is that of the root, which devices pin. */
export const caSchema = z.object({
  fingerprint,
  /** PEM: root, then issuers. */
  ca: z.string(),
});
export type CaAnswer = z.infer<typeof caSchema>;

export const enrollRequestSchema = z.strictObject({
  device: deviceIdSchema,
  /** PKCS#10, PEM. */
  csr: z.string().min(1).max(16_384),
});

export const renewRequestSchema = z.strictObject({ csr: z.string().min(1).max(16_384) });

/** The roots of devices that are servers, the current one first. Programs that connect to such devices trust them. */
export const deviceServersSchema = z.object({ fingerprint, ca: z.string() });

/** A certificate that was issued. Serial is lower-case hexadecimal. */
export const issuedSchema = z.object({
  device: deviceIdSchema,
  serial: z.string(),
  fingerprint,
  notBefore: time,
  notAfter: time,
  /** PEM: leaf. */
  certificate: z.string(),
  /** PEM: leaf, then issuer. */
  chain: z.string(),
  /** PEM: root, then issuers. */
  ca: z.string(),
  /** When it should be renewed; absent in responses of earlier versions. */
  renewAt: time.optional(),
});
export type Issued = z.infer<typeof issuedSchema>;

/** Why a renewal is due at that time: part of the lifetime, or the issuer ends or is not trusted anymore. */
export const renewalReasons = ['lifetime', 'issuer-ending', 'issuer-withdrawn'] as const;
export type RenewalReason = (typeof renewalReasons)[number];

/** When the certificate of the call should be renewed. */
export const renewalInfoSchema = z.object({
  device: deviceIdSchema,
  serial: z.string(),
  renewAt: time,
  /** The time until then; 0: now. For devices that have no clock or one that is wrong. */
  renewInSeconds: z.int().min(0),
  reason: z.enum(renewalReasons),
  /** When to ask again; also the Retry-After of the response. */
  retryAfterSeconds: z.int().min(1),
});
export type RenewalInfo = z.infer<typeof renewalInfoSchema>;

/**
 * A renewal that a device requested over MQTT. The broker confirms the certificate of the device's
 * connection; the service decides as for `/v1/renew` with that certificate, including the grace period.
 */
export const relayRenewRequestSchema = z.strictObject({
  device: deviceIdSchema,
  /** Of the connection's certificate: lower-case hexadecimal. */
  serial: z.string().regex(/^(?:[0-9a-f]{2}){1,20}$/),
  fingerprint,
  csr: z.string().min(1).max(16_384),
  /**
   * The device's proof for a new key, which a broker cannot create: the signature over the CSR (DER) by
   * the key of the current certificate, in base64. Not needed if the CSR keeps that key.
   */
  proof: z.string().min(1).max(1024).optional(),
  remoteAddress: z.string().max(64),
});
export type RelayRenewRequest = z.infer<typeof relayRenewRequestSchema>;

export const tokenRequestSchema = z.strictObject({
  device: deviceIdSchema,
  group: plainText(1, 128).optional(),
  /** The role in the policy (default: that of the profile, else `device`). */
  role: deviceRoleSchema.optional(),
  profile: z.string().min(1).max(64).optional(),
  ttlSeconds: z
    .int()
    .min(1)
    .max(365 * 86_400)
    .optional(),
  uses: z.int().min(1).max(1_000_000).optional(),
  /** Whether it can be the shared secret of CMP (RFC 9483). */
  cmp: z.boolean().optional(),
});

/** A token for `uses` new devices. */
export const groupTokenRequestSchema = z.strictObject({
  group: plainText(1, 128),
  role: deviceRoleSchema.optional(),
  profile: z.string().min(1).max(64).optional(),
  ttlSeconds: z
    .int()
    .min(1)
    .max(365 * 86_400)
    .optional(),
  uses: z.int().min(1).max(1_000_000),
  /** Whether devices that are in the group already may use it again: for another CA or a registration authority. */
  reenrolls: z.boolean().optional(),
  cmp: z.boolean().optional(),
});
export const groupTokenSchema = z.object({
  token: z.string(),
  /** Names the token in CMP; absent: the token is not for CMP. */
  reference: z.string().optional(),
  /** Its name in the audit log. */
  name: z.string(),
  group: z.string(),
  uses: z.int(),
  expiresAt: time,
  url: z.string(),
  fingerprint,
});

/** The only response that contains the token. */
export const tokenSchema = z.object({
  token: z.string(),
  /** Names the token in CMP; absent: the token is not for CMP. */
  reference: z.string().optional(),
  device: deviceIdSchema,
  group: z.string().nullable(),
  /** Null: the token gives no role. */
  role: z.string().nullable().optional(),
  expiresAt: time,
  url: z.string(),
  fingerprint,
  /** Ready to paste on the device. */
  command: z.string(),
});
export type TokenAnswer = z.infer<typeof tokenSchema>;

export const tokenBatchRequestSchema = z.strictObject({
  devices: z.array(deviceIdSchema).min(1).max(1000),
  group: plainText(1, 128).optional(),
  role: deviceRoleSchema.optional(),
  ttlSeconds: z
    .int()
    .min(1)
    .max(365 * 86_400)
    .optional(),
});
export const tokenBatchSchema = z.object({ tokens: z.array(tokenSchema) });

export const serviceRoles = ['service', 'admin', 'broker', 'server'] as const;
export const serviceRequestSchema = z.strictObject({
  name: deviceIdSchema,
  role: z.enum(serviceRoles),
  /** For role `service`: another role in the policy. */
  policyRole: serviceRoleSchema.optional(),
  csr: z.string().min(1).max(16_384),
  /** For roles `broker` and `server`: the host names and addresses in the certificate. */
  names: z.array(z.string().min(1).max(253)).max(32).default([]),
});

export const revocationReasons = [
  'unspecified',
  'keyCompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'privilegeWithdrawn',
] as const;
export type RevocationReason = (typeof revocationReasons)[number];

export const revokeRequestSchema = z.strictObject({
  reason: z.enum(revocationReasons).default('unspecified'),
});

/** Which brokers have not confirmed a change: devices may still be connected there. */
const unconfirmed = {
  /** Connected brokers that have not confirmed it in time. */
  brokersUnconfirmed: z.array(z.string()).optional(),
  /** Brokers that are not connected now: they were since the service started, or were registered when it started. */
  brokersAbsent: z.array(z.string()).optional(),
};

/** The result of a revocation. All of it is in force when the service sends this response. */
export const revokedSchema = z.object({
  id: deviceIdSchema,
  serials: z.array(z.string()),
  connectionsClosed: z.int(),
  elapsedMs: z.number(),
  /** The number of connected brokers, and how many of them have not confirmed the revocation in time. */
  brokers: z.int().optional(),
  brokersLate: z.int().optional(),
  ...unconfirmed,
  /** The number of the CRL that contains it; absent while that is being signed. */
  crlNumber: z.int().optional(),
});

/** What an identity may do at the moment. */
export const identityStatuses = [
  'pending',
  'active',
  'suspended',
  'revoked',
  'quarantined',
] as const;
export type IdentityStatus = (typeof identityStatuses)[number];

export const deviceSchema = z.object({
  id: deviceIdSchema,
  /** What it is: `device`, `service`, `admin`, `broker` or `server`. */
  kind: z.string().optional(),
  /** Its role in the policy: the kind, unless an operator gave it another one. */
  role: z.string(),
  status: z.enum(identityStatuses),
  group: z.string().nullable(),
  attributes: z.record(z.string(), z.string()),
  certificates: z.array(
    z.object({
      serial: z.string(),
      notBefore: time,
      notAfter: time,
      /** `withdrawn`: its issuer is not trusted anymore. */
      status: z.enum(['active', 'revoked', 'retired', 'expired', 'withdrawn']),
      fingerprint,
      /** Its alternative names, if it is also the certificate of a server. */
      names: z.array(z.string()).optional(),
      /** When a broker first saw it connect; absent when that is not known. */
      seenAt: time.optional(),
    }),
  ),
  connected: z.boolean(),
  /** The brokers that have a connection of it. */
  brokers: z.array(z.string()).optional(),
  lastSeenAt: time.nullable(),
  createdAt: time.optional(),
  /** Denials by the policy since the service started, and the latest of them. */
  denied: z
    .object({
      count: z.int(),
      last: z.array(
        z.object({ at: time, action: z.string(), topic: z.string(), code: z.string() }),
      ),
    })
    .optional(),
});
export type DeviceAnswer = z.infer<typeof deviceSchema>;

/** A suspended identity, and the effect at the brokers. */
export const suspendedSchema = deviceSchema.extend({
  connectionsClosed: z.int().optional(),
  /** How many brokers were connected; `brokers` names those that have a connection of the identity. */
  brokersAsked: z.int().optional(),
  ...unconfirmed,
});

/** The result of a deletion. All of it is in force when the service sends this response. */
export const deletedSchema = revokedSchema.extend({ deleted: z.literal(true) });

export const devicePageSchema = z.object({
  devices: z.array(deviceSchema),
  /** The value of `after` for the next page; null at the end. */
  next: z.string().nullable(),
  /** How many devices match, on all pages; only when the call asks for it. */
  total: z.int().optional(),
});

/** An enrollment that waits for an operator. The client repeats the same request. */
export const waitingSchema = z.object({
  status: z.literal('pending'),
  request: z.string(),
  device: deviceIdSchema,
  retryAfterSeconds: z.int(),
});

export const pendingRequestSchema = z.object({
  id: z.string(),
  device: deviceIdSchema,
  /** Of the public key, to be compared with the one on the device. */
  fingerprint,
  remoteAddress: z.string(),
  receivedAt: time,
  expiresAt: time,
  status: z.enum(['pending', 'approved', 'denied']),
  profile: z.string().nullable(),
  /** The factory CA that issued the certificate of the device. */
  factory: z.string().nullable(),
});
export type PendingRequest = z.infer<typeof pendingRequestSchema>;
export const requestPageSchema = z.object({ requests: z.array(pendingRequestSchema) });
export const approveRequestSchema = z.strictObject({
  group: plainText(1, 128).optional(),
  role: deviceRoleSchema.optional(),
});

export const editRequestSchema = z.strictObject({
  /** Null removes the group. */
  group: plainText(1, 128).nullable().optional(),
  /** The role in the policy; null: the one of its kind, which is `device` for a device. */
  role: roleNameSchema.nullable().optional(),
  /** Null removes an attribute; attributes that are not named are not changed. */
  attributes: z.record(plainText(1, 64), plainText(0, 256).nullable()).optional(),
});

export const groupRevokedSchema = z.object({
  group: z.string(),
  devices: z.array(deviceIdSchema),
  serials: z.array(z.string()),
  connectionsClosed: z.int(),
  elapsedMs: z.number(),
  brokers: z.int().optional(),
  brokersLate: z.int().optional(),
  ...unconfirmed,
  crlNumber: z.int().optional(),
});

/** The client certificate of the call. */
export const whoamiSchema = z.object({
  id: deviceIdSchema,
  role: z.string(),
  serial: z.string(),
  status: z.string(),
  notAfter: time,
});

export const factoryRequestSchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
  /** PEM of the manufacturer's CA: the root or an intermediate CA. Devices send the CAs below it. */
  certificate: z.string().min(1).max(65_536),
  group: plainText(1, 128).optional(),
  role: deviceRoleSchema.optional(),
  profile: z.string().min(1).max(64).optional(),
  /** Serial numbers and common names that may enroll; all when absent. */
  allowed: z.array(z.string().min(1).max(128)).max(200_000).optional(),
  /** How the device id follows from a certificate: text with fields, `pump-{serialNumber}` (default: `{commonName}`). */
  deviceId: z.string().min(1).max(128).optional(),
  /** Whether each enrollment waits for an operator. */
  approval: z.boolean().default(false),
  /** Whether it may also enroll devices again that it has not enrolled. */
  takesOver: z.boolean().default(false),
});
export const factorySchema = z.object({
  name: z.string(),
  fingerprint,
  notAfter: time,
  group: z.string().nullable(),
  role: z.string().nullable().optional(),
  profile: z.string().nullable(),
  /** The length of the list; null: all certificates of this CA may enroll. */
  allowed: z.int().nullable(),
  deviceId: z.string(),
  approval: z.boolean(),
  takesOver: z.boolean(),
});
export const factoriesSchema = z.object({ factories: z.array(factorySchema) });

/** `device-servers`: devices that are servers as well; this issuer is a root of its own. */
export const issuerPurposes = ['all', 'devices', 'services', 'device-servers'] as const;

export const issuerSchema = z.object({
  fingerprint,
  name: z.string(),
  /** Whether it issues certificates now; the others are still trusted. */
  current: z.boolean(),
  /** What it signs; `all`: devices, services and servers. Absent from older services. */
  purpose: z.enum(issuerPurposes).optional(),
  notAfter: time,
});
export const issuersSchema = z.object({ issuers: z.array(issuerSchema) });

/** One row of an import. */
export const importRowSchema = z.strictObject({
  id: deviceIdSchema,
  group: plainText(1, 128).optional(),
  role: deviceRoleSchema.optional(),
  profile: z.string().min(1).max(64).optional(),
  attributes: z.record(plainText(1, 64), plainText(0, 256)).default({}),
  /** A token that was generated elsewhere: 32 random bytes, base64url. */
  token: z.string().optional(),
});
export type ImportRow = z.infer<typeof importRowSchema>;
export const importedSchema = z.object({
  created: z.int(),
  updated: z.int(),
  tokens: z.int(),
  /** Rejected rows with the reason; the others were imported. */
  refused: z.array(z.object({ line: z.int(), reason: z.string() })),
});

export const statusSchema = z.object({
  ok: z.boolean(),
  checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string() })),
});
export type Status = z.infer<typeof statusSchema>;

/** A problem document (RFC 9457). `type` is `urn:flotilla:error:{code}`. */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string().optional(),
  instance: z.string().optional(),
  /** The code of the error catalogue. */
  code: z.string(),
  /** Advice on what to do next. */
  advice: z.string().optional(),
});
export type Problem = z.infer<typeof problemSchema>;
