/**
 * Which web pages may open a WebSocket. A browser presents the certificate of its user also to a page of another site:
 * that page could act as this user (RFC 6455, 10.2). Pages cannot change `Origin`, and devices do not send it.
 *
 * @module
 */
import type { IncomingHttpHeaders } from 'node:http';

/**
 * The origin of the page that must be refused, or undefined: the request is not from a browser, or its origin is that of
 * the `Host` header with `https:`, or is one of `allowed`.
 */
export function foreignOrigin(
  headers: IncomingHttpHeaders,
  allowed: readonly string[],
): string | undefined {
  // The second name is that of version 8 of the protocol.
  const origin = headers.origin ?? headers['sec-websocket-origin']?.toString();
  if (origin === undefined || allowed.includes(origin)) return undefined;
  const own = `https://${headers.host ?? ''}`;
  return origin === own || isSameOrigin(origin, own) ? undefined : origin;
}

/** Compares without the case of the host, and without the usual port of the scheme. */
function isSameOrigin(origin: string, own: string): boolean {
  const [one, other] = [URL.parse(origin), URL.parse(own)];
  // Anything behind the port is not part of an origin.
  return one !== null && one.origin === other?.origin && one.href === `${one.origin}/`;
}
