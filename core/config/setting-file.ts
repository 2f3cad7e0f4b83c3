/**
 * Files that the settings name.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { assertSecret } from '../secret-file.ts';
import { FlotillaError } from '../errors/flotilla-error.ts';

/**
 * Reads a file that the settings name.
 *
 * @param kind a secret must not be readable by others
 * @throws FlotillaError `config-unreadable`, `file-too-open`
 */
export async function readSetting(path: string, kind: 'secret' | 'public'): Promise<string> {
  try {
    if (kind === 'secret') await assertSecret(path);
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof FlotillaError) throw error;
    throw new FlotillaError('config-unreadable', { detail: path, cause: error });
  }
}
