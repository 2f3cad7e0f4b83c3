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

/** The titles in the sources of the tests: a template stands for all that it can become. */
function titles(): RegExp[] {
  const folders = ['test/unit/session', 'test/unit/bus', 'test/integration'];
  const sources = folders.flatMap((folder) =>
    readdirSync(folder)
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

for (const [name, section, least] of [
  ['5.0', five, 230],
  ['3.1.1', old, 130],
] as const) {
  test(`every statement of MQTT ${name} is held by tests that exist, or says why not`, (t) => {
    const list = rows(section);
    t.true(list.length >= least, `${list.length} statements`);
    t.is(new Set(list.map(({ statement }) => statement)).size, list.length);
    for (const { statement, held } of list) {
      t.true(held.length > 0, statement);
      for (const one of held) {
        if (one.startsWith('— ')) continue;
        const title = /^`(.+)`$/.exec(one)?.[1] ?? '';
        t.true(
          known.some((pattern) => pattern.test(title)),
          `${statement}: no test "${title}"`,
        );
      }
    }
  });
}

test('what the hostile vectors are called in the document is what they are called in the tests', (t) => {
  const source = readFileSync('test/unit/session/hostile.test.ts', 'utf8').replaceAll(/\s+/g, ' ');
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
