/**
 * The bodies of CMP messages (RFC 4210, 5.3) that are not certificate requests: confirmation, polling, revocation,
 * information, and the responses to them.
 *
 * @module
 */
import { cmpInfoTypes } from './cmp-message.ts';
import { cmpStatus, type CmpFailure } from './cmp-status.ts';
import { certificateIdOf, type CertificateId } from './crmf.ts';
import { contextTag, DerError, tags, type DerNode } from './der.ts';
import { derNull, element, explicit, integer, oid, sequence, utf8String } from './der-encode.ts';
import { expectTag, Fields, oidOf, smallNumberOf } from './der-fields.ts';
import { readExtensions } from './extensions.ts';
import { oids } from './oids.ts';

const listMax = 8;

/** What a client says about the certificate that it got. */
export interface CmpConfirmation {
  readonly hash: Buffer;
  readonly requestId: CmpRequestId;
  readonly isAccepted: boolean;
  /** OID; undefined: the hash of the certificate's signature. */
  readonly hashAlgorithm: string | undefined;
}

/** RFC 9480, 2.11: -1 belongs to a PKCS#10 request, which has no number. */
export type CmpRequestId = 0 | -1;

/** Parses CertConfirmContent. An empty one refuses all certificates. @throws DerError */
export function readConfirmations(node: DerNode): CmpConfirmation[] {
  return listOf(node, 'certConf').map((child) => {
    const fields = new Fields(child, tags.sequence, 'certConf');
    const hash = fields.next(tags.octetString).content;
    const requestId = requestIdOf(fields.next(tags.integer));
    const status = fields.optional(tags.sequence);
    const algorithm = fields.optional(contextTag(0));
    fields.end();
    const [name] = algorithm?.children ?? [];
    return {
      hash,
      requestId,
      // RFC 4210, 5.3.18: without a status it is accepted.
      isAccepted: status === undefined || statusCodeOf(status) <= 1,
      hashAlgorithm:
        name === undefined
          ? undefined
          : oidOf(new Fields(name, tags.sequence, 'hash algorithm').next(tags.oid)),
    };
  });
}

function statusCodeOf(node: DerNode): number {
  return smallNumberOf(new Fields(node, tags.sequence, 'status').next(tags.integer));
}

/** Parses PollReqContent. @throws DerError */
export function readPoll(node: DerNode): CmpRequestId {
  const [one, more] = listOf(node, 'pollReq');
  if (one === undefined || more !== undefined) throw new DerError('pollReq: not one request');
  const fields = new Fields(one, tags.sequence, 'pollReq');
  const id = requestIdOf(fields.next(tags.integer));
  fields.end();
  return id;
}

/** What a client wants to be revoked. */
export interface CmpRevocation extends CertificateId {
  /** CRLReason (RFC 5280, 5.3.1); 0: not specified. */
  readonly reasonCode: number;
}

/** Parses RevReqContent. RFC 9483, 4.2: one certificate. @throws DerError */
export function readRevocation(node: DerNode): CmpRevocation {
  const [one, more] = listOf(node, 'rr');
  if (one === undefined || more !== undefined) throw new DerError('rr: not one certificate');
  const fields = new Fields(one, tags.sequence, 'rr');
  const id = certificateIdOf(fields.next(tags.sequence));
  const details = fields.optional(tags.sequence);
  fields.end();
  const reason =
    details === undefined ? undefined : readExtensions(details).get(oids.reasonCode)?.value;
  return { ...id, reasonCode: reason === undefined ? 0 : enumeratedOf(reason) };
}

/** The content of a reasonCode extension: an ENUMERATED of one byte. */
function enumeratedOf(value: Buffer): number {
  const [tag, length, code] = value;
  if (value.length !== 3 || tag !== tags.enumerated || length !== 1 || code === undefined) {
    throw new DerError('rr: not a reason');
  }
  return code;
}

/** Parses GenMsgContent: the types of information that are asked for. @throws DerError */
export function readGeneral(node: DerNode): string[] {
  return cmpInfoTypes(node);
}

function listOf(node: DerNode, what: string): readonly DerNode[] {
  const { children } = expectTag(node, tags.sequence, what);
  if (children.length > listMax) throw new DerError(`${what}: too many`);
  return children;
}

function requestIdOf({ content }: DerNode): CmpRequestId {
  const [octet] = content;
  if (content.length !== 1 || (octet !== 0 && octet !== 0xff)) {
    throw new DerError('certReqId: neither 0 nor -1');
  }
  return octet === 0 ? 0 : -1;
}

function encodeRequestId(id: CmpRequestId): Buffer {
  return id === 0 ? integer(0) : element(tags.integer, Buffer.from([0xff]));
}

/**
 * CertRepMessage (DER) with a certificate.
 *
 * @param roots in `caPubs`; only a client that has authenticated the response by a shared secret may trust them
 */
export function certificateReply(
  id: CmpRequestId,
  certificate: Buffer,
  roots: readonly Buffer[],
): Buffer {
  const pair = sequence(explicit(0, certificate));
  const response = sequence(encodeRequestId(id), cmpStatus('accepted'), pair);
  return sequence(
    ...(roots.length === 0 ? [] : [explicit(1, sequence(...roots))]),
    sequence(response),
  );
}

/** CertRepMessage (DER): the request waits. The client polls. */
export function waitingReply(id: CmpRequestId, text: string): Buffer {
  return sequence(sequence(sequence(encodeRequestId(id), cmpStatus('waiting', text))));
}

/** PollRepContent (DER). */
export function pollReply(id: CmpRequestId, afterSeconds: number, text: string): Buffer {
  return sequence(sequence(encodeRequestId(id), integer(afterSeconds), sequence(utf8String(text))));
}

/** RevRepContent (DER): revoked. */
export function revocationReply(): Buffer {
  return sequence(sequence(cmpStatus('accepted')));
}

/** PKIConfirmContent (DER). */
export const confirmationReply = derNull;

/** ErrorMsgContent (DER). */
export function errorReply(text: string, failure: CmpFailure): Buffer {
  return sequence(cmpStatus('rejection', text, failure));
}

/** GenRepContent (DER): each type with its value, if there is one. */
export function generalReply(
  items: readonly { readonly type: string; readonly value: Buffer | undefined }[],
): Buffer {
  return sequence(
    ...items.map(({ type, value }) =>
      value === undefined ? sequence(oid(type)) : sequence(oid(type), value),
    ),
  );
}

/** RootCaKeyUpdateContent (DER; RFC 9480, 2.14): a new root, and the two that lead from one to the other. */
export function rootUpdate(
  newWithNew: Buffer,
  newWithOld: Buffer | undefined,
  oldWithNew: Buffer | undefined,
): Buffer {
  return sequence(
    newWithNew,
    ...(newWithOld === undefined ? [] : [explicit(0, newWithOld)]),
    ...(oldWithNew === undefined ? [] : [explicit(1, oldWithNew)]),
  );
}
