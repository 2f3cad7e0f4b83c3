/**
 * Hostile text, made safe for logs, messages and terminals.
 *
 * @module
 */

/** The characters that {@link printable} and {@link visible} escape. */
export const invisible = /[\p{C}\p{Zl}\p{Zp}]/u;
/**
 * Characters that no name, group or attribute needs: controls, lone surrogates, line and paragraph separators,
 * direction marks, the byte order mark and tags. Joiners, which some scripts need, are not among them.
 */
export const unprintable = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\u{FEFF}\u{E0000}-\u{E007F}]/u;
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

/**
 * Does the same for a text of several lines or one of JSON, of any length: line breaks and tabs stay. In JSON the
 * escapes mean the same characters.
 */
export function withoutControls(text: string): string {
  return suspicious.test(text) ? text.replaceAll(/[^\n\t]+/g, escaped) : text;
}

const suspicious = /(?![\n\t])[\p{C}\p{Zl}\p{Zp}]/u;

function escaped(text: string): string {
  return text.replaceAll(eachInvisible, (character) =>
    Array.from(
      { length: character.length },
      (_none, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}
