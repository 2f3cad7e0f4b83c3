/**
 * API keys: 256 random bits with a prefix that secret scanners can recognize.
 *
 * @module
 */
import { randomSecret } from './secrets.ts';

const prefix = 'flotilla_key_';
const shape = /^flotilla_key_[A-Za-z0-9_-]{43}$/;

export function newApiKey(): string {
  return prefix + randomSecret();
}

/** Whether a text has the form of an API key. */
export function isApiKey(text: string): boolean {
  return shape.test(text);
}
