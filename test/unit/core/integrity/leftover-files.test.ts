import test from 'ava';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FindingList } from '../../../../core/integrity/finding.ts';
import { checkLeftovers, isTemporaryName } from '../../../../core/integrity/leftover-files.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

test('temporary files have names of their own', (t) => {
  for (const name of ['.a.json.0123456789ab.tmp', 'lock.0123456789ab0123456789ab', '.creating']) {
    t.true(isTemporaryName(name), name);
  }
  t.true(isTemporaryName('broker.lock.0123456789ab0123456789ab.old'));
  t.true(isTemporaryName('store.sqlite.new-wal'));
  for (const name of ['lock', 'broker.lock', 'store.sqlite-wal', 'a.tmp', '.current']) {
    t.false(isTemporaryName(name), name);
  }
});

test('young temporary files of a running service are not reported, and an unused version of an identity is', async (t) => {
  const root = tempFolder(t);
  await writeFile(join(root, '.a.0123456789ab.tmp'), '');
  for (const number of [1, 3, 4, 5]) await mkdir(join(root, `.identity-${number}-0123456789ab`));
  await symlink('.identity-4-0123456789ab', join(root, '.current'));
  const found = async (nowMs: number, isRunning: boolean): Promise<number> => {
    const findings = new FindingList();
    await checkLeftovers(root, nowMs, isRunning, findings);
    return findings.count;
  };
  t.is(await found(Date.now(), true), 0);
  t.is(await found(Date.now() + 3_600_000, true), 3);
  t.is(await found(Date.now(), false), 3);
});
