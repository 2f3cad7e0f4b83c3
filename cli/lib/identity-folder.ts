/**
 * The folder that holds one identity: `key.pem`, `cert.pem`, `chain.pem`, `ca.pem`.
 *
 * The four are links into `.current`, itself a link to one version's folder. A renewal writes a new
 * version beside and then swings that one link: a reader sees the old four or the new four, never a
 * key with another key's certificate, whatever moment the power fails.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, readlink, rename, rm, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeSecretFolder, syncFolder, writeFileAtomic } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { identityFiles, type IdentityFiles } from '../../core/state-folder.ts';

const names = ['key.pem', 'cert.pem', 'chain.pem', 'ca.pem', 'enrollment.json'] as const;

/** What the files hold. All PEM but `enrollment`, which says where the identity came from. */
export interface IdentityContent {
  readonly key: string;
  readonly cert: string;
  readonly chain: string;
  readonly ca: string;
  /** JSON: id, url, fingerprint. */
  readonly enrollment: string;
}

/**
 * Makes `content` the current identity of a folder, atomically.
 *
 * @returns the paths of the files
 * @throws FlotillaError `file-write-failed`
 */
export async function saveIdentity(
  folder: string,
  content: IdentityContent,
): Promise<IdentityFiles> {
  await makeSecretFolder(folder);
  const version = `.identity-${randomBytes(6).toString('hex')}`;
  await mkdir(join(folder, version), { mode: 0o700 });
  await writeFileAtomic(join(folder, version, 'key.pem'), content.key);
  await writeFileAtomic(join(folder, version, 'cert.pem'), content.cert, 0o644);
  await writeFileAtomic(join(folder, version, 'chain.pem'), content.chain, 0o644);
  await writeFileAtomic(join(folder, version, 'ca.pem'), content.ca, 0o644);
  await writeFileAtomic(join(folder, version, 'enrollment.json'), content.enrollment, 0o644);
  await swing(join(folder, '.current'), version);
  for (const name of names) await linkOnce(folder, name);
  await syncFolder(folder);
  for (const entry of await readdir(folder)) {
    if (entry.startsWith('.identity-') && entry !== version) {
      await rm(join(folder, entry), { recursive: true, force: true });
    }
  }
  return identityFiles(folder);
}

/**
 * Reads the identity of a folder.
 *
 * @throws FlotillaError `identity-unreadable`
 */
export async function loadIdentity(folder: string): Promise<IdentityContent> {
  // Through `.current`, resolved once: a swap in between cannot mix two versions.
  const version = await readlink(join(folder, '.current')).catch(() => '.');
  const read = (name: string): Promise<string> => readFile(join(folder, version, name), 'utf8');
  try {
    const [key, cert, chain, ca] = await Promise.all([
      read('key.pem'),
      read('cert.pem'),
      read('chain.pem'),
      read('ca.pem'),
    ]);
    return { key, cert, chain, ca, enrollment: await read('enrollment.json').catch(() => '{}') };
  } catch (error) {
    throw new FlotillaError('identity-unreadable', { detail: folder, cause: error });
  }
}

/** Whether a folder holds an identity already. */
export async function holdsIdentity(folder: string): Promise<boolean> {
  return readFile(join(folder, 'cert.pem')).then(
    () => true,
    () => false,
  );
}

async function linkOnce(folder: string, name: string): Promise<void> {
  const target = join('.current', name);
  const path = join(folder, name);
  const now = await readlink(path).catch(() => undefined);
  if (now !== target) await swing(path, target);
}

async function swing(path: string, target: string): Promise<void> {
  const beside = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  await symlink(target, beside);
  await rename(beside, path);
}
