/**
 * The identity of a device: the text in the common name (CN) of its certificate, in its MQTT client
 * id and in the topics that belong to it.
 *
 * The grammar excludes every character with a meaning in a topic, so that an identity can never
 * inject a level or a wildcard.
 *
 * @module
 */
import { FlotillaError } from './errors/flotilla-error.ts';
import { printable } from './escape.ts';

declare const brand: unique symbol;

/** A text that passed {@link parseDeviceId}: 1 to 128 characters, `[A-Za-z0-9][A-Za-z0-9._:-]*`. */
export type DeviceId = string & { readonly [brand]: 'DeviceId' };

/** The longest identity, in characters (each is one byte). */
export const deviceIdMaxChars = 128;

const grammar = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

/** Whether a text follows the grammar of an identity. */
export function isDeviceId(text: string): text is DeviceId {
  return text.length <= deviceIdMaxChars && grammar.test(text);
}

/**
 * Parses an identity.
 *
 * @throws FlotillaError `device-id-invalid` when the text does not follow the grammar.
 */
export function parseDeviceId(text: string): DeviceId {
  if (isDeviceId(text)) return text;
  throw new FlotillaError('device-id-invalid', { detail: printable(text) });
}
