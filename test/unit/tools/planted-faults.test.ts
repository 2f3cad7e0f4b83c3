/**
 * The other checks of the project report what they are for: a type error, an unused export, a call of
 * console outside the command line, and everything else that the style forbids.
 *
 * @module
 */
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ESLint } from 'eslint';
import { spawnNode, type Finished } from '../../support/child.ts';
import { tempFolder } from '../../support/temp-folder.ts';

function project(t: ExecutionContext, files: Readonly<Record<string, string>>): string {
  const folder = tempFolder(t);
  for (const name of ['tsconfig.json', 'package.json', 'knip.json', '.gitignore']) {
    copyFileSync(name, join(folder, name));
  }
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

const run = (t: ExecutionContext, folder: string, ...args: string[]): Promise<Finished> =>
  spawnNode(t, args, { cwd: folder, timeoutMs: 60_000 }).finished;

test('the type check reports what strict types forbid', async (t) => {
  const faults = {
    'core/wrong-type.ts': "export const port: number = '8883';\n",
    'core/maybe-missing.ts': 'export const first = (list: string[]): string => list[0];\n',
    'core/extra-undefined.ts': 'export const options: { a?: string } = { a: undefined };\n',
    'core/enumeration.ts': 'export enum Colour { Red }\n',
    'core/parameter-property.ts': 'export class Box { constructor(readonly a: string) {} }\n',
    'core/value-import.ts': "import { Clock } from './clock.ts';\nexport type C = Clock;\n",
    'core/unused-local.ts': 'const unused = 1;\nexport {};\n',
    'core/no-return.ts':
      "export function f(a: boolean): string | undefined {\n  if (a) return 'x';\n}\n",
  };
  const folder = project(t, {
    ...faults,
    'core/clock.ts': 'export interface Clock { now(): number }\n',
    'core/fine.ts': 'export const fine = 1;\n',
  });
  const config = {
    extends: './tsconfig.json',
    compilerOptions: { incremental: false, tsBuildInfoFile: null },
  };
  writeFileSync(join(folder, 'tsconfig.check.json'), JSON.stringify(config));
  const tsc = resolve('node_modules/typescript7/bin/tsc');
  const done = await run(t, folder, tsc, '-p', 'tsconfig.check.json', '--pretty', 'false');
  t.not(done.code, 0);
  for (const path of Object.keys(faults)) t.true(done.stdout.includes(`${path}(`), path);
  t.false(done.stdout.includes('fine.ts'));
});

test('the check for unused code reports an unused export, file and dependency', async (t) => {
  const folder = project(t, {
    'cli/main.ts': "import { used } from '../core/thing.ts';\nused();\n",
    'cli/flotilla.mjs': '',
    'core/thing.ts':
      'export function used(): void {}\nexport function nobodyCallsThis(): void {}\nexport interface NobodyNamesThis { a: 1 }\n',
    'core/orphan.ts': 'export const orphan = 1;\n',
  });
  const done = await run(t, folder, resolve('node_modules/knip/bin/knip.js'), '--no-progress');
  t.not(done.code, 0, done.stderr);
  t.regex(done.stdout, /nobodyCallsThis/);
  t.regex(done.stdout, /NobodyNamesThis/);
  t.regex(done.stdout, /core\/orphan\.ts/);
  t.regex(done.stdout, /\baedes\b/);
  t.notRegex(done.stdout, /\bused\b/);
});

const lintFaults: readonly [rule: string, text: string][] = [
  ['no-restricted-globals', "export const say = (): void => console.log('x');"],
  ['no-restricted-exports', 'export default 1;'],
  ['@typescript-eslint/no-explicit-any', 'export const a = (value: any): unknown => value;'],
  [
    '@typescript-eslint/no-floating-promises',
    'export const f = (): void => { Promise.resolve(1); };',
  ],
  [
    '@typescript-eslint/no-misused-promises',
    'export const g = (): boolean => (Promise.resolve(1) ? true : false);',
  ],
  ['@typescript-eslint/no-non-null-assertion', 'export const h = (a?: string): string => a!;'],
  [
    '@typescript-eslint/consistent-type-imports',
    "import { Socket } from 'node:net';\nexport type S = Socket;",
  ],
  ['@typescript-eslint/explicit-module-boundary-types', 'export const i = (a: string) => a;'],
  ['@typescript-eslint/only-throw-error', "export const j = (): void => { throw 'text'; };"],
  [
    '@typescript-eslint/switch-exhaustiveness-check',
    "export const k = (a: 'x' | 'y'): number => { switch (a) { case 'x': return 1; } return 2; };",
  ],
];

test('lint reports what the style forbids', async (t) => {
  const eslint = new ESLint();
  // Under the name of a real file, because the rules that need types look it up in the project.
  const text = lintFaults.map(([, line]) => line).join('\n');
  const [result] = await eslint.lintText(`${text}\n`, { filePath: 'core/clock.ts' });
  const rules = new Set(result?.messages.map(({ ruleId }) => ruleId));
  for (const [rule] of lintFaults) t.true(rules.has(rule), rule);
  const ignored = await Promise.all(
    [...new Set(['core', 'certs', 'enroll', 'broker', 'device-sim', 'cli', 'tools'])].map(
      (folder) => eslint.isPathIgnored(`${folder}/some-file.ts`),
    ),
  );
  t.false(ignored.includes(true));
});
