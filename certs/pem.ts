/**
 * PEM (RFC 7468): the text encoding of DER.
 *
 * @module
 */

/** The labels between the dashes. */
export type PemLabel =
  | 'CERTIFICATE'
  | 'CERTIFICATE REQUEST'
  | 'PRIVATE KEY'
  | 'ENCRYPTED PRIVATE KEY'
  | 'X509 CRL'
  | 'PKCS7';

const lineBytes = 48; // 64 characters

/** Encodes DER as PEM, with lines of 64 characters and a final line break. */
export function pemOf(label: PemLabel, der: Uint8Array): string {
  return [...pemPieces(label, [der])].join('');
}

/** Does the same for DER in chunks; returns one chunk of text for each. */
export function* pemPieces(label: PemLabel, der: Iterable<Uint8Array>): Generator<string> {
  yield `-----BEGIN ${label}-----\n`;
  let rest = Buffer.alloc(0);
  for (const piece of der) {
    const bytes = Buffer.concat([rest, piece]);
    const whole = bytes.length - (bytes.length % lineBytes);
    if (whole > 0) yield linesOf(bytes.subarray(0, whole));
    rest = bytes.subarray(whole);
  }
  if (rest.length > 0) yield linesOf(rest);
  yield `-----END ${label}-----\n`;
}

function linesOf(bytes: Buffer): string {
  const base64 = bytes.toString('base64');
  let lines = '';
  for (let at = 0; at < base64.length; at += 64) lines += `${base64.slice(at, at + 64)}\n`;
  return lines;
}

/** Splits a PEM text into its certificates, in their order, each with a final line break. */
export function splitPem(text: string): string[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => `${block.replaceAll('\r\n', '\n')}\n`);
}

/**
 * Decodes a text with one PEM block with one of the labels, or only base64. White space is allowed
 * anywhere, and any text before and behind the block (RFC 7468, section 2: `openssl req -text` writes
 * such text), also a byte order mark. A second block is rejected: it would not be clear which one counts.
 *
 * @returns undefined if the text is neither
 */
export function derOfText(text: string, labels: readonly string[]): Buffer | undefined {
  const begin = text.indexOf(beginMark);
  if (begin === -1) return bytesOfBase64(text.replace(byteOrderMark, ''));
  const label = labels.find((name) => text.startsWith(`${beginMark}${name}-----`, begin));
  if (label === undefined) return undefined;
  const bodyStart = begin + `${beginMark}${label}-----`.length;
  const endMark = `-----END ${label}-----`;
  const bodyEnd = text.indexOf(endMark, bodyStart);
  if (bodyEnd === -1 || text.includes(beginMark, bodyStart)) return undefined;
  return bytesOfBase64(text.slice(bodyStart, bodyEnd));
}

const beginMark = '-----BEGIN ';
/** As a character, or as its UTF-8 bytes in a text that was decoded as Latin-1. */
const byteOrderMark = /^(?:\uFEFF|\u00EF\u00BB\u00BF)/;

/** Decodes base64 with white space. @returns undefined unless it is canonical (RFC 4648, 3.5) */
export function bytesOfBase64(text: string): Buffer | undefined {
  const base64 = text.replaceAll(/[ \t\r\n]+/g, '');
  const bytes = Buffer.from(base64, 'base64');
  // Buffer ignores invalid characters: the text was base64 only if encoding returns the same text.
  return bytes.length > 0 && bytes.toString('base64') === base64 ? bytes : undefined;
}
