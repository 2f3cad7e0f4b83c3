/**
 * PEM (RFC 7468): armour around DER.
 *
 * @module
 */

/** What stands between the dashes. */
export type PemLabel =
  | 'CERTIFICATE'
  | 'CERTIFICATE REQUEST'
  | 'PRIVATE KEY'
  | 'ENCRYPTED PRIVATE KEY'
  | 'X509 CRL'
  | 'PKCS7';

const lineBytes = 48; // 64 characters

/** PEM of a DER, lines of 64 characters, with a final line break. */
export function pemOf(label: PemLabel, der: Uint8Array): string {
  return [...pemPieces(label, [der])].join('');
}

/** The same of a DER that comes in pieces, a piece of text for each. */
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

/** The certificates in a PEM text, one PEM each with a final line break, in their order. */
export function splitPem(text: string): string[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => `${block.replaceAll('\r\n', '\n')}\n`);
}

/**
 * The DER out of a text that is one PEM block of one of the labels, or base64 alone. White space
 * may stand anywhere; anything else around the block is refused.
 *
 * @returns undefined when it is neither
 */
export function derOfText(text: string, labels: readonly string[]): Buffer | undefined {
  const trimmed = text.trim();
  let body = trimmed;
  if (trimmed.startsWith('-----BEGIN ')) {
    const label = labels.find((name) => trimmed.startsWith(`-----BEGIN ${name}-----`));
    const end = label === undefined ? '' : `-----END ${label}-----`;
    if (label === undefined || !trimmed.endsWith(end)) return undefined;
    body = trimmed.slice(end.length + 2, -end.length);
  }
  return bytesOfBase64(body);
}

/** Bytes of base64 with white space in it. @returns undefined unless it is canonical (RFC 4648, 3.5) */
export function bytesOfBase64(text: string): Buffer | undefined {
  const base64 = text.replaceAll(/[ \t\r\n]+/g, '');
  const bytes = Buffer.from(base64, 'base64');
  // Buffer skips what it does not know: only what gives the same text again was base64.
  return bytes.length > 0 && bytes.toString('base64') === base64 ? bytes : undefined;
}
