/**
 * Who may read and change the files of a state folder.
 *
 * @module
 */
import { lstat, opendir, stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { join, relative } from 'node:path';
import { secretAccess } from '../secret-file.ts';
import type { FindingList } from './finding.ts';

/** Deeper folders do not exist in a state folder. */
const depthMax = 8;

/** The process that will use the files. */
export interface FileUser {
  /** The owner that files are expected to have: that of the state folder. */
  readonly owner: number;
  /** The group of this process; a group that may write is accepted if the system gave the folder to it. */
  readonly group: number;
}

/** What the decision needs to know about a file. */
export type FileFacts = Pick<Stats, 'mode' | 'uid' | 'gid'> & { readonly isFolder: boolean };

/**
 * Checks the mode and the owner of each file and folder below a folder.
 *
 * @returns how many files and folders were checked
 */
export async function checkFileAccess(root: string, findings: FindingList): Promise<number> {
  const { uid } = await stat(root);
  const user = { owner: uid, group: process.getgid?.() ?? -1 };
  return checkEntry(root, '', user, findings, 0);
}

async function checkEntry(
  root: string,
  name: string,
  user: FileUser,
  findings: FindingList,
  depth: number,
): Promise<number> {
  const path = join(root, name);
  const isLink = (await lstat(path).catch(() => undefined))?.isSymbolicLink() ?? false;
  let facts: Stats;
  try {
    facts = await stat(path);
  } catch (error) {
    // A file that a running service has just deleted is no fault.
    const isGone = !isLink && error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (!isGone) findings.addError(error, path);
    return 0;
  }
  const isFolder = facts.isDirectory();
  const { mode, uid, gid } = facts;
  for (const { code, detail } of accessFaults(name, { mode, uid, gid, isFolder }, user)) {
    findings.add(code, path, detail);
  }
  // The files behind a link are checked where they are.
  if (!isFolder || isLink || depth >= depthMax) return 1;
  let count = 1;
  try {
    for await (const entry of await opendir(path)) {
      count += await checkEntry(
        root,
        relative(root, join(path, entry.name)),
        user,
        findings,
        depth + 1,
      );
    }
  } catch (error) {
    findings.addError(error, path);
  }
  return count;
}

export interface AccessFault {
  readonly code: 'file-too-open' | 'file-writable-by-others' | 'file-owner-differs';
  readonly detail: string;
}

/**
 * The decision for one file or folder.
 *
 * @param name relative to the state folder; empty: the state folder itself
 */
export function accessFaults(
  name: string,
  facts: FileFacts,
  user: FileUser,
): readonly AccessFault[] {
  const { mode, uid, isFolder } = facts;
  const faults: AccessFault[] = [];
  const octal = `mode ${(mode & 0o777).toString(8).padStart(3, '0')}`;
  if (isWritableByOthers(facts, user)) {
    faults.push({ code: 'file-writable-by-others', detail: octal });
  } else if (isSecret(name) && isTooOpen(facts, user)) {
    faults.push({ code: 'file-too-open', detail: octal });
  }
  // Files that the system mounts belong to root, and others may read them.
  const isMounted = uid === 0 && (mode & 0o044) !== 0;
  if (uid !== user.owner && !isMounted) {
    const what = isFolder ? 'the folder' : 'the file';
    const detail = `${what} belongs to user ${uid}, the state folder to user ${user.owner}`;
    faults.push({ code: 'file-owner-differs', detail });
  }
  return faults;
}

function isWritableByOthers({ mode, uid, gid, isFolder }: FileFacts, user: FileUser): boolean {
  if ((mode & 0o002) !== 0) return true;
  if ((mode & 0o020) === 0) return false;
  // A volume of Kubernetes with fsGroup: root owns the folder, and its group is that of the process.
  return !(isFolder && uid === 0 && gid === user.group);
}

function isTooOpen({ mode, uid, gid, isFolder }: FileFacts, user: FileUser): boolean {
  if (!isFolder) return secretAccess(mode, uid, user.owner) === undefined;
  return (mode & 0o007) !== 0 || ((mode & 0o070) !== 0 && !(uid === 0 && gid === user.group));
}

const secretFolders = ['ca', 'enroll', 'broker', 'admin', 'run', 'sim'];
const publicFiles = /(?:^|\/)enrollment\.json$|(?<!key)\.pem$/;

/** Everything in the folders is secret, except certificates and lists that everybody may see. */
function isSecret(name: string): boolean {
  const [folder = ''] = name.split('/');
  return secretFolders.includes(folder) && !publicFiles.test(name);
}
