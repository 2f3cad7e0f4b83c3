/**
 * PEM files that a person passes to a command.
 *
 * @module
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { assertSecret } from '../../core/secret-file.ts';

/** The largest file that is read, in bytes. */
const fileMaxBytes = 128 * 1024;

/** Reads a text file. @throws FlotillaError `input-unreadable` */
export async function readPemFile(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new FlotillaError('input-unreadable', { detail: path, cause: error });
  });
  if (text.length > fileMaxBytes) {
    throw new FlotillaError('input-unreadable', { detail: `${path} is too large` });
  }
  return text;
}

/**
 * Reads a private key: PKCS#8, SEC1 or PKCS#1, encrypted or not.
 *
 * @param passphraseFile the file with the passphrase of an encrypted key
 * @throws FlotillaError `input-unreadable`, `file-too-open`, `ca-passphrase-wrong`
 */
export async function readKeyFile(path: string, passphraseFile?: string): Promise<KeyObject> {
  const pem = await readPemFile(path);
  await assertSecret(path);
  const passphrase =
    passphraseFile === undefined ? undefined : (await readPemFile(passphraseFile)).trim();
  try {
    return createPrivateKey({ key: pem, format: 'pem', passphrase });
  } catch (error) {
    if (pem.includes('ENCRYPTED')) throw new FlotillaError('ca-passphrase-wrong', { cause: error });
    throw new FlotillaError('input-unreadable', { detail: path, cause: error });
  }
}
