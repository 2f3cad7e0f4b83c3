/**
 * Credentials in the Authorization header.
 *
 * @module
 */
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

const headerMaxChars = 1024;

/** The token of `Bearer …`. @returns undefined without a header @throws FlotillaError `token-invalid` */
export function bearerOf(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const token = header.length > headerMaxChars ? undefined : /^bearer +(\S+)$/i.exec(header)?.[1];
  if (token === undefined) throw new FlotillaError('token-invalid');
  return token;
}

/**
 * The user and password of `Basic …` (RFC 7617). The user is a device id, which may contain colons (a MAC
 * address); the password is a token, which has none. So they are separated by the last colon.
 *
 * @returns undefined when the header is of another kind
 * @throws FlotillaError `token-invalid`
 */
export function basicOf(
  header: string | undefined,
): { user: string; password: string } | undefined {
  if (header === undefined || !/^basic /i.test(header)) return undefined;
  const base64 = header.length > headerMaxChars ? undefined : /^basic +(\S+)$/i.exec(header)?.[1];
  const text = Buffer.from(base64 ?? '', 'base64').toString('utf8');
  const colon = text.lastIndexOf(':');
  if (colon === -1) throw new FlotillaError('token-invalid');
  return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}
