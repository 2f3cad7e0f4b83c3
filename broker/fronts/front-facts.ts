/**
 * The contents of frames that are JSON. The core parses them; fronts import the types only, because zod
 * would make their start slower.
 *
 * @module
 */
import { z } from 'zod';
import { isDeviceId, type DeviceId } from '../../core/device-id.ts';
import { isErrorCode, type ErrorCode } from '../../core/errors/catalogue.ts';

const errorCode = z.custom<ErrorCode>((value) => typeof value === 'string' && isErrorCode(value));

export const handshakeFailure = z.object({
  remoteAddress: z.string(),
  code: errorCode,
  detail: z.string(),
});
export type HandshakeFailure = z.infer<typeof handshakeFailure>;

export const upgradeFailure = z.object({ code: errorCode, detail: z.string() });
export type UpgradeFailure = z.infer<typeof upgradeFailure>;

/** What the TLS of a front established about a connection. */
export const securedFacts = z.object({
  port: z.enum(['mqtts', 'wss']),
  durationMs: z.number(),
  chainError: z.string().nullable(),
  remoteAddress: z.string(),
  tlsVersion: z.string(),
  resumed: z.boolean(),
  certificate: z
    .object({
      serial: z.string(),
      fingerprint: z.string(),
      commonName: z.discriminatedUnion('ok', [
        z.object({
          ok: z.literal(true),
          id: z.custom<DeviceId>((value) => typeof value === 'string' && isDeviceId(value)),
        }),
        z.object({ ok: z.literal(false), code: errorCode }),
      ]),
      /** The subject, if there is no valid common name. */
      subject: z.string(),
      forClients: z.boolean(),
      /** The fingerprint of the CA certificate in force that its issuer names; null: there is none. */
      issuer: z.string().nullable(),
      /** Whether a CA in force signed it. Determined only if the chain has an error. */
      issuedHere: z.boolean(),
    })
    .nullable(),
});
export type SecuredFacts = z.infer<typeof securedFacts>;
