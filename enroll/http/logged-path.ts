/**
 * The path of a request as logs and responses name it.
 *
 * @module
 */

/** A token or an API key as a whole segment of a path. */
const secretSegment = /(?<=\/)(?:flotilla_key_)?[\w-]{43}(?=\/|$)/g;
const pathMaxChars = 200;

/** The path without the query, which may contain anything, and without tokens in a wrong place. */
export function loggedPath(url: string): string {
  const [path = ''] = url.split('?');
  return path.replaceAll(secretSegment, '[redacted]').slice(0, pathMaxChars);
}
