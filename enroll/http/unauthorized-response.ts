/**
 * What a 401 response says: the challenge, and whether it has a body.
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
 * Whether a 401 only asks an EST client for credentials. It is empty then: Bouncy Castle repeats the request on
 * the same connection without reading the body, and fails. Refused credentials have a problem document.
 */
export function isEmptyChallenge(url: string, headers: IncomingHttpHeaders): boolean {
  return url.startsWith(`${estPath}/`) && headers.authorization === undefined;
}
