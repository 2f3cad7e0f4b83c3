/**
 * The file of a backup: a tar archive, compressed with gzip. Its first member, `manifest.json`, names every other
 * member with its size and SHA-256, and the symlinks, which are not members.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, open, readdir, readFile, readlink, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { create, extract, type ReadEntry } from 'tar';
import { z } from 'zod';
import { secretFileMode, writeFileAtomic } from '../../core/atomic-file.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { packageVersion } from '../../core/package-version.ts';

const manifestName = 'manifest.json';
const membersMax = 200_000;
const manifestMaxBytes = 64 * 1024 * 1024;

/** No absolute names, no `..`, no empty parts. */
const memberPath = z
  .string()
  .regex(/^(?!\.\.?(?:\/|$))[\w.@+-]+(?:\/(?!\.\.?(?:\/|$))[\w.@+-]+)*$/)
  .max(512);
/** Links lead to a file in the same folder, or in a version beside it. */
const linkTarget = z
  .string()
  .regex(/^\.?[\w-]+(?:\.[\w-]+)*(?:\/[\w-]+(?:\.[\w-]+)*)?$/)
  .max(256);

const memberSchema = z.union([
  z.strictObject({
    path: memberPath,
    bytes: z.int().min(0),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
  }),
  z.strictObject({ path: memberPath, link: linkTarget }),
]);
const manifestSchema = z.object({
  format: z.literal(1),
  version: z.string(),
  createdAt: z.iso.datetime(),
  members: z.array(memberSchema).max(membersMax),
});
type Member = z.infer<typeof memberSchema>;
export type BackupManifest = z.infer<typeof manifestSchema>;

/**
 * Packs a folder into a file, which only its owner can read.
 *
 * @param path must not exist
 */
export async function packBackup(
  folder: string,
  path: string,
  nowMs: number,
): Promise<BackupManifest> {
  const manifest: BackupManifest = {
    format: 1,
    version: packageVersion,
    createdAt: new Date(nowMs).toISOString(),
    members: await membersOf(folder),
  };
  await writeFileAtomic(join(folder, manifestName), JSON.stringify(manifest));
  const roots = (await readdir(folder)).filter((name) => name !== manifestName).sort();
  await create(
    {
      ...{ cwd: folder, file: path, gzip: true, portable: true, strict: true },
      mode: secretFileMode,
      filter: (_, entry) => !('isSymbolicLink' in entry && entry.isSymbolicLink()),
    },
    [manifestName, ...roots],
  );
  const file = await open(path, 'r');
  await file.sync().finally(() => file.close());
  return manifest;
}

/**
 * Unpacks a file into an empty folder and compares every member with the manifest.
 *
 * @throws FlotillaError `backup-damaged`
 */
export async function unpackBackup(path: string, folder: string): Promise<BackupManifest> {
  let members = 0;
  const refused: string[] = [];
  const isAccepted = (name: string, entry: unknown): boolean => {
    const plain = name.replace(/^\.\//, '').replace(/\/$/, '');
    const { type } = entry as Pick<ReadEntry, 'type'>;
    const isKnown = type === 'File' || type === 'Directory';
    if (++members <= membersMax && isKnown && memberPath.safeParse(plain).success) return true;
    if (refused.length < 1) refused.push(`${type} ${plain.slice(0, 200)}`);
    return false;
  };
  await extract({ cwd: folder, file: path, strict: true, filter: isAccepted }).catch(
    (error: unknown) => {
      throw damaged(path, messageOf(error), error);
    },
  );
  const [first] = refused;
  if (first !== undefined) throw damaged(path, `it has a member that no backup has: ${first}`);
  const manifest = await readBackupManifest(path, folder);
  for (const member of manifest.members) {
    if (!('link' in member)) continue;
    await symlink(member.link, join(folder, member.path)).catch((error: unknown) => {
      throw damaged(path, `${member.path} is missing`, error);
    });
  }
  compare(path, manifest.members, await membersOf(folder));
  return manifest;
}

/** The SHA-256 of a file, in hexadecimal. */
export async function fileHash(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}

async function readBackupManifest(path: string, folder: string): Promise<BackupManifest> {
  const file = join(folder, manifestName);
  try {
    if ((await lstat(file)).size > manifestMaxBytes) throw new Error('it is too large');
    return manifestSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    throw damaged(path, `${manifestName} cannot be read`, error);
  }
}

function compare(path: string, expected: readonly Member[], found: readonly Member[]): void {
  const texts = new Map(found.map((member) => [member.path, JSON.stringify(member)]));
  for (const member of expected) {
    const text = texts.get(member.path);
    if (text === undefined) throw damaged(path, `${member.path} is missing`);
    if (text !== JSON.stringify(member)) throw damaged(path, `${member.path} was changed`);
    texts.delete(member.path);
  }
  const [extra] = texts.keys();
  if (extra !== undefined) throw damaged(path, `${extra} is not in the manifest`);
}

/** Files and links of a folder, without the manifest, in the order of their paths. */
async function membersOf(folder: string, prefix = ''): Promise<Member[]> {
  const members: Member[] = [];
  const entries = await readdir(join(folder, prefix), { withFileTypes: true });
  for (const entry of entries.sort((one, other) => (one.name < other.name ? -1 : 1))) {
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    const full = join(folder, path);
    if (path === manifestName) continue;
    if (entry.isSymbolicLink()) members.push({ path, link: await readlink(full) });
    else if (entry.isDirectory()) members.push(...(await membersOf(folder, path)));
    else members.push({ path, bytes: (await lstat(full)).size, sha256: await fileHash(full) });
  }
  return members;
}

function damaged(path: string, detail: string, cause?: unknown): FlotillaError {
  return new FlotillaError('backup-damaged', { detail: `${path}: ${detail}`, cause });
}
