/**
 * Encodes DER. Parts are bytes, so that a name, a key or a list of 100,000 entries is embedded unchanged,
 * without being parsed again.
 *
 * @module
 */
import { contextTag, encodeOid, tags } from './der.ts';

/** One element: identifier octet, shortest length, content. */
export function element(tag: number, ...content: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const part of content) length += part.length;
  return Buffer.concat([elementHeader(tag, length), ...content]);
}

/** Identifier octet and length of an element whose content comes separately. */
export function elementHeader(tag: number, length: number): Buffer {
  if (length < 0x80) return Buffer.from([tag, length]);
  const octets = length < 0x100 ? 1 : length < 0x10000 ? 2 : length < 0x1000000 ? 3 : 4;
  const header = Buffer.alloc(2 + octets);
  header[0] = tag;
  header[1] = 0x80 | octets;
  header.writeUIntBE(length, 2, octets);
  return header;
}

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return element(tags.sequence, ...parts);
}

/** SET OF: sorts its members, as DER requires. */
export function setOf(...parts: readonly Uint8Array[]): Buffer {
  return element(tags.set, ...parts.toSorted((a, b) => Buffer.compare(a, b)));
}

/** `[number] EXPLICIT`. */
export function explicit(number: number, part: Uint8Array): Buffer {
  return element(contextTag(number), part);
}

const oidCache = new Map<string, Buffer>();

/** OBJECT IDENTIFIER. The texts come from oids.ts, so input cannot make the cache grow. */
export function oid(text: string): Buffer {
  let encoded = oidCache.get(text);
  if (encoded === undefined) {
    encoded = element(tags.oid, encodeOid(text));
    oidCache.set(text, encoded);
  }
  return encoded;
}

/** INTEGER from big-endian bytes of a non-negative number. */
export function unsignedInteger(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const digits = bytes.subarray(start);
  const sign = (digits[0] ?? 0) >= 0x80 || digits.length === 0 ? [Buffer.alloc(1)] : [];
  return element(tags.integer, ...sign, digits);
}

/** INTEGER from a non-negative number. */
export function integer(value: number | bigint): Buffer {
  const hex = value.toString(16);
  return unsignedInteger(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex'));
}

export function enumerated(value: number): Buffer {
  return element(tags.enumerated, Buffer.from([value]));
}

export const derTrue = Buffer.from([tags.boolean, 1, 0xff]);
export const derNull = Buffer.from([tags.null, 0]);

export function octetString(...content: readonly Uint8Array[]): Buffer {
  return element(tags.octetString, ...content);
}

const noUnusedBits = Buffer.from([0]);

/** BIT STRING of whole octets. */
export function bitString(bytes: Uint8Array): Buffer {
  return element(tags.bitString, noUnusedBits, bytes);
}

/** BIT STRING of named bits: trailing zero bits are omitted (X.690, 11.2.2). */
export function namedBits(bits: readonly number[]): Buffer {
  if (bits.length === 0) return element(tags.bitString, noUnusedBits);
  const highest = Math.max(...bits);
  const octets = Buffer.alloc(1 + Math.floor(highest / 8) + 1);
  octets[0] = 7 - (highest % 8);
  for (const bit of bits) {
    const at = 1 + Math.floor(bit / 8);
    octets[at] = (octets[at] ?? 0) | (0x80 >> (bit % 8));
  }
  return element(tags.bitString, octets);
}

export function utf8String(text: string): Buffer {
  return element(tags.utf8String, Buffer.from(text, 'utf8'));
}

/** Time in whole seconds: UTCTime up to 2049, GeneralizedTime from 2050 (RFC 5280, 4.1.2.5). */
export function time(ms: number): Buffer {
  const text = timeText(ms);
  const year = Number(text.slice(0, 4));
  return year >= 1950 && year < 2050
    ? element(tags.utcTime, Buffer.from(text.slice(2), 'latin1'))
    : generalizedTime(ms);
}

/** GeneralizedTime in whole seconds, UTC. */
export function generalizedTime(ms: number): Buffer {
  return element(tags.generalizedTime, Buffer.from(timeText(ms), 'latin1'));
}

function timeText(ms: number): string {
  const iso = new Date(ms).toISOString();
  if (iso.length !== 24) throw new RangeError('a year outside 0 to 9999');
  return `${iso.slice(0, 4)}${iso.slice(5, 7)}${iso.slice(8, 10)}${iso.slice(11, 13)}${iso.slice(14, 16)}${iso.slice(17, 19)}Z`;
}
