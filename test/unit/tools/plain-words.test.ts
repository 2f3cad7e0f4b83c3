/**
 * The word check finds refused words in comments, strings, names and documents, accepts no more and
 * no fewer than its list says, and does not pass when it has looked at too few files.
 *
 * @module
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { spawnNode, type Finished } from '../../support/child.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const allowListPath = 'tools/plain-words.allow.json';

/** A project of `plain` clean files, with `files` and an allow-list in it. */
function project(
  t: ExecutionContext,
  files: Readonly<Record<string, string>>,
  allowed: Readonly<Record<string, number>> = {},
  plain = 100,
): string {
  const folder = tempFolder(t);
  const all: Record<string, string> = { ...files, [allowListPath]: JSON.stringify(allowed) };
  for (let at = 0; at < plain; at++) all[`core/m${at}.ts`] = '// A plain comment.\n';
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

function check(t: ExecutionContext, folder: string, ...args: string[]): Promise<Finished> {
  return spawnNode(t, [resolve('tools/plain-words.ts'), ...args], { cwd: folder }).finished;
}

test('text without refused words passes, and the number of files is printed', async (t) => {
  const clean = [
    '// A stand-alone tool that understands an outstanding request, forever.',
    '// `+` stands for one level. Indoors, a storyteller and a newcomer.',
    'export const standard = 1;',
  ].join('\n');
  const done = await check(t, project(t, { 'core/clean.ts': clean }));
  t.is(done.code, 0, done.stderr);
  t.regex(done.stdout, /^plain words: 101 files, 0 refused words in 0 of them, 0 faults$/m);
});

const planted: readonly [what: string, path: string, text: string, found: RegExp][] = [
  ['a comment', 'core/a.ts', '// The client is told.\n', /^core\/a\.ts:1: "told"/m],
  ['a string', 'cli/a.ts', "\nexport const help = 'if you wish';\n", /^cli\/a\.ts:2: "wish"/m],
  ['a name', 'core/a.ts', 'export class WebSocketDoor {}\n', /^core\/a\.ts:1: "Door"/m],
  ['a name with underscores', 'core/a.ts', 'export const A_CREW = 1;\n', /:1: "CREW"/],
  [
    'a document',
    'docs/a.md',
    '# A\n\nThe value stands in the file.\n',
    /^docs\/a\.md:3: "stands"/m,
  ],
  [
    'two lines',
    'core/a.ts',
    '/**\n * It waits for\n * ever.\n */\n',
    /^core\/a\.ts:2: "for ever"/m,
  ],
  ['a gap', 'core/a.ts', '// Gives the buffer back.\n', /:1: "Gives the buffer back"/],
];
for (const [what, path, text, found] of planted) {
  test(`a refused word in ${what} is found`, async (t) => {
    const done = await check(t, project(t, { [path]: text }));
    t.is(done.code, 1);
    t.regex(done.stderr, found);
    t.true(done.stderr.includes(`${path}: 1 refused words, 0 allowed`));
  });
}

test('the allow-list accepts its number of words, and not one more', async (t) => {
  const files = { 'broker/a.ts': '// told\n// anew\n' };
  const exact = await check(t, project(t, files, { 'broker/a.ts': 2 }));
  t.is(exact.code, 0, exact.stderr);
  const tooLow = await check(t, project(t, files, { 'broker/a.ts': 1 }));
  t.is(tooLow.code, 1);
  t.true(tooLow.stderr.includes('broker/a.ts: 2 refused words, 1 allowed'));
});

test('a list that allows too much fails with the command that lowers it, which never raises', async (t) => {
  const folder = project(
    t,
    { 'broker/a.ts': '// told\n', 'broker/b.ts': '// anew\n// anew\n' },
    { 'broker/a.ts': 3, 'broker/b.ts': 1, 'broker/gone.ts': 1 },
  );
  const before = await check(t, folder);
  t.is(before.code, 1);
  t.true(before.stderr.includes('broker/a.ts: 1 refused words, fewer than the 3 allowed'));
  t.true(before.stderr.includes('broker/gone.ts: 0 refused words, fewer than the 1 allowed'));
  t.true(before.stderr.includes('node tools/plain-words.ts --update'));
  const updated = await check(t, folder, '--update');
  t.is(updated.code, 1, 'the file with too many words still fails');
  t.deepEqual(JSON.parse(readFileSync(join(folder, allowListPath), 'utf8')), {
    'broker/a.ts': 1,
    'broker/b.ts': 1,
  });
});

test('documents and texts for users cannot be on the allow-list', async (t) => {
  for (const path of [
    'README.md',
    'docs/a.md',
    'examples/a.yaml',
    'core/errors/a.ts',
    'cli/a.ts',
  ]) {
    const folder = project(t, { [path]: '# told\n' }, { [path]: 1 });
    const done = await check(t, folder);
    t.is(done.code, 1, path);
    t.true(done.stderr.includes(`${path}: cannot be on tools/plain-words.allow.json`), path);
  }
});

test('a run over fewer than 100 files fails', async (t) => {
  const done = await check(t, project(t, {}, {}, 99));
  t.is(done.code, 1);
  t.regex(done.stderr, /looked at fewer than 100 files/);
});
