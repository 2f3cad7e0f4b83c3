/**
 * HTTP responses with header names as the RFCs write them. Names are case-insensitive (RFC 9110, section
 * 5.1), but EST clients of devices (libest) compare them byte by byte.
 *
 * @module
 */
import { ServerResponse, type OutgoingHttpHeader, type OutgoingHttpHeaders } from 'node:http';

type Headers = OutgoingHttpHeaders | OutgoingHttpHeader[];

/** Names that are not their words with capital letters. */
const exceptions: ReadonlyMap<string, string> = new Map([
  ['www-authenticate', 'WWW-Authenticate'],
  ['etag', 'ETag'],
]);

/** `content-type` as `Content-Type`. */
export function canonicalHeaderName(name: string): string {
  const lower = name.toLowerCase();
  return (
    exceptions.get(lower) ??
    lower
      .split('-')
      .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
      .join('-')
  );
}

export class CanonicalResponse extends ServerResponse {
  override writeHead(status: number, reason?: string | Headers, headers?: Headers): this {
    return typeof reason === 'string'
      ? super.writeHead(status, reason, canonicalHeaders(headers))
      : super.writeHead(status, canonicalHeaders(reason));
  }
}

function canonicalHeaders(headers: Headers | undefined): Headers | undefined {
  if (headers === undefined || Array.isArray(headers)) return headers;
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [canonicalHeaderName(name), value]),
  );
}
