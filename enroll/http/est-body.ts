/**
 * EST bodies: base64, in the form that each client can read.
 *
 * @module
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { RawResponse } from './raw-route.ts';

/** OpenSSL, which libest uses, does not decode longer lines. */
const lineMaxChars = 64;

/**
 * A response with base64 of DER. By default it is one line, because strongSwan cannot read line breaks (RFC
 * 8951, 2). libest cannot read one long line, so it gets lines of 64 characters.
 *
 * RFC 8951, 3 makes the Content-Transfer-Encoding header obsolete; clients ignore it, except Bouncy Castle,
 * which takes the body for DER without it.
 *
 * @param headers of the request
 */
export function base64Response(
  type: string,
  der: Buffer,
  headers: IncomingHttpHeaders,
): RawResponse {
  const base64 = der.toString('base64');
  const needsLines = /\b(?:libest|cisco est)\b/i.test(headers['user-agent'] ?? '');
  const text = needsLines
    ? base64.replaceAll(new RegExp(`.{1,${lineMaxChars}}`, 'g'), '$&\n')
    : base64;
  return {
    type,
    headers: { 'content-transfer-encoding': 'base64' },
    // As bytes: to a string the framework could add a charset.
    body: Buffer.from(text),
  };
}
