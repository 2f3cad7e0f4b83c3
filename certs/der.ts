/**
 * Parses DER with node-forge. Only this file imports the library.
 *
 * The `asn1` module of node-forge parses BER into a tree. {@link decodeDer} accepts only DER: the tree
 * must encode to the same bytes as the input, and every universal type must follow its rules (X.690,
 * sections 8 to 11). So each value has exactly one encoding, and a part of the input can be embedded
 * elsewhere, or verified under a signature, with the original bytes.
 *
 * One valid encoding is rejected: the library encodes a context-specific [2] like an INTEGER, so such an
 * element is not accepted with leading zeros. It occurs only in the unique identifiers of certificates,
 * which have been obsolete for thirty years.
 *
 * Nothing else of node-forge is used: its X.509 layer supports only RSA, and its advisories concern its
 * verification. node:crypto handles all signatures, hashes and keys. Loading the whole package would cost
 * 13 MB and 40 ms at the start; `asn1` costs 6 MB and 5 ms.
 *
 * @module
 */
import asn1 from 'node-forge/lib/asn1.js';

/** One DER element, as a view on the input. */
export interface DerNode {
  /**
   * The identifier octet: class, constructed bit and tag number in one, so that one comparison
   * checks all three.
   */
  readonly tag: number;
  /** The whole element: header and content. */
  readonly der: Buffer;
  readonly content: Buffer;
  /** The parts of a constructed element; empty for a primitive one. */
  readonly children: readonly DerNode[];
}

/** Identifier octets. */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** The identifier octet of a context-specific tag; constructed by default. */
export function contextTag(
  number: number,
  form: 'constructed' | 'primitive' = 'constructed',
): number {
  return (form === 'constructed' ? 0xa0 : 0x80) | number;
}

/** The input is not DER, or does not have the expected structure. Never thrown out of certs/. */
export class DerError extends Error {
  override readonly name = 'DerError';
}

export interface DerLimits {
  /** The largest input, in bytes; its elements are then bounded too (two bytes each at least). */
  readonly maxBytes: number;
  /** How deep elements may nest; default: 24. */
  readonly maxDepth?: number;
}

/**
 * Parses one DER element that fills the whole input.
 *
 * @throws DerError when it is too large, too deep, not DER, or followed by anything.
 */
export function decodeDer(input: Uint8Array, limits: DerLimits): DerNode {
  const bytes = Buffer.isBuffer(input)
    ? input
    : Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  if (bytes.length > limits.maxBytes) throw new DerError(`more than ${limits.maxBytes} bytes`);
  const binary = bytes.toString('latin1');
  let tree: asn1.Node;
  let encoded: string;
  try {
    tree = asn1.fromDer(binary, {
      strict: true,
      parseAllBytes: true,
      decodeBitStrings: false,
      maxDepth: limits.maxDepth ?? 24,
    });
    encoded = asn1.toDer(tree).getBytes();
  } catch (error) {
    throw new DerError('not ASN.1', { cause: error });
  }
  if (encoded !== binary) throw new DerError('not DER: it can be written in another way');
  const { node, end } = view(tree, bytes, 0);
  if (end !== bytes.length) throw new DerError('not DER: lengths do not add up');
  return node;
}

/** Where one element of a long list begins and ends. */
export interface ElementRange {
  readonly tag: number;
  readonly contentStart: number;
  readonly end: number;
}

/**
 * The header at `at`, for lists that are too long to be parsed at once. Only the header is checked
 * (shortest form, inside `end`); {@link decodeDer} parses the content element by element.
 *
 * @throws DerError
 */
export function rangeAt(bytes: Buffer, at: number, end = bytes.length): ElementRange {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined || at + 2 > end) throw new DerError('cut short');
  if ((tag & 0x1f) === 0x1f) throw new DerError('a tag number is too large');
  let contentStart = at + 2;
  let length = first;
  if (first >= 0x80) {
    const octets = first & 0x7f;
    if (octets < 1 || octets > 4 || contentStart + octets > end) {
      throw new DerError('a length that is not DER');
    }
    length = bytes.readUIntBE(contentStart, octets);
    contentStart += octets;
    if (length < 0x80 || length < 2 ** (8 * (octets - 1))) {
      throw new DerError('a length that is not in its shortest form');
    }
  }
  if (contentStart + length > end) throw new DerError('cut short');
  return { tag, contentStart, end: contentStart + length };
}

/** The content of an OBJECT IDENTIFIER element from its dotted text. */
export function encodeOid(text: string): Buffer {
  return Buffer.from(asn1.oidToDer(text).getBytes(), 'latin1');
}

/** The dotted text of an OBJECT IDENTIFIER's content. @throws DerError */
export function decodeOid(content: Buffer): string {
  try {
    return asn1.derToOid(content.toString('latin1'));
  } catch (error) {
    throw new DerError('an OID is out of range', { cause: error });
  }
}

/**
 * Maps a tree to the bytes that it was parsed from. It encodes to exactly these bytes, so each header is
 * one identifier octet and the shortest form of the length.
 */
function view(tree: asn1.Node, bytes: Buffer, start: number): { node: DerNode; end: number } {
  const tag = bytes[start] ?? 0;
  const first = bytes[start + 1] ?? 0;
  const contentStart = start + 2 + (first < 0x80 ? 0 : first & 0x7f);
  const children: DerNode[] = [];
  let end = contentStart;
  if (tree.constructed && typeof tree.value !== 'string') {
    for (const part of tree.value) {
      const child = view(part, bytes, end);
      children.push(child.node);
      end = child.end;
    }
  } else {
    end += lengthAt(bytes, start + 1);
  }
  const node: DerNode = {
    tag,
    der: bytes.subarray(start, end),
    content: bytes.subarray(contentStart, end),
    children,
  };
  checkUniversal(node);
  return { node, end };
}

function lengthAt(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return first;
  const octets = first & 0x7f;
  if (octets > 4) throw new DerError('a length is too long');
  return bytes.readUIntBE(at + 1, octets);
}

/** Checks the rules of DER for the universal types, beyond the encoding of tag and length. */
function checkUniversal({ tag, content, children }: DerNode): void {
  const number = tag & 0x1f;
  if (number === 0x1f) throw new DerError('a tag number is too large');
  if (tag >= 0x40) return;
  const constructed = (tag & 0x20) !== 0;
  if (number === 0) throw new DerError('an end-of-contents octet');
  if (constructed !== (number === 16 || number === 17)) {
    throw new DerError('a type has the wrong form (primitive or constructed)');
  }
  const length = content.length;
  const first = content[0] ?? 0;
  const last = content[length - 1] ?? 0;
  switch (tag) {
    case tags.boolean:
      if (length !== 1 || (first !== 0 && first !== 0xff)) throw new DerError('a bad BOOLEAN');
      return;
    case tags.integer:
    case tags.enumerated: {
      const second = content[1] ?? 0;
      const padded =
        length > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80));
      if (length === 0 || padded) throw new DerError('a bad INTEGER');
      return;
    }
    case tags.bitString:
      if (length === 0 || first > 7 || (length === 1 && first !== 0)) {
        throw new DerError('a bad BIT STRING');
      }
      if (length > 1 && (last & ((1 << first) - 1)) !== 0) {
        throw new DerError('a BIT STRING with unused bits set');
      }
      return;
    case tags.null:
      if (length !== 0) throw new DerError('a NULL with content');
      return;
    case tags.oid:
      checkOid(content);
      return;
    case tags.set:
      // SET OF: ascending. The members of a SET have different tags, so the same order applies.
      for (let i = 1; i < children.length; i++) {
        const [before, after] = [children[i - 1], children[i]];
        if (before !== undefined && after !== undefined && before.der.compare(after.der) > 0) {
          throw new DerError('a SET out of order');
        }
      }
      return;
    default:
  }
}

function checkOid(content: Buffer): void {
  if (content.length === 0 || content.length > 64 || ((content.at(-1) ?? 0) & 0x80) !== 0) {
    throw new DerError('a bad OID');
  }
  let startsArc = true;
  for (const octet of content) {
    if (startsArc && octet === 0x80) throw new DerError('an OID with padding');
    startsArc = octet < 0x80;
  }
}
