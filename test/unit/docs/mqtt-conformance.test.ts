/** docs/mqtt-conformance.md names no test that does not exist, and leaves no statement without one. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';

interface Row {
  readonly statement: string;
  readonly held: readonly string[];
}

function rows(section: string): Row[] {
  return section
    .split('\n')
    .filter((line) => line.startsWith('| MQTT-'))
    .map((line) => {
      const [, statement = '', , held = ''] = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
      return { statement, held: held.replaceAll('\\|', '|').split('<br>') };
    });
}

/** The titles in the sources of the tests; a template matches all titles that it can produce. */
function titles(): RegExp[] {
  const folders = ['test/unit/broker', 'test/integration'];
  const sources = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => readFileSync(join(folder, name), 'utf8')),
  );
  return sources.flatMap((source) =>
    [
      ...source.matchAll(/\btest(?:\.serial)?\(\s*(?:'((?:[^'\\]|\\.)+)'|`((?:[^`\\]|\\.)+)`)/g),
    ].map(([, literal, template]) => {
      const text = literal ?? template ?? '';
      const parts = text.split(/\$\{(?:[^{}]|\{[^{}]*\}|`[^`]*`)*\}/);
      return new RegExp(`^${parts.map((part) => RegExp.escape(part)).join('.*')}$`);
    }),
  );
}

const document = readFileSync('docs/mqtt-conformance.md', 'utf8');
const [, five = '', old = ''] = document.split(/^## MQTT .*$/m);
const known = titles();

/**
 * The numbers of appendix B of each specification: section, last number (or first-last). Statements
 * about the client only, by their title (7.1.2), are omitted.
 */
const numbers = {
  '5.0': `1.5.4:3 1.5.5:1 1.5.7:1 2.1.3:1 2.2.1:2-6 2.2.2:1 3.1.0:2 3.1.2:30 3.1.3:12 3.1.4:6 3.2.0:2
    3.2.2:22 3.3.1:13 3.3.2:20 3.3.4:10 3.4.2:3 3.5.2:3 3.6.1:1 3.6.2:3 3.7.2:3 3.8.1:1 3.8.3:5 3.8.4:8
    3.9.2:2 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.11.2:2 3.11.3:2 3.12.4:1 3.14.0:1 3.14.1:1 3.14.2:4
    3.14.4:3 3.15.1:1 3.15.2:2 4.1.0:2 4.2.0:1 4.3.1:1 4.3.2:5 4.3.3:13 4.4.0:2 4.5.0:2 4.6.0:6 4.7.0:1
    4.7.1:2 4.7.2:1 4.7.3:4 4.8.2:6 4.9.0:3 4.12.0:7 4.12.1:2 4.13.1:1 4.13.2:1 6.0.0:4 7.0.0:2 7.1.1:1`,
  '3.1.1': `1.5.3:3 2.2.2:2 2.3.1:7 3.1.0:2 3.1.2:24 3.1.3:11 3.1.4:5 3.2.0:1 3.2.2:6 3.3.1:12 3.3.2:3
    3.3.4:1 3.3.5:2 3.6.1:1 3.8.1:1 3.8.3:4 3.8.4:6 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.12.4:1 3.14.1:1
    3.14.4:3 4.1.0:2 4.3.1:1 4.3.2:2 4.3.3:2 4.4.0:1 4.5.0:2 4.6.0:6 4.7.1:3 4.7.2:1 4.7.3:4 4.8.0:2
    6.0.0:4 7.0.0:2 7.1.1:1`,
};

function statementsOf(text: string): string[] {
  return text.split(/\s+/).flatMap((part) => {
    const [section = '', range = ''] = part.split(':');
    const [from, to] = range.includes('-') ? range.split('-').map(Number) : [1, Number(range)];
    return Array.from({ length: to! - from! + 1 }, (_, n) => `MQTT-${section}-${from! + n}`);
  });
}

/** What is wrong with a table, in words. */
function faultsOf(list: readonly Row[], statements: readonly string[]): string[] {
  const there = list.map(({ statement }) => statement);
  const missing = statements
    .filter((one) => !there.includes(one))
    .map((one) => `${one} is missing`);
  const extra = there
    .filter((one, index) => !statements.includes(one) || there.indexOf(one) !== index)
    .map((one) => `${one} is unknown or a duplicate`);
  const unheld = list.flatMap(({ statement, held }) =>
    held
      .filter((one) => !/^— \w/.test(one))
      .map((one) => /^`(.+)`$/.exec(one)?.[1] ?? '')
      .filter((title) => !known.some((pattern) => pattern.test(title)))
      .map((title) => `${statement}: no test "${title}"`),
  );
  return [...missing, ...extra, ...unheld];
}

for (const [name, section] of [
  ['5.0', five],
  ['3.1.1', old],
] as const) {
  const statements = statementsOf(numbers[name]);

  test(`every statement of MQTT ${name} names tests that exist, or a reason why there is none`, (t) => {
    t.deepEqual(faultsOf(rows(section), statements), []);
  });

  test(`a statement of MQTT ${name} that is missing, invented, or without a test is reported`, (t) => {
    const lines = section.split('\n');
    const planted = (change: (line: string) => string): string[] =>
      faultsOf(
        rows(
          lines
            .map((line) => (line.startsWith('| MQTT-3.12.4-1 ') ? change(line) : line))
            .join('\n'),
        ),
        statements,
      );
    t.deepEqual(
      planted(() => ''),
      ['MQTT-3.12.4-1 is missing'],
    );
    t.deepEqual(
      planted((line) => `${line}\n${line}`),
      ['MQTT-3.12.4-1 is unknown or a duplicate'],
    );
    t.deepEqual(
      planted((line) => line.replace(/`.+`/, '`no such test`')),
      ['MQTT-3.12.4-1: no test "no such test"'],
    );
    t.deepEqual(
      planted((line) => line.replace(/`.+`/, '')),
      ['MQTT-3.12.4-1: no test ""'],
    );
  });
}

test('the document names the hostile vectors as the tests do', (t) => {
  const source = readFileSync('test/unit/broker/session/hostile.test.ts', 'utf8').replaceAll(
    /\s+/g,
    ' ',
  );
  for (const [, what = '', code] of document.matchAll(
    /`level [45]: (.+?) ends the connection(?: with 0x(..))?`/g,
  )) {
    const vector = new RegExp(
      `what: '${RegExp.escape(what)}', bytes: [^}]*reason: ${code === undefined ? '' : `0x${code}`}`,
    );
    t.regex(source, vector, what);
  }
  for (const [, what = ''] of document.matchAll(/`CONNECT with (.+?) is refused`/g)) {
    t.true(source.includes(`'${what}'`), what);
  }
});
