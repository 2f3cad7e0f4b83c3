/**
 * Reading the files of the CA.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { assertSecret } from '../../core/secret-file.ts';

/** The text of a file; undefined when it does not exist. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The text of a file that only its owner may read. @throws FlotillaError `file-too-open` */
export async function readSecretText(path: string): Promise<string | undefined> {
  const text = await readText(path);
  if (text !== undefined) await assertSecret(path);
  return text;
}

/** The content of the key file of an issuer whose key is at an external CA. */
export const externalKeyText = 'external\n';

export function isExternalKey(content: string): boolean {
  return content.trim() === externalKeyText.trim();
}
