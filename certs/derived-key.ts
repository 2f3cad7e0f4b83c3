/**
 * Keys derived from a passphrase with PBKDF2 (RFC 8018, 5.2), kept for a moment.
 *
 * A derivation is slow on purpose: about 0.1 s. A start that makes or opens all keys of one CA would pay that for each
 * of them, although they have the same passphrase. So keys that are written within a few seconds under one passphrase
 * share one salt, and what was derived is kept for that time. Somebody who guesses passphrases gains nothing by the
 * shared salt: the first key that opens was enough before as well.
 *
 * @module
 */
import { createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

/** What PBES2 needs to encrypt: the secret, and the salt that goes into the file. */
export interface DerivedKey {
  readonly salt: Buffer;
  /** 32 bytes. Its owner is this module, which overwrites it later: use it in the same turn, do not keep it. */
  readonly secret: Buffer;
}

interface KeptKey extends DerivedKey {
  readonly passphraseTag: string;
  readonly iterations: number;
}

const secretBytes = 32;
const saltBytes = 16;
const keptMaxMs = 10_000;
const keptMaxKeys = 8;

/** Passphrases are compared by a tag that is worth nothing outside this process. */
const tagKey = randomBytes(32);
/** The oldest first. */
const kept: KeptKey[] = [];

/** A key for encryption: one of the last seconds, or a new one with a new salt. Blocks for about 0.1 s if it is new. */
export function keyForEncryption(passphrase: string, iterations: number): DerivedKey {
  const passphraseTag = tagOf(passphrase);
  const recent = kept.findLast(
    (key) =>
      key.passphraseTag === passphraseTag &&
      key.iterations === iterations &&
      key.salt.length === saltBytes,
  );
  return recent ?? derive(passphrase, passphraseTag, randomBytes(saltBytes), iterations);
}

/** The key for this salt, from the last seconds or derived now. Blocks for about 0.1 s if it is new. */
export function keyForDecryption(
  passphrase: string,
  salt: Uint8Array,
  iterations: number,
): DerivedKey {
  const passphraseTag = tagOf(passphrase);
  const recent = kept.findLast(
    (key) =>
      key.passphraseTag === passphraseTag && key.iterations === iterations && key.salt.equals(salt),
  );
  return recent ?? derive(passphrase, passphraseTag, Buffer.from(salt), iterations);
}

function derive(
  passphrase: string,
  passphraseTag: string,
  salt: Buffer,
  iterations: number,
): DerivedKey {
  const secret = pbkdf2Sync(passphrase, salt, iterations, secretBytes, 'sha256');
  const key: KeptKey = { salt, secret, passphraseTag, iterations };
  kept.push(key);
  if (kept.length > keptMaxKeys) forget(kept[0]);
  setTimeout(() => forget(key), keptMaxMs).unref();
  return key;
}

function forget(key: KeptKey | undefined): void {
  const at = key === undefined ? -1 : kept.indexOf(key);
  if (at === -1) return;
  kept.splice(at, 1);
  key?.secret.fill(0);
}

function tagOf(passphrase: string): string {
  return createHmac('sha256', tagKey).update(passphrase).digest('base64');
}
