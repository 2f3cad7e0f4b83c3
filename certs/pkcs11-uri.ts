/**
 * PKCS#11 URIs (RFC 7512): which token has a key, and how to open it. Such a URI can be in a key file of the CA.
 *
 * @module
 */
import { FlotillaError } from '../core/errors/flotilla-error.ts';

export interface Pkcs11Uri {
  /** The label of the token. */
  readonly token: string;
  /** The label of the key, or undefined if its id is given. */
  readonly object: string | undefined;
  readonly id: Buffer | undefined;
  /** The shared library of the token. */
  readonly modulePath: string;
  /** The PIN, or the file that contains it. */
  readonly pin: { readonly value: string } | { readonly file: string };
}

const uriMaxChars = 4096;
/** Attributes that only describe the key. */
const ignored: ReadonlySet<string> = new Set(['type']);

/** Whether the content of a key file is a URI instead of a key. */
export function isPkcs11Uri(text: string): boolean {
  return text.startsWith('pkcs11:');
}

/**
 * Parses a URI. An attribute that this software does not know could restrict the match, so it is refused.
 *
 * @throws FlotillaError `ca-key-unreadable`
 */
export function parsePkcs11Uri(text: string): Pkcs11Uri {
  const uri = text.trim();
  if (uri.length > uriMaxChars) throw unreadable('the URI is too long');
  const [path = '', query = ''] = uri.slice('pkcs11:'.length).split('?', 2);
  const found = new Map<string, Buffer>();
  for (const part of [...path.split(';'), ...query.split('&')]) {
    if (part === '') continue;
    const at = part.indexOf('=');
    const name = part.slice(0, at);
    if (at < 1 || found.has(name)) throw unreadable(`the attribute ${name} of the URI`);
    if (!ignored.has(name)) found.set(name, decoded(part.slice(at + 1)));
  }
  const take = (name: string): string | undefined => {
    const value = found.get(name);
    found.delete(name);
    return value?.toString('utf8');
  };
  const id = found.get('id');
  found.delete('id');
  const [token, object, modulePath] = [take('token'), take('object'), take('module-path')];
  const [pinValue, pinSource] = [take('pin-value'), take('pin-source')];
  const [unknown] = found.keys();
  if (unknown !== undefined)
    throw unreadable(`the attribute ${unknown} of the URI is not supported`);
  if (token === undefined || (object === undefined && id === undefined)) {
    throw unreadable('the URI needs token, and object or id');
  }
  if (modulePath === undefined) throw unreadable('the URI needs module-path');
  if ((pinValue === undefined) === (pinSource === undefined)) {
    throw unreadable('the URI needs pin-source or pin-value');
  }
  const file = (pinSource ?? '').replace(/^file:(?:\/\/)?/, '');
  return {
    token,
    object,
    id,
    modulePath,
    pin: pinValue === undefined ? { file } : { value: pinValue },
  };
}

/** RFC 3986, 2.1. */
function decoded(text: string): Buffer {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) throw unreadable('an escape of the URI');
  const bytes = text.replace(/%([0-9A-Fa-f]{2})/g, (_all, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1');
}

function unreadable(detail: string): FlotillaError {
  return new FlotillaError('ca-key-unreadable', { detail });
}
