/**
 * CMP messages (RFC 4210, 5.1, in the profile of RFC 9483, 3): header, body, protection, certificates.
 *
 * The input of the parser is hostile: it accepts only canonical DER of at most 64 KiB, in which every field has
 * its type and its bounds. The body is left as it is; cmp-body.ts and crmf.ts parse it after the protection was verified.
 *
 * @module
 */
import { FlotillaError, messageOf } from '../core/errors/flotilla-error.ts';
import { contextTag, decodeDer, DerError, tags, type DerNode } from './der.ts';
import {
  bitString,
  derNull,
  element,
  explicit,
  generalizedTime,
  integer,
  octetString,
  oid,
  sequence,
} from './der-encode.ts';
import { Fields, oidOf, smallNumberOf, timeOf, wholeBytesOf } from './der-fields.ts';
import { oids } from './oids.ts';

/** The largest message, in bytes. */
export const cmpMessageMaxBytes = 64 * 1024;
/** The most certificates in one message. */
export const cmpCertificatesMax = 16;
/** RFC 9483, 3.1: transaction ids and nonces have 128 bits; longer ones are accepted. */
const idMinBytes = 16;
const idMaxBytes = 64;
const infoMax = 16;

/** The alternatives of PKIBody that Flotilla reads or writes, by their tag numbers. */
export const cmpBodies = {
  ir: 0,
  ip: 1,
  cr: 2,
  cp: 3,
  p10cr: 4,
  kur: 7,
  kup: 8,
  rr: 11,
  rp: 12,
  pkiconf: 19,
  genm: 21,
  genp: 22,
  error: 23,
  certConf: 24,
  pollReq: 25,
  pollRep: 26,
} as const;
export type CmpBodyName = keyof typeof cmpBodies;

export interface CmpHeader {
  readonly version: 2 | 3;
  /** GeneralName, DER. */
  readonly sender: Buffer;
  /** The Name (DER) of the sender; undefined if it is another kind of name. */
  readonly senderName: Buffer | undefined;
  readonly timeMs: number | undefined;
  /** AlgorithmIdentifier of the protection. */
  readonly algorithm: DerNode | undefined;
  readonly senderKeyId: Buffer | undefined;
  readonly transactionId: Buffer;
  readonly senderNonce: Buffer;
  readonly recipientNonce: Buffer | undefined;
  /** Whether the client does not want to confirm the certificate. */
  readonly implicitConfirm: boolean;
}

export interface CmpMessage {
  readonly header: CmpHeader;
  /** Undefined for a body that Flotilla does not know. */
  readonly bodyName: CmpBodyName | undefined;
  readonly body: DerNode;
  /** What the protection is computed over. */
  readonly protectedPart: Buffer;
  readonly protection: Buffer | undefined;
  /** Certificates, DER, not parsed. */
  readonly certificates: readonly Buffer[];
}

/** Parses a message. Its protection is not verified. @throws FlotillaError `cmp-malformed` */
export function parseCmp(der: Uint8Array): CmpMessage {
  return readCmp(() => read(decodeDer(der, { maxBytes: cmpMessageMaxBytes })));
}

/** Runs a parser of CMP. @throws FlotillaError `cmp-malformed` instead of its DerError */
export function readCmp<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    throw new FlotillaError('cmp-malformed', { detail: messageOf(error), cause: error });
  }
}

function read(node: DerNode): CmpMessage {
  const fields = new Fields(node, tags.sequence, 'CMP message');
  const headerNode = fields.next(tags.sequence);
  const wrapped = fields.any();
  const protection = fields.optional(contextTag(0));
  const extra = fields.optional(contextTag(1));
  fields.end();
  const [body, more] = wrapped.children;
  if ((wrapped.tag & 0xe0) !== contextTag(0) || body === undefined || more !== undefined) {
    throw new DerError('CMP body: not one value with a tag');
  }
  const number = wrapped.tag & 0x1f;
  const certificates = extra === undefined ? [] : readCertificates(only(extra, 'extraCerts'));
  return {
    header: readHeader(headerNode),
    bodyName: bodyNames.get(number),
    body,
    protectedPart: sequence(headerNode.der, wrapped.der),
    protection:
      protection === undefined ? undefined : wholeBytesOf(only(protection, 'CMP protection')),
    certificates,
  };
}

const bodyNames = new Map<number, CmpBodyName>([
  [0, 'ir'],
  [1, 'ip'],
  [2, 'cr'],
  [3, 'cp'],
  [4, 'p10cr'],
  [7, 'kur'],
  [8, 'kup'],
  [11, 'rr'],
  [12, 'rp'],
  [19, 'pkiconf'],
  [21, 'genm'],
  [22, 'genp'],
  [23, 'error'],
  [24, 'certConf'],
  [25, 'pollReq'],
  [26, 'pollRep'],
]);

function readHeader(node: DerNode): CmpHeader {
  const fields = new Fields(node, tags.sequence, 'CMP header');
  const version = smallNumberOf(fields.next(tags.integer));
  if (version !== 2 && version !== 3) {
    throw new FlotillaError('cmp-version-refused', { detail: `pvno ${version}` });
  }
  const sender = generalName(fields.any());
  generalName(fields.any());
  const optional = (tag: number): DerNode | undefined => {
    const found = fields.optional(contextTag(tag));
    return found === undefined ? undefined : only(found, 'CMP header');
  };
  const time = optional(0);
  if (time !== undefined && time.tag !== tags.generalizedTime) {
    throw new DerError('messageTime: not a GeneralizedTime');
  }
  const algorithm = optional(1);
  const senderKeyId = octetsOf(optional(2), 1, 128);
  octetsOf(optional(3), 1, 128);
  const transactionId = octetsOf(optional(4), idMinBytes, idMaxBytes);
  const senderNonce = octetsOf(optional(5), idMinBytes, idMaxBytes);
  const recipientNonce = octetsOf(optional(6), idMinBytes, idMaxBytes);
  optional(7);
  const info = optional(8);
  fields.end();
  if (transactionId === undefined || senderNonce === undefined) {
    throw new DerError('CMP header: transactionID or senderNonce is missing');
  }
  return {
    version,
    sender: sender.der,
    senderName: sender.tag === contextTag(4) ? sender.content : undefined,
    timeMs: time === undefined ? undefined : timeOf(time),
    algorithm,
    senderKeyId,
    transactionId,
    senderNonce,
    recipientNonce,
    implicitConfirm: info !== undefined && cmpInfoTypes(info).includes(oids.implicitConfirm),
  };
}

/** The types of a list of InfoTypeAndValue. @throws DerError */
export function cmpInfoTypes(node: DerNode): string[] {
  const list = new Fields(node, tags.sequence, 'CMP information');
  const found: string[] = [];
  while (list.hasMore()) {
    if (found.length >= infoMax) throw new DerError('CMP information: too many');
    const fields = new Fields(list.next(tags.sequence), tags.sequence, 'CMP information');
    found.push(oidOf(fields.next(tags.oid)));
    if (fields.hasMore()) fields.any();
    fields.end();
  }
  return found;
}

/** GeneralName (RFC 5280, 4.2.1.6): a context-specific tag up to 8. */
function generalName(node: DerNode): DerNode {
  if ((node.tag & 0xc0) !== 0x80 || (node.tag & 0x1f) > 8) throw new DerError('not a GeneralName');
  if (node.tag === contextTag(4)) new Fields(only(node, 'name'), tags.sequence, 'name');
  return node;
}

function readCertificates(node: DerNode): Buffer[] {
  const list = new Fields(node, tags.sequence, 'extraCerts');
  const found: Buffer[] = [];
  while (list.hasMore()) {
    if (found.length >= cmpCertificatesMax) throw new DerError('extraCerts: too many');
    found.push(list.next(tags.sequence).der);
  }
  return found;
}

function only({ children }: DerNode, what: string): DerNode {
  const [node, more] = children;
  if (node === undefined || more !== undefined) throw new DerError(`${what}: not one value`);
  return node;
}

function octetsOf(node: DerNode | undefined, min: number, max: number): Buffer | undefined {
  if (node === undefined) return undefined;
  const { tag, content } = node;
  if (tag !== tags.octetString || content.length < min || content.length > max) {
    throw new DerError(`CMP header: not an OCTET STRING of ${min} to ${max} bytes`);
  }
  return content;
}

export interface CmpEncoding {
  readonly version: 2 | 3;
  /** GeneralName, DER. */
  readonly sender: Buffer;
  /** GeneralName, DER. */
  readonly recipient: Buffer;
  readonly timeMs: number;
  readonly senderKeyId: Buffer | undefined;
  readonly transactionId: Buffer;
  readonly senderNonce: Buffer;
  readonly recipientNonce?: Buffer | undefined;
  readonly implicitConfirm?: boolean;
  readonly body: CmpBodyName;
  /** The value of the body, DER. */
  readonly value: Buffer;
  /** Undefined: the message is not protected. */
  readonly protection:
    | {
        /** AlgorithmIdentifier, DER. */
        readonly algorithm: Buffer;
        /** The MAC of, or the signature over, the protected part. */
        readonly of: (protectedPart: Buffer) => Promise<Buffer>;
      }
    | undefined;
  /** DER. */
  readonly certificates: readonly Buffer[];
}

/** Encodes and protects a message. */
export async function encodeCmp(message: CmpEncoding): Promise<Buffer> {
  const { protection, certificates } = message;
  const octets = (tag: number, value: Buffer | undefined): Buffer[] =>
    value === undefined ? [] : [explicit(tag, octetString(value))];
  const header = sequence(
    integer(message.version),
    message.sender,
    message.recipient,
    explicit(0, generalizedTime(message.timeMs)),
    ...(protection === undefined ? [] : [explicit(1, protection.algorithm)]),
    ...octets(2, message.senderKeyId),
    ...octets(4, message.transactionId),
    ...octets(5, message.senderNonce),
    ...octets(6, message.recipientNonce),
    ...(message.implicitConfirm === true
      ? [explicit(8, sequence(sequence(oid(oids.implicitConfirm), derNull)))]
      : []),
  );
  const body = explicit(cmpBodies[message.body], message.value);
  const value = await protection?.of(sequence(header, body));
  return sequence(
    header,
    body,
    ...(value === undefined ? [] : [explicit(0, bitString(value))]),
    ...(certificates.length === 0 ? [] : [explicit(1, sequence(...certificates))]),
  );
}

/** The GeneralName (DER) of a Name (DER). */
export function directoryName(name: Buffer): Buffer {
  return element(contextTag(4), name);
}
