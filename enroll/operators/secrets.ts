/**
 * Random secrets that are shown once and kept as their hash.
 *
 * @module
 */
import { createHash, randomBytes } from 'node:crypto';

const secretBytes = 32;

/** 256 random bits, base64url. */
export function randomSecret(): string {
  return randomBytes(secretBytes).toString('base64url');
}

/**
 * The hash that a secret is kept by. A fast hash is enough: nobody can try out 256 random bits, and the
 * time of a lookup says nothing about the secret.
 */
export function secretHash(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
