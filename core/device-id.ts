/**
 * The identity of a device: the text that stands in its certificate's common name (CN), in its
 * MQTT client id and in the topics that belong to it.
 *
 * The grammar leaves out every character with a meaning in a topic, so that an identity can never
 * inject a level or a wildcard.
 *
 * @module
 */
import { FlotillaError } from './errors/flotilla-error.ts';

declare const brand: unique symbol;

/** A text that passed {@link parseDeviceId}: 1 to 128 characters, `[A-Za-z0-9][A-Za-z0-9._:-]*`. */
export type DeviceId = string & { readonly [brand]: 'DeviceId' };

/** The longest identity, in characters (each is one byte). */
export const deviceIdMaxChars = 128;

const grammar = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

/** Whether a text obeys the grammar of an identity. */
export function isDeviceId(text: string): text is DeviceId {
  return text.length <= deviceIdMaxChars && grammar.test(text);
}

/**
 * Reads an identity.
 *
 * @throws FlotillaError `device-id-invalid` when the text does not obey the grammar.
 */
export function parseDeviceId(text: string): DeviceId {
  if (isDeviceId(text)) return text;
  throw new FlotillaError('device-id-invalid', { detail: printable(text) });
}

/**
 * Makes hostile text fit for a message: quoted, shortened to `maxChars`, and every character that a
 * terminal could obey or that would show nothing (controls, direction marks, lone surrogates) escaped.
 */
export function printable(text: string, maxChars = 64): string {
  const cut = text.length > maxChars ? `${text.slice(0, maxChars)}…` : text;
  return escaped(JSON.stringify(cut));
}

/**
 * The same without quotes, for a field of its own: at most `maxChars` characters come out, escapes
 * included, so that a limit on the field holds whatever went in. A backslash is doubled: what looks
 * like an escape is one.
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

/** What {@link printable} and {@link visible} leave in no text. */
export const invisible = /[\p{C}\p{Zl}\p{Zp}]/u;
const eachInvisible = new RegExp(invisible, 'gu');

function escaped(text: string): string {
  return text.replaceAll(eachInvisible, (character) =>
    Array.from(
      { length: character.length },
      (_none, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}
