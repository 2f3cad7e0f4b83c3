/**
 * Encrypts every key of the CA with a new passphrase, in one step that a crash cannot divide.
 *
 * 1. Each key is written, encrypted with the new passphrase, beside its file: `….new`. The new `passphrase` file too.
 * 2. `passphrase-change.json` is written atomically. From now on the new passphrase is in force.
 * 3. The new files replace the old ones, and `passphrase-change.json` is deleted.
 *
 * After a crash before step 2, the old files are in force, and the next change begins again. After a crash in step 3,
 * whoever reads the passphrase next completes it; for that no passphrase is necessary.
 *
 * @module
 */
import { rename, rm } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { decryptPrivateKey, encryptPrivateKey } from '../../certs/encrypted-key.ts';
import { spkiOf } from '../../certs/key.ts';
import { syncFolder, writeFileAtomic } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { isMissing } from '../../core/identity-versions.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { isExternalKey, readSecretText, readText } from './ca-files.ts';
import { issuerKeyFiles, rootKeyFiles } from './ca-keys.ts';
import { responderKeyFiles } from './root-responder.ts';

const recordName = 'passphrase-change.json';
const filesMax = 1000;

const recordSchema = z.strictObject({
  /** Relative to `ca/`: `….new` replaces the file. */
  replace: z.array(z.string().min(1).max(512)).max(filesMax + 1),
  /** Whether the file with the passphrase is deleted. */
  forget: z.boolean(),
});

export interface PassphraseChange {
  readonly from: string;
  readonly to: string;
  /** Whether the new passphrase is stored in the state folder. */
  readonly store: boolean;
  /** Called at each step at which a crash could happen; for tests. */
  readonly step?: (name: string) => Promise<void>;
}

/**
 * Changes the passphrase. The caller has locked the state folder, so that no service writes a key meanwhile. Each key
 * takes 0.2 s.
 *
 * @returns the number of files with keys
 * @throws FlotillaError `ca-passphrase-wrong`, `ca-key-unreadable`, `file-too-open`, `file-write-failed`
 */
export async function changePassphrase(
  state: StateFolder,
  { from, to, store, step = () => Promise.resolve() }: PassphraseChange,
): Promise<number> {
  await completePassphraseChange(state);
  const files = new Set([
    ...rootKeyFiles(state),
    ...(await issuerKeyFiles(state)),
    ...(await responderKeyFiles(state)),
    state.ca.cmpKey,
  ]);
  const changed: string[] = [];
  for (const file of files) {
    const text = await readSecretText(file);
    // A token has a passphrase of its own, and the key of an external CA is not here.
    if (text === undefined || text.startsWith('pkcs11:') || isExternalKey(text)) continue;
    const key = decryptPrivateKey(text, from);
    await writeFileAtomic(fresh(file), encryptPrivateKey(key, to));
    const written = decryptPrivateKey((await readText(fresh(file))) ?? '', to);
    if (!spkiOf(written).equals(spkiOf(key))) throw new FlotillaError('ca-key-unreadable');
    changed.push(file);
    await step('key');
  }
  if (store) await writeFileAtomic(fresh(state.ca.passphrase), `${to}\n`);
  await step('before record');
  const replaced = store ? [...changed, state.ca.passphrase] : changed;
  const record = {
    replace: replaced.map((file) => relative(state.ca.folder, file)),
    forget: !store,
  };
  await writeFileAtomic(recordFile(state), JSON.stringify(record));
  await step('after record');
  await completePassphraseChange(state, step);
  return changed.length;
}

/** Completes a change that a crash has interrupted. */
export async function completePassphraseChange(
  state: StateFolder,
  step: (name: string) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const text = await readText(recordFile(state));
  if (text === undefined) return;
  const { replace, forget } = recordSchema.parse(JSON.parse(text));
  for (const name of replace) {
    const file = join(state.ca.folder, name);
    await rename(fresh(file), file).catch((error: unknown) => {
      // Replaced before the crash.
      if (!isMissing(error)) throw error;
    });
    await syncFolder(dirname(file));
    await step('replaced');
  }
  if (forget) await rm(state.ca.passphrase, { force: true });
  await rm(recordFile(state), { force: true });
  await syncFolder(state.ca.folder);
}

function fresh(file: string): string {
  return `${file}.new`;
}

function recordFile({ ca }: StateFolder): string {
  return join(ca.folder, recordName);
}
