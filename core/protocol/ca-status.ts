/**
 * What `flotilla ca status` and `GET /v1/ca/status` report about the CA.
 *
 * @module
 */
import { z } from 'zod';
import { issuerPurposes } from './enrollment-api.ts';

const fingerprint = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const time = z.iso.datetime();

const authority = {
  fingerprint,
  name: z.string(),
  notBefore: time,
  notAfter: time,
};

/** A trusted root. */
export const caRootSchema = z.object({
  ...authority,
  /** The root that new devices pin, the one that replaces it, or the one that it has replaced. */
  state: z.enum(['current', 'next', 'former']),
  /** Whether its private key is in the state folder, on a token, or elsewhere. */
  key: z.enum(['file', 'token', 'elsewhere']),
  /** When the published list of its revoked issuers was signed; null: there is none. */
  crlThisUpdate: time.nullable(),
});

/** A trusted issuer. */
export const caIssuerSchema = z.object({
  ...authority,
  /** What it signs; `all`: devices, services and servers. `device-servers`: devices that are servers as well. */
  purpose: z.enum(issuerPurposes),
  /** Whether it signs new certificates. */
  current: z.boolean(),
  /** Where its private key is: in the state folder, on a token, or at an external CA. */
  key: z.enum(['file', 'token', 'external']),
  root: fingerprint,
  /** The names of the CAs between it and its root. */
  above: z.array(z.string()),
});

export const caStatusSchema = z.object({
  root: caRootSchema,
  /** All trusted roots, the current one first. */
  roots: z.array(caRootSchema),
  issuers: z.array(caIssuerSchema),
  /** Issuers that were withdrawn because their key is in other hands. */
  withdrawn: z.array(z.object({ ...authority, onRootCrl: z.boolean() })),
  /** Issuers whose certificate was requested from another CA: the first digits of the fingerprint of their key. */
  requests: z.array(z.string()),
  ok: z.boolean(),
  checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string() })),
});
/** The published lists of revoked certificates, the current issuer's first. */
export const publishedListsSchema = z.object({
  lists: z.array(
    z.object({
      fingerprint,
      name: z.string(),
      isRoot: z.boolean(),
      /** Where it can be fetched, as PEM. */
      path: z.string(),
      bytes: z.int().min(0),
      nextUpdate: time,
    }),
  ),
});
/** A request for an issuer that another CA certifies. */
export const issuerRequestSchema = z.object({
  /** The first digits of the fingerprint of the key. */
  key: z.string(),
  /** PEM. */
  csr: z.string(),
});

/** A root, after a change of roots. */
export const rootSchema = z.object({ fingerprint, name: z.string(), notAfter: time });

/** How many roots have signed their list. */
export const signedListsSchema = z.object({ signed: z.int() });

/** The result of withdrawing an issuer whose key is in other hands. */
export const withdrawnIssuerSchema = z.object({
  fingerprint,
  /** The issuers that sign instead. */
  replacements: z.array(fingerprint),
  /** How many certificates of it were in use. */
  certificates: z.int(),
  connectionsClosed: z.int(),
  brokers: z.int(),
  /** How many of the brokers did not report within the time limit. */
  brokersLate: z.int(),
  /** Registered brokers that are not connected; absent in responses of earlier versions. */
  brokersAbsent: z.array(z.string()).optional(),
  /** Whether the published list of the root contains it; false when the key of the root is elsewhere. */
  onRootCrl: z.boolean(),
  /** Until the last broker reported. */
  elapsedMs: z.int(),
});
export type WithdrawnIssuer = z.infer<typeof withdrawnIssuerSchema>;

export type CaStatus = z.infer<typeof caStatusSchema>;
