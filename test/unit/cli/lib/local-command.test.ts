import { mkdirSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import { localCommand, shellWord } from '../../../../cli/lib/local-command.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

test('npx is printed in a checkout only; elsewhere the printed command exists', (t) => {
  t.is(localCommand({}, resolve('.')), 'npx flotilla');
  t.is(localCommand({}, resolve('docs')), 'npx flotilla');
  const folder = tempFolder(t);
  const launcher = resolve('cli/flotilla.mjs');
  t.is(localCommand({}, folder), `node ${shellWord(launcher)}`);
  mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true });
  symlinkSync(launcher, join(folder, 'node_modules/.bin/flotilla'));
  t.is(localCommand({}, folder), 'node_modules/.bin/flotilla');
  t.is(
    localCommand({ PATH: join(folder, 'node_modules/.bin') }, tempFolder(t)).split(' ')[0],
    'node',
  );
  mkdirSync(join(folder, 'bin'));
  symlinkSync(launcher, join(folder, 'bin/flotilla'));
  t.is(localCommand({ PATH: `/usr/bin:${join(folder, 'bin')}` }, folder), 'flotilla');
});

test('another program with the same name is not printed', (t) => {
  const folder = tempFolder(t);
  symlinkSync('/bin/true', join(folder, 'flotilla'));
  t.regex(localCommand({ PATH: folder }, folder), /^node /);
});

test('a quoted word remains one word for the shell', (t) => {
  t.is(shellWord('pump-7'), 'pump-7');
  t.is(shellWord("it's; rm"), String.raw`'it'\''s; rm'`);
});
