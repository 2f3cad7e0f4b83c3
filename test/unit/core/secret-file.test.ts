import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import { assertSecret, secretAccess } from '../../../core/secret-file.ts';
import { tempFolder } from '../../support/temp-folder.ts';

test('a secret that others can read, or that a group can change, is refused', async (t) => {
  const path = join(tempFolder(t), 'key.pem');
  writeFileSync(path, 'secret');
  for (const mode of [0o600, 0o400, 0o700]) {
    chmodSync(path, mode);
    t.is(await assertSecret(path), 'private', mode.toString(8));
  }
  for (const mode of [0o640, 0o440]) {
    chmodSync(path, mode);
    t.is(await assertSecret(path), 'group', mode.toString(8));
  }
  for (const mode of [0o604, 0o620, 0o602, 0o610, 0o650, 0o660, 0o644, 0o444, 0o777]) {
    chmodSync(path, mode);
    const error = await t.throwsAsync(assertSecret(path), { instanceOf: FlotillaError });
    t.is(error.code, 'file-too-open');
    t.is(error.detail, `${path} has mode ${mode.toString(8)}`);
  }
});

test('a group may read a secret of root or of the own user, and of nobody else', (t) => {
  t.is(secretAccess(0o100440, 0, 1000), 'group', 'a Secret of Kubernetes: root, fsGroup');
  t.is(secretAccess(0o100640, 1000, 1000), 'group');
  t.is(secretAccess(0o100440, 1001, 1000), undefined);
  t.is(secretAccess(0o100600, 1001, 1000), 'private', 'reading it is the decision of the kernel');
});
