/**
 * The key from which tokens for CMP are derived. It is a file of its own, encrypted like the keys of the CA, and not in
 * the registry: a copy of the registry alone yields no token.
 *
 * @module
 */
import { hkdf, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { decryptPrivateKey, encryptPrivateKey } from '../../certs/encrypted-key.ts';
import { generateKeySync } from '../../certs/key.ts';
import { writeFileAtomic } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { readSecretText } from './ca-files.ts';

const tokenBytes = 32;
const purpose = 'flotilla CMP token';
const deriveBytes = promisify(hkdf);

export class CmpKey {
  readonly #file: string;
  readonly #passphrase: () => Promise<string>;
  /** The bytes of the key; undefined until it is needed, because decrypting takes 0.1 s. */
  #open: Promise<Buffer | undefined> | undefined;

  constructor(state: StateFolder, passphrase: () => Promise<string>) {
    this.#file = state.ca.cmpKey;
    this.#passphrase = passphrase;
  }

  /**
   * The 32 bytes of the token of a seed: HKDF-SHA256.
   *
   * @param make whether the key is created when there is none
   * @returns undefined when there is no key
   * @throws FlotillaError `ca-passphrase-…`, `ca-key-unreadable`, `file-too-open`, `file-write-failed`
   */
  async derive(seed: Buffer, make: boolean): Promise<Buffer | undefined> {
    const key = await this.#key(make);
    if (key === undefined) return undefined;
    return Buffer.from(await deriveBytes('sha256', key, seed, purpose, tokenBytes));
  }

  async #key(make: boolean): Promise<Buffer | undefined> {
    const opening = this.#kept(() => this.#read());
    const known = await opening;
    if (known !== undefined || !make) return known;
    // Another call may have begun to make it meanwhile. Other processes do not: the service has locked the state folder.
    if (this.#open === opening) this.#open = undefined;
    return this.#kept(() => this.#make());
  }

  /** The attempt that is under way, or the key; a failed attempt is forgotten. */
  #kept(attempt: () => Promise<Buffer | undefined>): Promise<Buffer | undefined> {
    if (this.#open !== undefined) return this.#open;
    const opening = attempt();
    this.#open = opening;
    opening.catch(() => {
      if (this.#open === opening) this.#open = undefined;
    });
    return opening;
  }

  async #read(): Promise<Buffer | undefined> {
    const pem = await readSecretText(this.#file);
    if (pem === undefined) return undefined;
    return bytesOf(decryptPrivateKey(pem, await this.#passphrase()));
  }

  /** An Ed25519 key, which serves as 32 random bytes in the format of the other keys. */
  async #make(): Promise<Buffer> {
    const key = generateKeySync('ed25519');
    await writeFileAtomic(this.#file, encryptPrivateKey(key, await this.#passphrase()));
    return bytesOf(key);
  }
}

function bytesOf(key: KeyObject): Buffer {
  const { d } = key.export({ format: 'jwk' });
  if (d === undefined) throw new FlotillaError('ca-key-unreadable', { detail: 'the key of CMP' });
  return Buffer.from(d, 'base64url');
}
