/**
 * Certificate bundles: the degenerate, "certs-only" SignedData (RFC 5652, 5; RFC 7030, 4.1.3) that EST
 * responds with.
 *
 * @module
 */
import { FlotillaError, messageOf } from '../core/errors/flotilla-error.ts';
import { contextTag, decodeDer, tags } from './der.ts';
import { element, explicit, integer, oid, sequence, setOf } from './der-encode.ts';
import { Fields, oidOf } from './der-fields.ts';
import { oids } from './oids.ts';

/** The largest bundle that is parsed, in bytes. */
export const certsOnlyMaxBytes = 256 * 1024;

/**
 * Encodes certificates (DER) as a bundle. It is a SET and sorted as in DER, because some readers require
 * DER although CMS does not. So the order has no meaning; the response to an enrollment contains only
 * the issued certificate (RFC 7030, 4.2.3).
 */
export function certsOnly(certificates: readonly Uint8Array[]): Buffer {
  const signedData = sequence(
    integer(1),
    setOf(),
    sequence(oid(oids.data)),
    element(contextTag(0), ...certificates.toSorted((a, b) => Buffer.compare(a, b))),
    setOf(),
  );
  return sequence(oid(oids.signedData), explicit(0, signedData));
}

/**
 * Extracts the certificates (DER, not checked) of a bundle, in their order.
 *
 * @throws FlotillaError `pkcs7-malformed` when it is not a certs-only SignedData in DER
 */
export function parseCertsOnly(der: Uint8Array): Buffer[] {
  try {
    return read(der);
  } catch (error) {
    throw new FlotillaError('pkcs7-malformed', { detail: messageOf(error), cause: error });
  }
}

function read(der: Uint8Array): Buffer[] {
  const node = decodeDer(der, { maxBytes: certsOnlyMaxBytes });
  const content = new Fields(node, tags.sequence, 'content');
  if (oidOf(content.next(tags.oid)) !== oids.signedData) throw new Error('not SignedData');
  const wrapped = new Fields(content.next(contextTag(0)), contextTag(0), 'content');
  content.end();
  const signed = new Fields(wrapped.next(tags.sequence), tags.sequence, 'SignedData');
  wrapped.end();
  signed.next(tags.integer);
  signed.next(tags.set);
  signed.next(tags.sequence);
  const certificates = signed.optional(contextTag(0))?.children ?? [];
  signed.optional(contextTag(1));
  const signers = signed.next(tags.set);
  signed.end();
  if (signers.children.length > 0) throw new Error('it has signers: not certs-only');
  return certificates.map((certificate) => certificate.der);
}
