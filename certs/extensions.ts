/**
 * Extensions of certificates, requests, CRLs and OCSP messages: an OID, a criticality, and bytes.
 *
 * @module
 */
import { DerError, tags, type DerNode } from './der.ts';
import { derTrue, octetString, oid, sequence } from './der-encode.ts';
import { expectTag, Fields, oidOf } from './der-fields.ts';

/** The maximum number of extensions. */
export const extensionsMax = 32;

export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  /** The content of the OCTET STRING. */
  readonly value: Buffer;
}

/** One Extension (DER). */
export function extension(name: string, value: Uint8Array, criticality?: 'critical'): Buffer {
  return criticality === undefined
    ? sequence(oid(name), octetString(value))
    : sequence(oid(name), derTrue, octetString(value));
}

/**
 * Parses Extensions into a map by OID.
 *
 * @throws DerError when malformed, empty, more than 32, or with a duplicate (RFC 5280, 4.2)
 */
export function readExtensions(node: DerNode): ReadonlyMap<string, Extension> {
  const { children } = expectTag(node, tags.sequence, 'extensions');
  if (children.length === 0 || children.length > extensionsMax) {
    throw new DerError('extensions: none, or too many');
  }
  const found = new Map<string, Extension>();
  for (const child of children) {
    const fields = new Fields(child, tags.sequence, 'extension');
    const name = oidOf(fields.next(tags.oid));
    const critical = fields.optional(tags.boolean);
    const value = fields.next(tags.octetString).content;
    fields.end();
    // FALSE is the default, and DER omits default values.
    if (critical !== undefined && critical.content[0] === 0) {
      throw new DerError('extension: explicit criticality FALSE');
    }
    if (found.has(name)) throw new DerError(`extension: ${name} comes twice`);
    found.set(name, { oid: name, critical: critical !== undefined, value });
  }
  return found;
}
