/**
 * Certification paths to a foreign CA (RFC 5280, 6.1). Because the path is used for devices only, the
 * rules are strict: an unsupported critical extension or constraint is rejected. Pure functions;
 * the caller checks revocation, by name and serial number.
 *
 * @module
 */
import { claimedAlgorithm } from './algorithms.ts';
import type { CertificateFacts } from './certificate.ts';
import { decodeDer, DerError, tags } from './der.ts';
import { expectTag, Fields, smallNumberOf } from './der-fields.ts';
import { keyTypeOf } from './key.ts';
import { oids } from './oids.ts';
import { keyUsageBits } from './profile.ts';

/** How many intermediate CAs may be between a device certificate and the trusted CA. */
export const pathIntermediatesMax = 3;

/**
 * Returns the reason why a path is invalid, or undefined if it is valid: each certificate is signed by
 * the next one with an accepted algorithm and is valid now, each CA may issue certificates at its depth,
 * and the leaf may be used by a TLS client.
 *
 * @param path the leaf, then the intermediate CAs, each the issuer of the one before; without the trusted CA
 */
export function pathFault(
  path: readonly CertificateFacts[],
  anchor: CertificateFacts,
  nowMs: number,
): string | undefined {
  if (path.length > pathIntermediatesMax + 1) return 'the path is too long';
  return read(() => {
    for (const [at, one] of path.entries()) {
      const fault =
        (at === 0 ? leafFault(one) : caFault(one, whoIs(at))) ??
        dateFault(one, nowMs, whoIs(at)) ??
        signatureFault(one, path[at + 1] ?? anchor, at);
      if (fault !== undefined) return fault;
    }
    return standingFault(anchor, nowMs);
  });
}

/** Returns the reason why a CA cannot be the trusted CA of a path, or undefined if it can. */
export function anchorFault(anchor: CertificateFacts, nowMs: number): string | undefined {
  return read(() => {
    if (keyTypeOf(anchor.x509.publicKey) === undefined) return 'its key type is not supported';
    return standingFault(anchor, nowMs);
  });
}

/**
 * Returns the reason why an issuer does not chain to a root, or undefined if it does: each certificate is that of a
 * CA, may have CAs at its depth below it, and is signed by the next one. Dates are not checked, because an issuer
 * that has ended must not prevent a start that replaces it.
 *
 * @param path the issuer, then the CAs between it and the root, each the issuer of the one before
 */
export function issuerChainFault(
  path: readonly CertificateFacts[],
  root: CertificateFacts,
): string | undefined {
  if (path.length > pathIntermediatesMax + 1) return 'the path is too long';
  return read(() => {
    for (const [at, one] of path.entries()) {
      // The leaf is one below.
      const depth = at + 1;
      const fault = caFault(one, whoIs(depth)) ?? signatureFault(one, path[at + 1] ?? root, depth);
      if (fault !== undefined) return fault;
    }
    return caFault(root, 'the root');
  });
}

/** A certificate that cannot be parsed makes the path invalid. */
function read(decide: () => string | undefined): string | undefined {
  try {
    return decide();
  } catch (error) {
    if (error instanceof DerError) return error.message;
    throw error;
  }
}

function standingFault(anchor: CertificateFacts, nowMs: number): string | undefined {
  return caFault(anchor, 'the registered CA') ?? dateFault(anchor, nowMs, 'the registered CA');
}

const small = { maxBytes: 1024 };

/** The extensions that are checked below, and those without effect on the path. */
const understood: ReadonlySet<string> = new Set<string>([
  oids.basicConstraints,
  oids.keyUsage,
  oids.extendedKeyUsage,
  oids.subjectAltName,
  oids.subjectKeyIdentifier,
  oids.authorityKeyIdentifier,
  oids.crlDistributionPoints,
  oids.authorityInfoAccess,
  // RFC 5280, 6.1.1: every policy is acceptable here, and none is required.
  oids.certificatePolicies,
]);

function leafFault(leaf: CertificateFacts): string | undefined {
  if (leaf.isCa) return `${whoIs(0)} is that of a CA`;
  return usageFault(leaf, keyUsageBits.digitalSignature, whoIs(0));
}

function caFault(ca: CertificateFacts, who: string): string | undefined {
  if (!ca.isCa) return `${who} is no CA`;
  return usageFault(ca, keyUsageBits.keyCertSign, who);
}

function usageFault(one: CertificateFacts, needed: number, who: string): string | undefined {
  for (const { oid, critical } of one.extensions.values()) {
    if (critical && !understood.has(oid)) return `${who} has a critical extension, ${oid}`;
  }
  // Critical or not: a CA that is restricted to some names must not be accepted for others.
  if (one.extensions.has(oids.nameConstraints)) return `${who} has name constraints`;
  const { extendedKeyUsage } = one;
  if (
    one.extensions.has(oids.extendedKeyUsage) &&
    !extendedKeyUsage.some((usage) => usage === oids.clientAuth || usage === oids.anyUsage)
  ) {
    return `${who} is not for TLS clients`;
  }
  return keyUsageOf(one)?.has(needed) === false ? `${who} has another key usage` : undefined;
}

function dateFault(
  { notBeforeMs, notAfterMs }: CertificateFacts,
  nowMs: number,
  who: string,
): string | undefined {
  if (nowMs < notBeforeMs) return `${who} has not begun`;
  return nowMs >= notAfterMs ? `${who} has ended` : undefined;
}

function signatureFault(
  one: CertificateFacts,
  issuer: CertificateFacts,
  at: number,
): string | undefined {
  const who = whoIs(at);
  if (!one.issuer.equals(issuer.subject) || !one.x509.checkIssued(issuer.x509)) {
    return `${who} is not of the CA behind it`;
  }
  const limit = pathLengthOf(issuer);
  // The number of CAs between the issuer and the leaf; self-issued ones count as well.
  if (limit !== undefined && at > limit) return `${who} is deeper below its CA than that allows`;
  const { publicKey } = issuer.x509;
  const type = keyTypeOf(publicKey);
  const claimed =
    type === undefined
      ? undefined
      : claimedAlgorithm(decodeDer(one.signatureAlgorithm, small), type);
  if (claimed === undefined) return `${who} is signed with an algorithm that is not taken`;
  return one.x509.verify(publicKey) ? undefined : `${who} has a wrong signature`;
}

function whoIs(at: number): string {
  return at === 0 ? 'the certificate' : `the CA ${at} above it`;
}

function keyUsageOf({ extensions }: CertificateFacts): ReadonlySet<number> | undefined {
  const value = extensions.get(oids.keyUsage)?.value;
  if (value === undefined) return undefined;
  const { content } = expectTag(decodeDer(value, small), tags.bitString, 'key usage');
  const bits = new Set<number>();
  for (let bit = 0; bit < (content.length - 1) * 8; bit++) {
    if (((content[1 + (bit >> 3)] ?? 0) & (0x80 >> (bit & 7))) !== 0) bits.add(bit);
  }
  return bits;
}

function pathLengthOf({ extensions }: CertificateFacts): number | undefined {
  const value = extensions.get(oids.basicConstraints)?.value;
  if (value === undefined) return undefined;
  const fields = new Fields(decodeDer(value, small), tags.sequence, 'basic constraints');
  fields.optional(tags.boolean);
  const limit = fields.optional(tags.integer);
  fields.end();
  return limit === undefined ? undefined : smallNumberOf(limit);
}
