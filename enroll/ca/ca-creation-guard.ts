/**
 * Prevents a start from creating a CA over the remains of another one. Losing a public file such as
 * `root.pem` must never destroy a key or replace the root that devices have pinned.
 *
 * @module
 */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder, writeFileAtomic } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { isPkcs11Uri } from '../../certs/pkcs11-uri.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { readText } from './ca-files.ts';

/** Present from before the first key is written until the CA is complete. */
function markerOf(state: StateFolder): string {
  return join(state.ca.folder, '.creating');
}

/**
 * Checks that nothing is in the folder that a new CA would replace or contradict. What an interrupted
 * creation has left may be completed.
 *
 * A root with its key but without any issuer is allowed: an operator can supply an own root.
 *
 * @throws FlotillaError `ca-missing` with the missing file and what was found instead
 */
export async function assertCaCreatable(state: StateFolder): Promise<void> {
  if (await exists(markerOf(state))) return;
  const found = [
    ...((await exists(state.ca.rootCert)) || (await isOnToken(state.ca.rootKey))
      ? []
      : await existing([state.ca.rootKey])),
    ...(await existing([state.ca.issuerCert, state.ca.issuerKey])),
    ...(await filled([
      join(state.ca.folder, 'issuers'),
      state.enroll.registry,
      state.enroll.audit,
    ])),
  ];
  if (found.length === 0) return;
  const missing = (await exists(state.ca.rootCert)) ? state.ca.issuerCert : state.ca.rootCert;
  throw new FlotillaError('ca-missing', {
    detail: `${missing} is missing, but there is ${found.join(', ')}`,
  });
}

/** Records that the CA is being created, so that a start after a crash may complete it. */
export async function markCreation(state: StateFolder): Promise<void> {
  await writeFileAtomic(markerOf(state), '');
}

/** Records that the CA is complete. */
export async function unmarkCreation(state: StateFolder): Promise<void> {
  await rm(markerOf(state), { force: true });
  await syncFolder(state.ca.folder);
}

/** An operator may supply the key of the root: the URI of a key on a token, which nothing here can overwrite. */
async function isOnToken(path: string): Promise<boolean> {
  return isPkcs11Uri((await readText(path)) ?? '');
}

async function existing(paths: readonly string[]): Promise<string[]> {
  const found = await Promise.all(paths.map(exists));
  return paths.filter((_path, at) => found[at]);
}

async function filled(folders: readonly string[]): Promise<string[]> {
  const sizes = await Promise.all(
    folders.map((folder) =>
      readdir(folder).then(
        ({ length }) => length,
        () => 0,
      ),
    ),
  );
  return folders.filter((_folder, at) => sizes[at] !== 0);
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw new FlotillaError('ca-missing', { detail: path, cause: error });
  }
}
