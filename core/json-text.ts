/**
 * JSON and text from other programs, read without silent changes: bytes that are not UTF-8 and names that would be
 * lost are refused.
 *
 * @module
 */
import { FlotillaError, messageOf } from './errors/flotilla-error.ts';

/**
 * Decodes UTF-8. Other encodings would be stored with replacement characters.
 *
 * @param what named in the error
 * @throws FlotillaError `request-invalid`
 */
export function utf8Text(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new FlotillaError('request-invalid', { detail: `${what} is not UTF-8`, cause: error });
  }
}

/**
 * Parses JSON. The name `__proto__` is refused: parsers and schemas drop it without a word.
 *
 * @throws Error with the reason
 */
export function parsedJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  // Escapes can spell the name, too.
  if (/__proto__|\\u005f/i.test(text)) assertOrdinaryNames(value);
  return value;
}

/** Without recursion: the depth is the sender's choice. */
function assertOrdinaryNames(value: unknown): void {
  const left: unknown[] = [value];
  for (let one = left.pop(); one !== undefined; one = left.pop()) {
    if (typeof one !== 'object' || one === null) continue;
    if (Object.hasOwn(one, '__proto__')) throw new Error('the name __proto__ is not allowed');
    const parts: readonly unknown[] = Object.values(one);
    for (const part of parts) if (typeof part === 'object') left.push(part);
  }
}

/** Parses the body of a request. @throws FlotillaError `request-invalid` */
export function jsonBody(bytes: Uint8Array): unknown {
  const text = utf8Text(bytes, 'the body');
  if (text === '') return undefined;
  try {
    return parsedJson(text);
  } catch (error) {
    const isSyntax = error instanceof SyntaxError;
    const detail = isSyntax ? 'the body is not JSON' : messageOf(error);
    throw new FlotillaError('request-invalid', { detail });
  }
}
