/**
 * The enrollment service's JSON API as it stands on the wire: what the service promises and what its
 * clients (command line, simulator, broker) rely on. Errors are problem documents (RFC 9457).
 *
 * | call | who | body | answer |
 * |---|---|---|---|
 * | `GET /v1/ca` | anyone | | {@link caSchema} |
 * | `POST /v1/enroll` | bearer token | {@link enrollRequestSchema} | {@link issuedSchema} 201 |
 * | `POST /v1/renew` | the current certificate | {@link renewRequestSchema} | {@link issuedSchema} 201 |
 * | `POST /v1/relay/renew` | broker | {@link relayRenewRequestSchema} | {@link issuedSchema} 201 |
 * | `POST /v1/tokens` | admin | {@link tokenRequestSchema} | {@link tokenSchema} 201 |
 * | `POST /v1/tokens/batch` | admin | {@link tokenBatchRequestSchema} | {@link tokenBatchSchema} 201 |
 * | `POST /v1/services` | admin | {@link serviceRequestSchema} | {@link issuedSchema} 201 |
 * | `GET /v1/devices`, `/v1/devices/{id}` | admin | | {@link devicePageSchema}, {@link deviceSchema} |
 * | `POST /v1/devices/{id}/revoke` | admin | {@link revokeRequestSchema} | {@link revokedSchema} |
 * | `POST /v1/devices/{id}/suspend`, `resume`, `DELETE /v1/devices/{id}` | admin | | {@link deviceSchema}, 204 |
 * | `GET /v1/feed`, `POST /v1/feed/report` | broker | see directory.ts | |
 * | `GET /v1/status` | admin | | {@link statusSchema} |
 *
 * @module
 */
import { z } from 'zod';
import { isDeviceId, type DeviceId } from './device-id.ts';

const deviceId = z.custom<DeviceId>((value) => typeof value === 'string' && isDeviceId(value), {
  error: 'not a device id',
});
const fingerprint = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const time = z.iso.datetime();

/** The CA's certificates. `fingerprint` is the root's: what devices pin. */
export const caSchema = z.object({
  fingerprint,
  /** PEM: root, then issuers. */
  ca: z.string(),
});
export type CaAnswer = z.infer<typeof caSchema>;

export const enrollRequestSchema = z.strictObject({
  device: deviceId,
  /** PKCS#10, PEM. */
  csr: z.string().min(1).max(16_384),
});

export const renewRequestSchema = z.strictObject({ csr: z.string().min(1).max(16_384) });

/** A certificate that was issued. Serial is lower-case hexadecimal. */
export const issuedSchema = z.object({
  device: deviceId,
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
});
export type Issued = z.infer<typeof issuedSchema>;

/**
 * A renewal that a device asked for over MQTT. The broker vouches for the certificate that the
 * device's connection was admitted with; the service decides as for `/v1/renew` with it, the grace
 * period included.
 */
export const relayRenewRequestSchema = z.strictObject({
  device: deviceId,
  /** Of the connection's certificate: lower-case hexadecimal. */
  serial: z.string().regex(/^(?:[0-9a-f]{2}){1,20}$/),
  fingerprint,
  csr: z.string().min(1).max(16_384),
  /**
   * The device's word for a new key, which a broker cannot give: base64 of the signature by the key
   * of its current certificate over the CSR (DER). Not needed when the CSR keeps that key.
   */
  proof: z.string().min(1).max(1024).optional(),
  remoteAddress: z.string().max(64),
});
export type RelayRenewRequest = z.infer<typeof relayRenewRequestSchema>;

export const tokenRequestSchema = z.strictObject({
  device: deviceId,
  group: z.string().min(1).max(128).optional(),
  ttlSeconds: z
    .int()
    .min(1)
    .max(365 * 86_400)
    .optional(),
  uses: z.int().min(1).max(1_000_000).optional(),
});

/** The one moment when a token can be seen. */
export const tokenSchema = z.object({
  token: z.string(),
  device: deviceId,
  group: z.string().nullable(),
  expiresAt: time,
  url: z.string(),
  fingerprint,
  /** Ready to paste on the device. */
  command: z.string(),
});
export type TokenAnswer = z.infer<typeof tokenSchema>;

export const tokenBatchRequestSchema = z.strictObject({
  devices: z.array(deviceId).min(1).max(1000),
  group: z.string().min(1).max(128).optional(),
  ttlSeconds: z
    .int()
    .min(1)
    .max(365 * 86_400)
    .optional(),
});
export const tokenBatchSchema = z.object({ tokens: z.array(tokenSchema) });

export const serviceRoles = ['service', 'admin', 'broker'] as const;
export const serviceRequestSchema = z.strictObject({
  name: deviceId,
  role: z.enum(serviceRoles),
  csr: z.string().min(1).max(16_384),
  /** For role `broker`: the names and addresses that its server certificate must carry. */
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

/** What a revocation did: all of it is in force when this is answered. */
export const revokedSchema = z.object({
  id: deviceId,
  serials: z.array(z.string()),
  connectionsClosed: z.int(),
  elapsedMs: z.number(),
});

export const deviceSchema = z.object({
  id: deviceId,
  role: z.string(),
  status: z.enum(['pending', 'active', 'suspended', 'revoked', 'quarantined']),
  group: z.string().nullable(),
  attributes: z.record(z.string(), z.string()),
  certificates: z.array(
    z.object({
      serial: z.string(),
      notBefore: time,
      notAfter: time,
      status: z.enum(['active', 'revoked', 'retired', 'expired']),
      fingerprint,
    }),
  ),
  connected: z.boolean(),
  lastSeenAt: time.nullable(),
});
export type DeviceAnswer = z.infer<typeof deviceSchema>;

export const devicePageSchema = z.object({
  devices: z.array(deviceSchema),
  /** Pass as `after` for the next page; null at the end. */
  next: z.string().nullable(),
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
  /** What to do next. */
  advice: z.string().optional(),
});
export type Problem = z.infer<typeof problemSchema>;
