import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { writeFileAtomic } from '../../../../core/atomic-file.ts';
import { systemClock } from '../../../../core/clock.ts';
import { stateFolder, type StateFolder } from '../../../../core/state-folder.ts';
import { createCa, openCa } from '../../../../enroll/ca/ca-folder.ts';
import { CmpKey } from '../../../../enroll/ca/cmp-key.ts';
import { issuerKeyFiles, rootKeyFiles } from '../../../../enroll/ca/ca-keys.ts';
import { changePassphrase } from '../../../../enroll/ca/passphrase-change.ts';
import { responderKeyFiles } from '../../../../enroll/ca/root-responder.ts';
import { readPassphrase } from '../../../../enroll/ca/passphrase.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const deps = { clock: systemClock };

/** All keys, and the passphrase. */
async function textsOf(state: StateFolder): Promise<string[]> {
  const files = [
    ...[state.ca.passphrase, state.ca.cmpKey, ...rootKeyFiles(state)],
    ...(await issuerKeyFiles(state)),
    ...(await responderKeyFiles(state)),
  ];
  return files.filter((file) => existsSync(file)).map((file) => readFileSync(file, 'utf8'));
}

test('all keys get the new passphrase, and a crash at any step leaves a CA that opens', async (t) => {
  const folder = tempFolder(t);
  const state = stateFolder(join(folder, 'state'));
  await createCa(state, 'first passphrase', deps);
  await writeFileAtomic(state.ca.passphrase, 'first passphrase\n');
  const tokenBy = (passphrase: string): Promise<Buffer | undefined> =>
    new CmpKey(state, () => Promise.resolve(passphrase)).derive(Buffer.alloc(32), true);
  const token = await tokenBy('first passphrase');
  const before = await textsOf(state);
  let crashes = 0;
  const keys = await changePassphrase(state, {
    ...{ from: 'first passphrase', to: 'second passphrase', store: true },
    step() {
      // What a crash at this step leaves on the disk.
      cpSync(state.root, join(folder, `crash-${crashes++}`), { recursive: true });
      return Promise.resolve();
    },
  });
  const after = await textsOf(state);
  t.deepEqual(await tokenBy('second passphrase'), token, 'tokens for CMP are the same');
  t.is(before.length, keys + 1);
  t.is(crashes, 2 * keys + 3);
  let unchanged = 0;
  for (let at = 0; at < crashes; at++) {
    const crashed = stateFolder(join(folder, `crash-${at}`));
    const passphrase = await readPassphrase(crashed, {});
    if (passphrase === 'first passphrase') unchanged++;
    t.deepEqual(await textsOf(crashed), passphrase === 'first passphrase' ? before : after);
    t.false(existsSync(join(crashed.ca.folder, 'passphrase-change.json')));
  }
  t.is(unchanged, keys + 1, 'the record decides');
  t.is(await readPassphrase(state, {}), 'second passphrase');
  await openCa(state, 'second passphrase', deps);
});

test('a wrong passphrase changes nothing, and a passphrase that is kept elsewhere is deleted here', async (t) => {
  const state = stateFolder(join(tempFolder(t), 'state'));
  await createCa(state, 'first passphrase', deps);
  await writeFileAtomic(state.ca.passphrase, 'first passphrase\n');
  const before = readFileSync(state.ca.rootKey, 'utf8');
  const change = { from: 'another one', to: 'second passphrase', store: false };
  await t.throwsAsync(changePassphrase(state, change), { code: 'ca-passphrase-wrong' });
  t.is(readFileSync(state.ca.rootKey, 'utf8'), before);
  await changePassphrase(state, { ...change, from: 'first passphrase' });
  t.false(existsSync(state.ca.passphrase));
});
