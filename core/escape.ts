/**
 * Hostile text, made safe for logs, messages and terminals.
 *
 * @module
 */

/** The characters that {@link printable} and {@link visible} escape. */
export const invisible = /[\p{C}\p{Zl}\p{Zp}]/u;
const eachInvisible = new RegExp(invisible, 'gu');

/**
 * Makes hostile text safe for a message: quoted, shortened to `maxChars`, and with every character
 * escaped that a terminal could interpret or that would be invisible (control characters, direction
 * marks, lone surrogates).
 */
export function printable(text: string, maxChars = 64): string {
  const cut = text.length > maxChars ? `${text.slice(0, maxChars)}…` : text;
  return escaped(JSON.stringify(cut));
}

/**
 * Does the same without quotes, for a field of its own. The result has at most `maxChars` characters
 * including the escapes, so that a limit on the field holds for every input. A backslash is doubled,
 * so that what looks like an escape is one.
 */
export function visible(text: string, maxChars: number): string {
  if (text.length <= maxChars && !text.includes('\\') && !invisible.test(text)) return text;
  let out = '';
  let beforeTheMark = '';
  for (const character of text.slice(0, maxChars + 1)) {
    const next = character === '\\' ? '\\\\' : escaped(character);
    if (out.length + next.length > maxChars) return `${beforeTheMark}…`;
    out += next;
    if (out.length < maxChars) beforeTheMark = out;
  }
  return out;
}

function escaped(text: string): string {
  return text.replaceAll(eachInvisible, (character) =>
    Array.from(
      { length: character.length },
      (_none, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}
