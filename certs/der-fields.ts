/**
 * Reads the parts of a DER structure in order and checks every tag.
 *
 * @module
 */
import { decodeOid, DerError, tags, type DerNode } from './der.ts';

/** Walks the children of one constructed element. */
export class Fields {
  readonly #nodes: readonly DerNode[];
  readonly #what: string;
  #at = 0;

  /** @throws DerError when `node` has another tag. `what` is its name in error messages. */
  constructor(node: DerNode, tag: number, what: string) {
    this.#nodes = expectTag(node, tag, what).children;
    this.#what = what;
  }

  /** The next part, which must have this tag. @throws DerError */
  next(tag: number): DerNode {
    return expectTag(this.any(), tag, this.#what);
  }

  /** The next part, if it has this tag. */
  optional(tag: number): DerNode | undefined {
    const node = this.#nodes[this.#at];
    if (node?.tag !== tag) return undefined;
    this.#at += 1;
    return node;
  }

  /** The next part, with any tag. @throws DerError */
  any(): DerNode {
    const node = this.#nodes[this.#at];
    if (node === undefined) throw new DerError(`${this.#what}: a part is missing`);
    this.#at += 1;
    return node;
  }

  hasMore(): boolean {
    return this.#at < this.#nodes.length;
  }

  /** @throws DerError when parts are left over. */
  end(): void {
    if (this.hasMore()) throw new DerError(`${this.#what}: a part too many`);
  }
}

/** @throws DerError when the element has another tag. */
export function expectTag(node: DerNode, tag: number, what: string): DerNode {
  if (node.tag !== tag) {
    const hex = (octet: number): string => `0x${octet.toString(16).padStart(2, '0')}`;
    throw new DerError(`${what}: tag ${hex(node.tag)} where ${hex(tag)} belongs`);
  }
  return node;
}

/** The dotted text of an OBJECT IDENTIFIER. @throws DerError */
export function oidOf(node: DerNode): string {
  return decodeOid(expectTag(node, tags.oid, 'OID').content);
}

/** The bytes of a BIT STRING that has no unused bits. @throws DerError */
export function wholeBytesOf(node: DerNode): Buffer {
  expectTag(node, tags.bitString, 'BIT STRING');
  if (node.content[0] !== 0) throw new DerError('BIT STRING: unused bits where none belong');
  return node.content.subarray(1);
}

/** An INTEGER or ENUMERATED from 0 to 2^31 - 1. @throws DerError */
export function smallNumberOf(node: DerNode): number {
  const { content } = node;
  if (content.length > 4 || (content[0] ?? 0) >= 0x80) throw new DerError('a number out of range');
  return content.readUIntBE(0, content.length);
}

/**
 * A non-negative INTEGER as lower-case hexadecimal, an even number of digits, no sign octet: the
 * format of serial numbers everywhere in Flotilla.
 *
 * @throws DerError when it is negative or longer than 20 octets (RFC 5280, 4.1.2.2)
 */
export function serialOf(node: DerNode): string {
  const { content } = expectTag(node, tags.integer, 'serial number');
  if ((content[0] ?? 0) >= 0x80) throw new DerError('serial number: negative');
  const digits = content.length > 1 && content[0] === 0 ? content.subarray(1) : content;
  if (digits.length > 20) throw new DerError('serial number: longer than 20 octets');
  return digits.toString('hex');
}

/**
 * A Time (RFC 5280, 4.1.2.5) in ms since 1970: UTCTime or GeneralizedTime, with seconds, in UTC.
 *
 * @throws DerError
 */
export function timeOf(node: DerNode): number {
  const text = node.content.toString('latin1');
  let iso: string | undefined;
  if (node.tag === tags.utcTime && /^\d{12}Z$/.test(text)) {
    iso = `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}`;
  } else if (node.tag === tags.generalizedTime && /^\d{14}Z$/.test(text)) {
    iso = text;
  }
  if (iso === undefined) throw new DerError('not a time of X.509');
  const part = (from: number, to: number): number => Number(iso.slice(from, to));
  const ms = Date.UTC(
    part(0, 4),
    part(4, 6) - 1,
    part(6, 8),
    part(8, 10),
    part(10, 12),
    part(12, 14),
  );
  // Date.UTC accepts values out of range: 31 February must not become 3 March.
  const again = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  if (again !== iso) throw new DerError('a time that does not exist');
  return ms;
}
