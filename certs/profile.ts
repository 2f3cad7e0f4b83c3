/**
 * Certificate profiles: the allowed usage of each kind of certificate. A table that no request can
 * change.
 *
 * @module
 */
import { oids } from './oids.ts';

export const certificateProfiles = [
  'root',
  'issuer',
  'device-issuer',
  'service-issuer',
  'device-servers-root',
  'server',
  'device',
  'device-server',
  'service',
  'admin',
  'broker',
  'ocsp',
  'cmp',
] as const;
export type CertificateProfile = (typeof certificateProfiles)[number];

/** Bits of KeyUsage (RFC 5280, 4.2.1.3). */
export const keyUsageBits = {
  digitalSignature: 0,
  nonRepudiation: 1,
  keyEncipherment: 2,
  dataEncipherment: 3,
  keyCertSign: 5,
  cRLSign: 6,
} as const;

export interface ProfileFacts {
  readonly isCa: boolean;
  /** How many CA certificates may be below; only if `isCa`. */
  readonly pathLength: number | undefined;
  /** Bits of KeyUsage. The only key exchange is ephemeral, so a leaf only signs. */
  readonly keyUsage: readonly number[];
  /** The same for certificates of RSA keys, if it is different. */
  readonly rsaKeyUsage?: readonly number[];
  /** OIDs; empty for any use. In an issuer: what its certificates can be used for. */
  readonly extendedKeyUsage: readonly string[];
  /** Whether the subject is an identity (core/device-id.ts), or a descriptive name. */
  readonly subject: 'identity' | 'text';
  /** A responder's certificate is not itself checked by OCSP (RFC 6960, 4.2.2.2.1). */
  readonly ocspNoCheck: boolean;
}

const { digitalSignature, keyCertSign, cRLSign } = keyUsageBits;
const { nonRepudiation, keyEncipherment, dataEncipherment } = keyUsageBits;
const { serverAuth, clientAuth, ocspSigning, cmcRa } = oids;

const ca: ProfileFacts = {
  isCa: true,
  pathLength: undefined,
  keyUsage: [keyCertSign, cRLSign],
  extendedKeyUsage: [],
  subject: 'text',
  ocspNoCheck: false,
};

const leaf: ProfileFacts = {
  isCa: false,
  pathLength: undefined,
  keyUsage: [digitalSignature],
  extendedKeyUsage: [clientAuth],
  subject: 'identity',
  ocspNoCheck: false,
};

/**
 * The extended key usage of an issuer limits what its certificates can be used for, in OpenSSL, GnuTLS, NSS, Go and
 * Node.js. So whoever has the key of the issuer of devices cannot pose as a broker. RFC 5280, 4.2.1.12, allows the
 * extension in certificates of CAs.
 *
 * A device cannot be a server for clients that trust the root of the services, nor a server a device; a broker is both
 * (feed, listeners).
 */
export const profiles: Readonly<Record<CertificateProfile, ProfileFacts>> = {
  root: ca,
  issuer: { ...ca, pathLength: 0 },
  'device-issuer': { ...ca, pathLength: 0, extendedKeyUsage: [clientAuth] },
  'service-issuer': { ...ca, pathLength: 0, extendedKeyUsage: [serverAuth, clientAuth] },
  // A root of its own: whoever trusts the root of the services does not trust devices that are servers.
  'device-servers-root': { ...ca, pathLength: 0, extendedKeyUsage: [serverAuth, clientAuth] },
  server: { ...leaf, extendedKeyUsage: [serverAuth] },
  device: leaf,
  'device-server': {
    ...leaf,
    extendedKeyUsage: [serverAuth, clientAuth],
    // OPC UA Part 6, 6.2.2, requires these of RSA keys; with EC keys only the signature.
    rsaKeyUsage: [digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment],
  },
  service: leaf,
  admin: leaf,
  broker: { ...leaf, extendedKeyUsage: [clientAuth, serverAuth] },
  ocsp: { ...leaf, extendedKeyUsage: [ocspSigning], subject: 'text', ocspNoCheck: true },
  // RFC 9483, 1.9: it signs the messages of a registration authority, and is good for nothing in TLS.
  cmp: { ...leaf, extendedKeyUsage: [cmcRa], subject: 'text' },
};
