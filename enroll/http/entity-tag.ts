/**
 * Entity tags of JSON responses, so that two operators do not overwrite each other's changes (RFC 9110, 8.8.3 and
 * 13.1.1).
 *
 * @module
 */
import { hash } from 'node:crypto';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

/** A strong tag: it changes with everything in the response. */
export function entityTag(response: object): string {
  return `"${hash('sha256', JSON.stringify(response)).slice(0, 32)}"`;
}

/**
 * Checks If-Match. Weak tags never match, because the comparison is the strong one.
 *
 * @param header undefined: the caller does not ask for it
 * @throws FlotillaError `version-conflict`
 */
export function assertMatches(header: string | undefined, current: string): void {
  if (header === undefined || header.trim() === '*') return;
  const tags = Array.from(header.matchAll(/(?:W\/)?"[^"]*"/g), ([tag]) => tag);
  if (!tags.includes(current)) throw new FlotillaError('version-conflict');
}
