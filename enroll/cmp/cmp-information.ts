/** What a client asks for in a general message of CMP (RFC 9483, 4.3): CA certificates. @module */
import { generalReply, readGeneral, rootUpdate } from '../../certs/cmp-body.ts';
import { readCmp, type CmpMessage } from '../../certs/cmp-message.ts';
import { sequence } from '../../certs/der-encode.ts';
import { oids } from '../../certs/oids.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';

/**
 * The response to a general message. `caCerts` are the issuers; `rootCaCert`, and `rootCaKeyUpdate` as the response to
 * it, are the new root while roots change. Without a change they have no value.
 *
 * @returns GenRepContent, DER
 * @throws FlotillaError `cmp-malformed`, `operation-refused` for other kinds of information
 */
export function generalInformation({ body }: CmpMessage, ca: CertificateAuthority): Buffer {
  const types = readCmp(() => readGeneral(body));
  return generalReply(types.map((type) => itemOf(type, ca)));
}

function itemOf(
  type: string,
  ca: CertificateAuthority,
): { readonly type: string; readonly value: Buffer | undefined } {
  switch (type) {
    case oids.caCerts: {
      const roots = new Set(ca.inventory.roots.map(({ fingerprint }) => fingerprint));
      const issuers = ca.certificates.filter(({ fingerprint }) => !roots.has(fingerprint));
      const value = issuers.length === 0 ? undefined : sequence(...issuers.map(({ der }) => der));
      return { type, value };
    }
    case oids.rootCaCert:
    case oids.rootCaKeyUpdate:
      return { type: oids.rootCaKeyUpdate, value: rootUpdateOf(ca) };
    default:
      throw new FlotillaError('operation-refused', { detail: `information of type ${type}` });
  }
}

/** RFC 4210, 4.4. */
function rootUpdateOf({ inventory }: CertificateAuthority): Buffer | undefined {
  const { root, next, former, cross } = inventory;
  const newest = next ?? root;
  const oldest = next === undefined ? former : root;
  if (oldest === undefined) return undefined;
  const crossOf = (key: string): Buffer | undefined =>
    cross.find(({ keyFingerprint }) => keyFingerprint === key)?.der;
  return rootUpdate(newest.der, crossOf(newest.keyFingerprint), crossOf(oldest.keyFingerprint));
}
