/**
 * Where the keys and certificates of a run come from and go to: a folder of another broker, what an
 * earlier run or `flotilla sim prepare` kept, or nowhere.
 *
 * @module
 */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { secretFileMode, secretFolderMode } from '../../core/atomic-file.ts';
import { credentialLine } from './credential-file.ts';
import type { Credential } from '../device/credential.ts';

/** A credential that ends sooner than this is not used again. */
const remainingMinMs = 60 * 60_000;

export interface CredentialStore {
  /** What is there for these devices, by id. */
  find(ids: ReadonlySet<string>): Promise<Map<string, Credential>>;
  /** Keeps all of these beside what is there, or does nothing. */
  save(credentials: readonly Credential[]): Promise<void>;
  /** Drops what is no longer of use: revoked by a drill. */
  remove(ids: ReadonlySet<string>): Promise<void>;
}

/** Keeps nothing. */
export const noCredentialStore: CredentialStore = {
  find: () => Promise.resolve(new Map()),
  save: () => Promise.resolve(),
  remove: () => Promise.resolve(),
};

/**
 * Keeps one file for each CA and plan, `{folder}/{plan}-{first digits of the root}.jsonl`, mode 0600.
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
  const readAll = async (): Promise<Map<string, Credential>> => {
    const all = new Map<string, Credential>();
    const text = await readFile(path, 'utf8').catch(() => '');
    for (const line of text.split('\n')) {
      const credential = line === '' ? undefined : credentialLine(line);
      if (credential !== undefined && credential.notAfterMs > nowMs() + remainingMinMs) {
        all.set(credential.id, credential);
      }
    }
    return all;
  };
  const writeAll = async (all: ReadonlyMap<string, Credential>): Promise<void> => {
    await mkdir(folder, { recursive: true, mode: secretFolderMode });
    const beside = `${path}.new`;
    const file = await open(beside, 'w', secretFileMode);
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
    await rename(beside, path);
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
