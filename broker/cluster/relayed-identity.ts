/**
 * The facts about a device's connection that the node that accepted it passes to the node that holds its partition.
 * What the directory knows (entry, standing, end of the certificate) is not passed: the other node reads its own.
 *
 * @module
 */
import { z } from 'zod';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { deviceIdSchema } from '../../core/protocol/device-id-schema.ts';
import { isSerial } from '../../core/protocol/feed.ts';
import { review } from '../admission/admission.ts';
import type { Identity } from '../contracts/identity.ts';
import { certificateOf, type DirectoryView } from '../feed/broker-directory.ts';

/** The facts as JSON; at most 1 KB. */
export const relayedFactsSchema = z.strictObject({
  id: deviceIdSchema,
  serial: z.string().max(40).refine(isSerial),
  fingerprint: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  /** As node:crypto writes it. */
  issuer: z
    .string()
    .regex(/^[0-9A-F]{2}(?::[0-9A-F]{2}){31}$/)
    .optional(),
  remoteAddress: z.string().max(64),
  tlsVersion: z.enum(['TLSv1.2', 'TLSv1.3']),
  tlsResumed: z.boolean(),
});
export type RelayedFacts = z.infer<typeof relayedFactsSchema>;

/** What another node needs to know about an admitted connection. */
export function relayedFactsOf(identity: Identity): RelayedFacts {
  const { id, serial, fingerprint, issuer, remoteAddress, tlsVersion, tlsResumed } = identity;
  return {
    id,
    serial,
    fingerprint,
    ...(issuer === undefined ? {} : { issuer }),
    remoteAddress,
    tlsVersion: tlsVersion === 'TLSv1.2' ? tlsVersion : 'TLSv1.3',
    tlsResumed,
  };
}

/**
 * The identity of a connection that another node has admitted, by the directory of this node. A certificate that was
 * replaced meanwhile is still good, as for any live connection.
 *
 * @returns the code, if the connection must be closed
 */
export function identityOfRelayed(
  facts: RelayedFacts,
  directory: DirectoryView,
  nowMs: number,
): Identity | { readonly code: ErrorCode } {
  if (!directory.ready) return { code: 'directory-missing' };
  const entry = directory.get(facts.id);
  if (entry === undefined) return { code: 'device-unknown' };
  if (certificateOf(entry, facts.fingerprint)?.serial !== facts.serial) {
    return { code: 'certificate-unknown' };
  }
  const judgement = review(facts, directory, nowMs);
  if ('code' in judgement) return judgement;
  const { issuer, ...rest } = facts;
  return { ...rest, ...(issuer === undefined ? {} : { issuer }), entry, ...judgement };
}
