/** `flotilla factory add --allow`: which lines a list may have, and what is reported. @module */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { flotilla, startUp, type CommandResult, type Up } from '../support/cli.ts';
import { factoryCa } from '../support/factory.ts';

let up: Up;
test.before(async () => {
  up = await startUp();
  writeFileSync(join(up.folder, 'maker.pem'), factoryCa().pem);
});
test.after.always(() => up.close());

/** Registers a factory with a list of this content. */
function add(name: string, content: string | Buffer, ...more: string[]): Promise<CommandResult> {
  const [cert, list] = [join(up.folder, 'maker.pem'), join(up.folder, `${name}.txt`)];
  writeFileSync(list, content);
  return flotilla([
    ...['factory', 'add', name, '--cert', cert, '--allow', list],
    ...['--state', up.ready.state, ...more],
  ]);
}

const page = z.object({
  factories: z.array(z.object({ name: z.string(), allowed: z.int().nullable() })),
});

/** How many devices of a factory may enroll; undefined without such a factory. */
const allowedOf = async (name: string): Promise<number | null | undefined> =>
  (await up.ask(page, 'factory', 'list')).factories.find((one) => one.name === name)?.allowed;

test('each form of a serial number is one entry, comments and blank lines are skipped, and repeated lines are counted', async (t) => {
  const forms = ['b1c2d3e4f5', 'B1C2D3E4F5', 'B1:C2:D3:E4:F5', '0x00B1C2D3E4F5'];
  const lines = [
    '# pallet 7',
    '',
    ...forms,
    'serial=00B1C2D3E4F5',
    '  1a  ',
    'name=unit-9',
    'pump-7',
    '   ',
  ];
  const done = await add('forms', `\uFEFF${lines.join('\r\n')}\r\n`);
  t.is(done.code, 0, done.stderr);
  t.regex(
    done.stdout,
    /^4 devices on the list may enroll \(2 by device id\); 4 lines repeat an earlier one$/m,
  );
  t.is(await allowedOf('forms'), 4);
  const again = await add('forms', 'b1c2d3e4f5\n', '--json');
  t.like(again.json(), { name: 'forms', allowed: 1, repeatedLines: 0 });
});

test('a list without an entry is reported', async (t) => {
  const done = await add('empty', '# nothing yet\n');
  t.is(done.code, 0, done.stderr);
  t.regex(done.stderr, /The list is empty: no device of this factory may enroll/);
});

for (const [title, line] of [
  ['a word', 'garbage'],
  ['a name without a digit', 'pump-north'],
  ['a fingerprint', 'a1'.repeat(32)],
  ['two numbers', '0a 0b'],
  ['a comment behind a number', '0a # pallet 7'],
  ['a label without a number', 'serial='],
  ['an address', 'ab:c'],
  ['a name that is no device id', 'name=a b'],
  ['a negative number', '-01'],
] as const) {
  test(`${title} is refused with its file and line, and nothing is registered`, async (t) => {
    const name = title.replaceAll(' ', '-');
    const done = await add(name, `# first\n0a\n\n${line}\n0b\n`);
    t.is(done.code, 2);
    t.regex(done.stderr, new RegExp(`${name}\\.txt, line 4: .*\\[allow-list-invalid\\]`));
    t.is(await allowedOf(name), undefined);
  });
}

test('a refused list leaves the earlier registration as it is', async (t) => {
  t.is((await add('kept', '0a\n0b\n')).code, 0);
  t.is((await add('kept', '0a\nnot-a-number\n')).code, 2);
  t.is(await allowedOf('kept'), 2);
});

for (const [name, content] of [
  ['der', Buffer.from('308201a0020100ff', 'hex')],
  ['utf-16', Buffer.from('\uFEFF0a\r\n0b\r\n', 'utf16le')],
  ['latin-1', Buffer.from('# f\u00FCr\n0a\n', 'latin1')],
] as const) {
  test(`a file that is not text in UTF-8 is reported as such (${name})`, async (t) => {
    const done = await add(name, content);
    t.is(done.code, 2);
    t.regex(done.stderr, new RegExp(`not a text file.*${name}\\.txt.*\\[allow-list-binary\\]`));
    t.notRegex(done.stderr, /body|openapi/);
  });
}

test('a list with more entries than the service accepts is refused before it is sent', async (t) => {
  const content = Array.from({ length: 200_001 }, (_, at) => at.toString(16)).join('\n');
  const done = await add('long', content);
  t.is(done.code, 2);
  t.regex(done.stderr, /at most 200000 entries.*\[allow-list-too-long\]/);
});
