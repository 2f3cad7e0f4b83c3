/** Files that are whole or not there, with the modes of secrets. @module */
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { makeSecretFolder, syncFolder, writeFileAtomic } from '../../../core/atomic-file.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import { spawnNode } from '../../support/child.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const modeOf = (path: string): number => statSync(path).mode & 0o777;

test('a file is written completely and is private by default, with any umask', async (t) => {
  const folder = tempFolder(t);
  const path = join(folder, 'key.pem');
  const before = process.umask(0);
  t.teardown(() => process.umask(before));
  await writeFileAtomic(path, 'secret');
  t.is(readFileSync(path, 'utf8'), 'secret');
  t.is(modeOf(path), 0o600);
  process.umask(0o077);
  await writeFileAtomic(path, Buffer.from([0, 255]), 0o644);
  t.deepEqual([...readFileSync(path)], [0, 255]);
  t.is(modeOf(path), 0o644);
  t.deepEqual(readdirSync(folder), ['key.pem']);
});

test('a file that others could read is private after it was written again', async (t) => {
  const path = join(tempFolder(t), 'key.pem');
  writeFileSync(path, 'old', { mode: 0o644 });
  await writeFileAtomic(path, 'new');
  t.is(modeOf(path), 0o600);
});

test('a link is replaced, not followed', async (t) => {
  const folder = tempFolder(t);
  const { symlinkSync, lstatSync } = await import('node:fs');
  writeFileSync(join(folder, 'elsewhere'), 'untouched');
  symlinkSync(join(folder, 'elsewhere'), join(folder, 'file'));
  await writeFileAtomic(join(folder, 'file'), 'new');
  t.is(readFileSync(join(folder, 'elsewhere'), 'utf8'), 'untouched');
  t.true(lstatSync(join(folder, 'file')).isFile());
});

test('a failed write names the file, keeps the old content and leaves no temporary file', async (t) => {
  const folder = tempFolder(t);
  const missing = join(folder, 'no', 'such', 'folder', 'file');
  const error = await t.throwsAsync(writeFileAtomic(missing, 'x'), { instanceOf: FlotillaError });
  t.is(error.code, 'file-write-failed');
  t.is(error.detail, missing);
  t.is((error.cause as NodeJS.ErrnoException).code, 'ENOENT');

  const taken = join(folder, 'taken');
  mkdirSync(taken);
  writeFileSync(join(taken, 'inside'), 'still here');
  await t.throwsAsync(writeFileAtomic(taken, 'x'), { instanceOf: FlotillaError });
  t.is(readFileSync(join(taken, 'inside'), 'utf8'), 'still here');
  t.deepEqual(readdirSync(folder), ['taken']);
});

test('concurrent writers leave the complete content of one of them', async (t) => {
  const folder = tempFolder(t);
  const path = join(folder, 'file');
  const contents = Array.from({ length: 16 }, (_none, at) =>
    String.fromCharCode(97 + at).repeat(50_000),
  );
  await Promise.all(contents.map((content) => writeFileAtomic(path, content)));
  t.true(contents.includes(readFileSync(path, 'utf8')));
  t.deepEqual(readdirSync(folder), ['file']);
});

test('a writer that is killed at any moment leaves the old or the new content', async (t) => {
  const folder = tempFolder(t);
  const path = join(folder, 'file');
  // Each content contains its length and ends with a mark, so that a part or a mixture is detected.
  const script = `
    import { writeFileAtomic } from './core/atomic-file.ts';
    for (let round = 0; ; round++) {
      const body = String(round % 10).repeat(100_000 + round * 10);
      await writeFileAtomic(process.argv[1], body.length + ':' + body + ':end');
      if (round === 0) console.log('ready');
    }
  `;
  const seen = new Set<string>();
  for (let kill = 0; kill < 8; kill++) {
    const child = spawnNode(t, ['--input-type=module-typescript', '-e', script, path]);
    await child.line((line) => line === 'ready');
    // A different moment each time, in steps that are not a multiple of the duration of a write.
    const untilMs = performance.now() + 3 + kill * 2.7;
    while (performance.now() < untilMs) await new Promise((resolve) => setImmediate(resolve));
    t.is((await child.stop('SIGKILL')).signal, 'SIGKILL');
    const content = readFileSync(path, 'utf8');
    const [length, body = '', end] = content.split(':');
    t.is(end, 'end');
    t.is(body.length, Number(length));
    t.is(body, body[0]!.repeat(body.length));
    t.is(modeOf(path), 0o600);
    seen.add(content);
  }
  t.true(seen.size > 1, 'the kills happened at different moments');
  for (const name of readdirSync(folder)) {
    t.regex(name, /^(?:file|\.file\.[0-9a-f]{12}\.tmp)$/);
    t.is(modeOf(join(folder, name)), 0o600);
  }
  await writeFileAtomic(path, 'what was left lying does no harm');
});

test('a secret folder and its new parents are private; existing folders are not changed', async (t) => {
  const folder = tempFolder(t);
  const before = process.umask(0);
  t.teardown(() => process.umask(before));
  await makeSecretFolder(join(folder, 'a', 'b'));
  t.is(modeOf(join(folder, 'a')), 0o700);
  t.is(modeOf(join(folder, 'a', 'b')), 0o700);
  chmodSync(join(folder, 'a'), 0o755);
  await makeSecretFolder(join(folder, 'a'));
  t.is(modeOf(join(folder, 'a')), 0o755);
  await t.notThrowsAsync(syncFolder(folder));
});

test('a folder in a file system without folders is an error, not an endless attempt', async (t) => {
  await t.throwsAsync(makeSecretFolder('/proc/none/folder'), { code: 'file-write-failed' });
});
