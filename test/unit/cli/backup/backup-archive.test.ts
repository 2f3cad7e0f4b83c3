import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { create } from 'tar';
import { packBackup, unpackBackup } from '../../../../cli/backup/backup-archive.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

interface Packed {
  readonly file: string;
  readonly content: string;
  readonly empty: () => string;
}

async function packed(t: ExecutionContext): Promise<Packed> {
  const folder = tempFolder(t);
  const content = join(folder, 'content');
  mkdirSync(join(content, 'admin', '.identity-1-aa'), { recursive: true, mode: 0o700 });
  writeFileSync(join(content, 'admin', '.identity-1-aa', 'key.pem'), 'secret', { mode: 0o600 });
  symlinkSync('.identity-1-aa', join(content, 'admin', '.current'));
  symlinkSync('.current/key.pem', join(content, 'admin', 'key.pem'));
  writeFileSync(join(content, 'policy.yaml'), 'version: 1\n', { mode: 0o644 });
  const file = join(folder, 'backup.tar.gz');
  await packBackup(content, file, 0);
  let count = 0;
  return {
    file,
    content,
    empty: () => {
      const path = join(folder, `empty-${++count}`);
      mkdirSync(path);
      return path;
    },
  };
}

test('what was packed is unpacked, with links and modes; the file is for its owner only', async (t) => {
  const { file, empty } = await packed(t);
  t.is(statSync(file).mode & 0o777, 0o600);
  const target = empty();
  const manifest = await unpackBackup(file, target);
  t.is(manifest.createdAt, '1970-01-01T00:00:00.000Z');
  t.is(manifest.members.length, 4);
  t.is(readFileSync(join(target, 'admin', 'key.pem'), 'utf8'), 'secret');
  t.is(statSync(join(target, 'admin', 'key.pem')).mode & 0o777, 0o600);
  t.is(statSync(join(target, 'admin')).mode & 0o777, 0o700);
});

test('a backup that is cut off, changed, incomplete or no archive is refused', async (t) => {
  const { file, content, empty } = await packed(t);
  const bytes = readFileSync(file);
  const tarBytes = gunzipSync(bytes);
  const changed = Buffer.from(tarBytes);
  changed.write('SECRET', tarBytes.indexOf('secret', 0, 'latin1'));
  const write = (name: string, data: Buffer): string => {
    const path = join(content, '..', name);
    writeFileSync(path, data);
    return path;
  };
  const faults: readonly (readonly [string, RegExp])[] = [
    [write('cut', bytes.subarray(0, bytes.length - 40)), /backup-damaged|damaged/],
    [write('changed', gzipSync(changed)), /key\.pem was changed/],
    [write('text', Buffer.from('no archive')), /damaged/],
    [write('empty', Buffer.alloc(0)), /damaged/],
  ];
  for (const [path, message] of faults) {
    const error = await t.throwsAsync(
      unpackBackup(path, empty()),
      { code: 'backup-damaged' },
      path,
    );
    t.regex(error.message, message);
  }
  await create({ cwd: content, file: join(content, '..', 'less'), gzip: true }, [
    'manifest.json',
    'policy.yaml',
  ]);
  await t.throwsAsync(unpackBackup(join(content, '..', 'less'), empty()), {
    message: /is missing/,
  });
  writeFileSync(join(content, 'more.txt'), 'x');
  await create({ cwd: content, file: join(content, '..', 'more'), gzip: true }, [
    ...['manifest.json', 'policy.yaml', 'admin/.identity-1-aa', 'more.txt'],
  ]);
  await t.throwsAsync(unpackBackup(join(content, '..', 'more'), empty()), {
    message: /more\.txt is not in the manifest/,
  });
});

test('members that lead out of the folder are refused, and nothing is written there', async (t) => {
  const { content, empty } = await packed(t);
  const outside = join(content, '..', 'outside.txt');
  writeFileSync(outside, 'as before');
  const path = join(content, '..', 'hostile');
  await create({ cwd: content, file: path, gzip: true, preservePaths: true }, [
    'manifest.json',
    '../outside.txt',
  ]);
  writeFileSync(outside, 'changed since');
  await t.throwsAsync(unpackBackup(path, empty()), { code: 'backup-damaged' });
  t.is(readFileSync(outside, 'utf8'), 'changed since');
  symlinkSync('/etc/passwd', join(content, 'link'));
  await t.throwsAsync(
    packBackup(content, path, 0).then(() => unpackBackup(path, empty())),
    {
      code: 'backup-damaged',
    },
  );
});
