import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { watchSettings } from '../../../../cli/lib/setting-changes.ts';
import { captureLog } from '../../../support/log-capture.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

test('a reload names the settings that need a restart, and a file that would prevent one', async (t) => {
  const file = join(tempFolder(t), 'flotilla.yaml');
  writeFileSync(file, 'names: [a.example]\n');
  const { log, lines } = captureLog();
  const reload = await watchSettings(file, log);
  await reload();
  t.is(lines.length, 0, 'nothing changed');
  writeFileSync(file, 'names: [b.example]\nenroll: {tokenTtl: 1h}\n');
  await reload();
  t.deepEqual(lines.at(-1)?.['settings'], ['enroll.tokenTtl', 'names']);
  writeFileSync(file, 'nmes: [b.example]\n');
  await reload();
  t.is(lines.at(-1)?.['level'], 'error');
});
