/**
 * The check for duplicate names counts file names and exported names that exist twice, and does not
 * pass when it has looked at too few files.
 *
 * @module
 */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { spawnNode, type Finished } from '../../support/child.ts';
import { tempFolder } from '../../support/temp-folder.ts';

/** Checks a project of `plain` files without duplicates, and `files` in it. */
function check(
  t: ExecutionContext,
  files: Readonly<Record<string, string>>,
  plain = 100,
): Promise<Finished> {
  const folder = tempFolder(t);
  const all: Record<string, string> = { ...files };
  for (let at = 0; at < plain; at++) all[`core/m${at}.ts`] = `export const value${at} = ${at};\n`;
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  const args = [resolve('tools/duplicate-names.ts'), '--list'];
  return spawnNode(t, args, { cwd: folder }).finished;
}

const repeated = (
  count: number,
  file: (at: number) => readonly [name: string, text: string],
): Record<string, string> =>
  Object.fromEntries(
    Array.from({ length: count }, (_none, at) => {
      const [name, text] = file(at);
      return [
        [`certs/${name}`, text],
        [`enroll/${at}/${name}`, text],
      ] as const;
    }).flat(),
  );

test('unique names pass', async (t) => {
  const done = await check(t, {
    'certs/a.ts': "export { value1 } from '../core/m1.ts';\nconst value2 = 2;\nexport {};\n",
  });
  t.is(done.code, 0, done.stderr);
  t.regex(done.stdout, /101 files, 0 file names .* 0 exported names/);
});

test('too many file names that exist twice fail, each with its places', async (t) => {
  const done = await check(
    t,
    repeated(20, (at) => [`same${at}.ts`, 'export {};\n']),
  );
  t.is(done.code, 1);
  t.regex(done.stdout, /20 file names .* 0 exported names/);
  t.true(done.stderr.includes('file name same3.ts: certs/same3.ts, enroll/3/same3.ts'));
});

test('too many names that are exported twice fail, of every kind of declaration', async (t) => {
  const declarations = [
    'export const a = 1;',
    'export function b(): void {}',
    'export class C {}',
    'export interface D { e: 1 }',
    'export type E = 1;',
    'export const f = 1, g = 2;',
  ];
  for (let at = 0; at < 20; at++) declarations.push(`export const more${at} = ${at};`);
  const files = Object.fromEntries(
    declarations.flatMap((text, at) => [
      [`certs/one${at}.ts`, text],
      [`enroll/other${at}.ts`, text],
    ]),
  );
  const done = await check(t, files);
  t.is(done.code, 1);
  for (const name of ['a', 'b', 'C', 'D', 'E', 'f', 'g']) {
    t.true(done.stderr.includes(`exported name ${name}: certs/`), name);
  }
});

test('a run over fewer than 100 files fails', async (t) => {
  const done = await check(t, {}, 99);
  t.is(done.code, 1);
  t.regex(done.stderr, /fewer than 100 files/);
});
