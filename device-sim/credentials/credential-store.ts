/**
 * Stores the keys and certificates of a fleet between runs.
 *
 * @module
 */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { secretFileMode, secretFolderMode } from '../../core/atomic-file.ts';
import { credentialLine } from './credential-file.ts';
import type { DeviceCredential } from '../device/credential.ts';

/** A credential that expires sooner than this is not used again. */
const remainingMinMs = 60 * 60_000;

export interface CredentialStore {
  /** Stored credentials of these devices, by id. */
  find(ids: ReadonlySet<string>): Promise<Map<string, DeviceCredential>>;
  /** Adds credentials to the stored ones; may do nothing. */
  save(credentials: readonly DeviceCredential[]): Promise<void>;
  /** Removes credentials that can no longer be used, e.g. revoked ones. */
  remove(ids: ReadonlySet<string>): Promise<void>;
}

/** Stores nothing. */
export const noCredentialStore: CredentialStore = {
  find: () => Promise.resolve(new Map()),
  save: () => Promise.resolve(),
  remove: () => Promise.resolve(),
};

/**
 * Uses one file per CA and plan, `{folder}/{plan}-{first digits of the root}.jsonl`, mode 0600.
 *
 * @param nowMs wall clock
 */
export function fileCredentialStore(
  folder: string,
  plan: string,
  rootFingerprint: string,
  nowMs: () => number,
): CredentialStore {
  const path = join(folder, `${plan}-${rootFingerprint.replace('sha256:', '').slice(0, 12)}.jsonl`);
  const readAll = async (): Promise<Map<string, DeviceCredential>> => {
    const all = new Map<string, DeviceCredential>();
    const text = await readFile(path, 'utf8').catch(() => '');
    for (const line of text.split('\n')) {
      const credential = line === '' ? undefined : credentialLine(line);
      if (credential !== undefined && credential.notAfterMs > nowMs() + remainingMinMs) {
        all.set(credential.id, credential);
      }
    }
    return all;
  };
  const writeAll = async (all: ReadonlyMap<string, DeviceCredential>): Promise<void> => {
    await mkdir(folder, { recursive: true, mode: secretFolderMode });
    const newPath = `${path}.new`;
    const file = await open(newPath, 'w', secretFileMode);
    try {
      let lines: string[] = [];
      for (const credential of all.values()) {
        lines.push(`${JSON.stringify(credential)}\n`);
        if (lines.length < 1000) continue;
        await file.write(lines.join(''));
        lines = [];
      }
      await file.write(lines.join(''));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(newPath, path);
  };
  return {
    async find(ids) {
      const all = await readAll();
      for (const id of all.keys()) if (!ids.has(id)) all.delete(id);
      return all;
    },
    async save(credentials) {
      if (credentials.length === 0) return;
      const all = await readAll();
      for (const credential of credentials) all.set(credential.id, credential);
      await writeAll(all);
    },
    async remove(ids) {
      const all = await readAll();
      const before = all.size;
      for (const id of ids) all.delete(id);
      if (all.size < before) await writeAll(all);
    },
  };
}
