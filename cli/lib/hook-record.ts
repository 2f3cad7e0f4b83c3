/**
 * Records in the identity folder that the program after a renewal has to run, until it has succeeded: a crash
 * or a failure of the program must not leave others with the old certificate.
 *
 * @module
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../core/atomic-file.ts';

/** Contains the fingerprint of the certificate for which the program has to run. */
const recordName = '.hook-due';

/** Records it durably, before the certificate becomes the current one. */
export async function recordHookDue(dir: string, fingerprint: string): Promise<void> {
  await writeFileAtomic(join(dir, recordName), `${fingerprint}\n`);
}

/** Whether the program has to run for the current certificate. */
export async function isHookDue(dir: string, fingerprint: string): Promise<boolean> {
  const text = await readFile(join(dir, recordName), 'utf8').catch(() => '');
  return text.trim() === fingerprint;
}

/** The program has succeeded. */
export async function clearHookDue(dir: string): Promise<void> {
  await rm(join(dir, recordName), { force: true });
}
