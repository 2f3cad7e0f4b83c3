/**
 * What the response to a caller without valid credentials says: its status, the challenge, and whether it has a body.
 *
 * @module
 */
import type { IncomingHttpHeaders } from 'node:http';
import { estPath } from './est-path.ts';

/**
 * The WWW-Authenticate header. EST clients use a password (RFC 7030, 3.2.3). For the API it names a key, also
 * because a browser would open its own password dialog for `Basic`.
 */
export function challengeFor(url: string): string {
  return `${url.startsWith('/v1/') ? 'Bearer' : 'Basic'} realm="flotilla"`;
}

/**
 * The status instead of 401 for the re-enrollment of EST: a 401 must name a challenge (RFC 9110, 15.5.2), and this
 * operation takes only a client certificate (RFC 7030, 4.2.2). So a client would ask its user for a password in vain.
 */
export function unauthorizedStatus(url: string): 401 | 403 {
  return url.startsWith(`${estPath}/`) && /\/simplereenroll(?:\?|$)/.test(url) ? 403 : 401;
}

/**
 * Whether a 401 only asks an EST client for credentials. It is empty then: Bouncy Castle repeats the request on
 * the same connection without reading the body, and fails. Refused credentials have a problem document.
 */
export function isEmptyChallenge(url: string, headers: IncomingHttpHeaders): boolean {
  return url.startsWith(`${estPath}/`) && headers.authorization === undefined;
}
