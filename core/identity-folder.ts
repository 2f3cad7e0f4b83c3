/**
 * The folder that holds one identity: `key.pem`, `cert.pem`, `chain.pem`, `ca.pem` and, on a device,
 * `enrollment.json`.
 *
 * ```
 * key.pem   -> .current/key.pem        (the other files likewise)
 * .current  -> .identity-7-3f9a60c2b1d4
 * .identity-7-3f9a60c2b1d4/            the files themselves: the current version
 * .identity-6-90e1f24da5b7/            the version before
 * ```
 *
 * A renewal writes a new version next to the current one and then replaces the one symlink `.current`
 * atomically. A crash at any moment leaves the old files or the new ones, never a mixture.
 *
 * What a reader sees:
 * - A reader that resolves `.current` once and reads all files there always gets files that belong
 *   together. {@link loadIdentity} does this. The version before stays until the next renewal, so a
 *   renewal does not delete the files of a reader that has just resolved the link.
 * - A reader that opens `key.pem` and `chain.pem` by two paths resolves the link twice. If a renewal with
 *   a new key replaces it between the two, that reader gets a key and a certificate that do not match,
 *   and must try again. No link or rename can prevent this. A renewal that keeps the key has no such moment.
 *
 * Files that are not links (made by another program, by an earlier release, or copied with `cp -L`, `scp`
 * or `tar -h`) are read as they are. The next save first copies them into a version of their own and
 * replaces each by a link to its own content, so that this upgrade has no mixed moment either.
 *
 * Writers do not lock the folder here (a renewal on a device does). Two at once leave the identity of one of them, complete. Versions are
 * numbered so that a writer never deletes one that another writer is about to use.
 *
 * @module
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { lstat, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { makeSecretFolder, secretFolderMode, syncFolder } from './atomic-file.ts';
import { FlotillaError, isFlotillaError } from './errors/flotilla-error.ts';
import {
  currentName,
  deleteOldVersions,
  deleteVersion,
  fileNames,
  highestNumber,
  isMissing,
  linkFile,
  numberOf,
  readLink,
  readOptional,
  replaceLink,
  linkTargetOf,
  versionName,
  writeVersion,
  type FileName,
} from './identity-versions.ts';
import { identityFiles, type IdentityFiles } from './state-folder.ts';

/** Where releases before 0.2 kept the new key of a broker while its renewal was not complete. */
const interruptedKeyName = 'key.next.pem';
/** Other writers may replace the folder's links while one reads or writes. After so many changes it gives up. */
const attemptsMax = 20;

/** The content of the files. PEM, except `enrollment`. */
export interface IdentityContent {
  /** PKCS#8. */
  readonly key: string;
  /** The leaf. */
  readonly cert: string;
  /** Leaf, then issuers. */
  readonly chain: string;
  /** What the holder trusts. */
  readonly ca: string;
  /** JSON with `url` and more: where the identity was enrolled. A save without it keeps what is there. */
  readonly enrollment?: string | undefined;
}

/** The steps of {@link saveIdentity} after which the folder has changed. */
export type SaveStep =
  | 'copied version set aside'
  | 'plain files copied'
  | 'copies are current'
  | 'file linked'
  | 'new version written'
  | 'new version is current'
  | 'old versions deleted';

/**
 * Makes `content` the current identity of a folder, atomically and durably. Creates the folder, and
 * upgrades one without links.
 *
 * @param step called after each step, for tests that stop there
 * @returns the paths of the files
 * @throws FlotillaError `file-write-failed`; the folder then holds the identity from before or the new one
 */
export async function saveIdentity(
  folder: string,
  content: IdentityContent,
  step: (name: SaveStep) => Promise<void> = () => Promise.resolve(),
): Promise<IdentityFiles> {
  try {
    await makeSecretFolder(folder);
    for (let left = attemptsMax; ; left--) {
      try {
        await saveVersion(folder, content, step);
        return identityFiles(folder);
      } catch (error) {
        // Two other saves overtook this one, and the second deleted the version that it was writing.
        if (!isMissing(error) || left === 0) throw error;
      }
    }
  } catch (error) {
    if (isFlotillaError(error)) throw error;
    throw new FlotillaError('file-write-failed', { detail: folder, cause: error });
  }
}

async function saveVersion(
  folder: string,
  content: IdentityContent,
  step: (name: SaveStep) => Promise<void>,
): Promise<void> {
  await setCopiedVersionAside(folder, step);
  await upgradePlainFiles(folder, step);
  const { key, cert, chain, ca } = content;
  const enrollment = content.enrollment ?? (await readOptional(join(folder, 'enrollment.json')));
  const files = new Map<FileName, string>([
    ['key.pem', key],
    ['cert.pem', cert],
    ['chain.pem', chain],
    ['ca.pem', ca],
  ]);
  if (enrollment !== undefined) files.set('enrollment.json', enrollment);
  const version = await writeVersion(folder, files);
  await step('new version written');
  try {
    await activateVersion(folder, version, [...files.keys()], step);
  } catch (error) {
    const isCurrent = (await readLink(join(folder, currentName))) === version;
    if (!isCurrent) await deleteVersion(folder, version);
    throw error;
  }
}

async function activateVersion(
  folder: string,
  written: string,
  names: readonly FileName[],
  step: (name: SaveStep) => Promise<void>,
): Promise<void> {
  let version = written;
  // Before the version is current: in a new folder all files appear at once.
  for (const name of names) {
    if (await linkFile(folder, version, name)) await step('file linked');
  }
  const current = await readLink(join(folder, currentName));
  if (current !== undefined && numberOf(current) >= numberOf(version)) {
    // Another writer was faster: it deletes versions with lower numbers than its own.
    const next = versionName((await highestNumber(folder)) + 1);
    await rename(join(folder, version), join(folder, next));
    version = next;
  }
  await replaceLink(folder, version, currentName, version);
  await syncFolder(folder);
  await lstat(join(folder, version, 'key.pem'));
  await step('new version is current');
  await deleteOldVersions(folder);
  await step('old versions deleted');
}

/**
 * Reads the identity of a folder: files of one version, whose key and certificate belong together.
 *
 * The leaf is the first certificate of `chain.pem`; a `cert.pem` that is missing or another one is ignored.
 *
 * @throws FlotillaError `identity-unreadable` when a file is missing or the key is not the certificate's
 */
export async function loadIdentity(folder: string): Promise<IdentityContent> {
  let before = '';
  for (let left = attemptsMax; ; left--) {
    const paths = await resolveFiles(folder);
    try {
      return await readFiles(folder, paths);
    } catch (error) {
      // The version may have been replaced and deleted while it was read: then the paths are different now.
      const now = JSON.stringify([...paths]);
      if (now === before || left === 0) {
        throw new FlotillaError('identity-unreadable', { detail: folder, cause: error });
      }
      before = now;
    }
  }
}

/** Whether a folder has a certificate already. */
export async function holdsIdentity(folder: string): Promise<boolean> {
  return succeeds(readFile(join(folder, 'cert.pem')));
}

/** The path of each file. `.current` is resolved once for all files that are links through it. */
async function resolveFiles(folder: string): Promise<ReadonlyMap<FileName, string>> {
  const current = await readLink(join(folder, currentName));
  const version = resolve(folder, current ?? currentName);
  const paths = new Map<FileName, string>();
  for (const name of fileNames) {
    const isLinked = (await readLink(join(folder, name))) === linkTargetOf(name);
    paths.set(name, join(isLinked ? version : folder, name));
  }
  return paths;
}

async function readFiles(
  folder: string,
  paths: ReadonlyMap<FileName, string>,
): Promise<IdentityContent> {
  const read = (name: FileName): Promise<string> => readFile(paths.get(name) ?? '', 'utf8');
  const [key, chain, ca] = await Promise.all([read('key.pem'), read('chain.pem'), read('ca.pem')]);
  const cert = leafOf(chain, await readOptional(paths.get('cert.pem') ?? ''));
  const enrollment = await readOptional(paths.get('enrollment.json') ?? '');
  const matching = await matchingKey(folder, chain, key);
  if (matching === undefined) throw new Error('key.pem is not the key of the certificate');
  return { key: matching, cert, chain, ca, enrollment };
}

/** The key of a chain's leaf: `key`, or the one that an interrupted renewal of an earlier release left. */
async function matchingKey(
  folder: string,
  chain: string,
  key: string,
): Promise<string | undefined> {
  if (belongs(key, chain)) return key;
  const interrupted = await readOptional(join(folder, interruptedKeyName));
  return interrupted !== undefined && belongs(interrupted, chain) ? interrupted : undefined;
}

function belongs(key: string, chain: string): boolean {
  return new X509Certificate(chain).checkPrivateKey(createPrivateKey(key));
}

function leafOf(chain: string, cert: string | undefined): string {
  return cert !== undefined && chain.startsWith(cert)
    ? cert
    : new X509Certificate(chain).toString();
}

/**
 * A copy that followed all links has a folder where the link `.current` was. Files that are read through
 * it become files of their own; then it gives way to a link.
 */
async function setCopiedVersionAside(
  folder: string,
  step: (name: SaveStep) => Promise<void>,
): Promise<void> {
  const path = join(folder, currentName);
  if (!(await isFolder(path))) return;
  const contents = new Map<FileName, string>();
  for (const name of fileNames) {
    if ((await readLink(join(folder, name))) !== linkTargetOf(name)) continue;
    const content = await readOptional(join(folder, name));
    if (content !== undefined) contents.set(name, content);
  }
  const version = await writeVersion(folder, contents);
  for (const name of contents.keys()) await rename(join(folder, version, name), join(folder, name));
  const aside = join(folder, versionName(0));
  await mkdir(aside, { mode: secretFolderMode });
  // Onto a folder, because that fails if another writer has put its link there.
  if (await succeeds(rename(path, aside))) await step('copied version set aside');
}

/** Files that are not links through `.current` become links to copies of themselves. */
async function upgradePlainFiles(
  folder: string,
  step: (name: SaveStep) => Promise<void>,
): Promise<void> {
  for (let left = attemptsMax; left > 0; left--) {
    const before = await layoutOf(folder);
    if (before.plain.length === 0) return;
    const contents = new Map<FileName, string>();
    for (const name of fileNames) {
      const content = await readOptional(join(folder, name));
      if (content !== undefined) contents.set(name, content);
    }
    const key = contents.get('key.pem');
    const chain = contents.get('chain.pem');
    if (key !== undefined && chain !== undefined) {
      const matching = await matchingKey(folder, chain, key).catch(() => undefined);
      contents.set('key.pem', matching ?? key);
    }
    const version = await writeVersion(folder, contents);
    await step('plain files copied');
    // Another writer was here while the files were read: they may not belong together.
    if ((await layoutOf(folder)).text !== before.text) continue;
    await replaceLink(folder, version, currentName, version);
    await syncFolder(folder);
    await step('copies are current');
    for (const name of before.plain) {
      await linkFile(folder, version, name);
      await step('file linked');
    }
    await rm(join(folder, interruptedKeyName), { force: true });
    await syncFolder(folder);
    return;
  }
  throw new Error('other programs change the files all the time');
}

/** Which files are not links through `.current`, and a text that changes when a file or link is replaced. */
async function layoutOf(folder: string): Promise<{ plain: FileName[]; text: string }> {
  const plain: FileName[] = [];
  const marks = [await readLink(join(folder, currentName))];
  for (const name of fileNames) {
    const path = join(folder, name);
    if ((await readLink(path)) === linkTargetOf(name)) continue;
    const found = await lstat(path).catch(() => undefined);
    if (found === undefined) continue;
    plain.push(name);
    marks.push(`${name} ${found.ino} ${found.mtimeMs} ${found.ctimeMs}`);
  }
  return { plain, text: JSON.stringify(marks) };
}

async function isFolder(path: string): Promise<boolean> {
  return lstat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

async function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}
