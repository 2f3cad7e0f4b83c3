/**
 * PKIStatusInfo of CMP (RFC 4210, 5.2.3): whether a request was granted, and why it was not.
 *
 * @module
 */
import { integer, namedBits, sequence, utf8String } from './der-encode.ts';

/** The bits of PKIFailureInfo that Flotilla sends. */
export const cmpFailureBits = {
  badAlg: 0,
  badMessageCheck: 1,
  badRequest: 2,
  badTime: 3,
  badCertId: 4,
  badDataFormat: 5,
  incorrectData: 7,
  badPOP: 9,
  certRevoked: 10,
  certConfirmed: 11,
  badRecipientNonce: 13,
  unacceptedPolicy: 15,
  badCertTemplate: 19,
  signerNotTrusted: 20,
  transactionIdInUse: 21,
  unsupportedVersion: 22,
  notAuthorized: 23,
  systemUnavail: 24,
  systemFailure: 25,
  duplicateCertReq: 26,
} as const;
export type CmpFailure = keyof typeof cmpFailureBits;

const statusCodes = { accepted: 0, rejection: 2, waiting: 3 } as const;

/** One PKIStatusInfo (DER). @param text for people, without secrets */
export function cmpStatus(
  status: keyof typeof statusCodes,
  text?: string,
  failure?: CmpFailure,
): Buffer {
  return sequence(
    integer(statusCodes[status]),
    ...(text === undefined ? [] : [sequence(utf8String(text))]),
    ...(failure === undefined ? [] : [namedBits([cmpFailureBits[failure]])]),
  );
}
