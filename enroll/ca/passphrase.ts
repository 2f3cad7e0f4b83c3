/**
 * The passphrase that encrypts the keys of the CA.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { makeSecretFolder, writeFileAtomic } from '../../core/atomic-file.ts';
import { assertSecret } from '../../core/secret-file.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { completePassphraseChange } from './passphrase-change.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the passphrase from the file that `FLOTILLA_CA_PASSPHRASE_FILE` names, from `FLOTILLA_CA_PASSPHRASE`,
 * or from the file in the state folder, in this order.
 *
 * @throws FlotillaError `ca-passphrase-missing`, `file-too-open`
 */
export async function readPassphrase(state: StateFolder, env: Environment): Promise<string> {
  await completePassphraseChange(state);
  const given = await givenPassphrase(env);
  if (given !== undefined) return given;
  try {
    await assertSecret(state.ca.passphrase);
    const text = (await readFile(state.ca.passphrase, 'utf8')).trim();
    if (text !== '') return text;
  } catch (error) {
    if (error instanceof FlotillaError) throw error;
  }
  throw new FlotillaError('ca-passphrase-missing', { detail: state.ca.passphrase });
}

/**
 * The passphrase for a CA that is created now. If none is configured, a random one is created and stored in
 * the state folder.
 */
export async function makePassphrase(state: StateFolder, env: Environment): Promise<string> {
  const given = await givenPassphrase(env);
  if (given !== undefined) return given;
  try {
    return await readPassphrase(state, env);
  } catch (error) {
    if (!(error instanceof FlotillaError) || error.code !== 'ca-passphrase-missing') throw error;
  }
  const made = randomBytes(32).toString('base64url');
  await makeSecretFolder(state.ca.folder);
  await writeFileAtomic(state.ca.passphrase, `${made}\n`);
  return made;
}

async function givenPassphrase(env: Environment): Promise<string | undefined> {
  const path = env['FLOTILLA_CA_PASSPHRASE_FILE'];
  if (path !== undefined && path !== '') {
    await assertSecret(path).catch((error: unknown) => {
      if (isFlotillaError(error, 'file-too-open')) throw error;
    });
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      throw new FlotillaError('ca-passphrase-missing', { detail: path, cause: error });
    });
    if (text.trim() === '') throw new FlotillaError('ca-passphrase-missing', { detail: path });
    return text.trim();
  }
  const text = env['FLOTILLA_CA_PASSPHRASE'];
  return text === undefined || text === '' ? undefined : text;
}
