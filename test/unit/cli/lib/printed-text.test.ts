/** Text of other people never controls the terminal of the person who reads it. @module */
import { globSync, readFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import test from 'ava';
import { Output, printError, table } from '../../../../cli/lib/output.ts';
import { FlotillaError } from '../../../../core/errors/flotilla-error.ts';

const hostile = 'a\u001B[2J\u009B31m\u0007\u202Ereversed\u2028\u007F\uFEFFz';
const harmful = /[^\n\t\P{C}]|[\p{Zl}\p{Zp}]/u;

function printed(json: boolean, env: Record<string, string>): { out: Output; text: () => string } {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const out = new Output(json, { stdout, stderr }, env);
  const read = (stream: PassThrough): string => String(stream.read() ?? '');
  return { out, text: () => read(stdout) + read(stderr) };
}

test('control characters, C1 controls and direction marks are visible in text, tables, messages and errors', (t) => {
  const { out, text } = printed(false, {});
  out.result(
    {},
    table([
      ['ID', 'GROUP'],
      ['pump', hostile],
    ]),
  );
  out.say(hostile);
  out.warn(hostile);
  const { stdout, stderr } = out.streams;
  printError(new FlotillaError('device-not-found', { detail: hostile }), true, { stdout, stderr });
  const shown = text();
  t.notRegex(shown, harmful);
  t.regex(shown, /a\\u001b\[2J\\u009b31m\\u0007\\u202ereversed\\u2028\\u007f\\ufeffz/);
});

test('JSON has escapes that mean the same characters', (t) => {
  const { out, text } = printed(true, {});
  out.result({ group: hostile }, '');
  const line = text();
  t.notRegex(line, harmful);
  t.deepEqual(JSON.parse(line), { group: hostile });
});

test('colors of the command remain, and are not counted as columns', (t) => {
  const { out, text } = printed(false, { FORCE_COLOR: '1' });
  out.result(
    {},
    table([
      [out.style.color('red', 'ab'), 'x'],
      ['abc', 'y'],
    ]),
  );
  t.is(text(), '\u001B[31mab\u001B[39m   x\nabc  y\n');
});

test('only the output module writes to the streams of a command', (t) => {
  const writers = globSync('cli/**/*.ts').filter((path) =>
    /streams\.(?:stdout|stderr)\.write|process\.(?:stdout|stderr)\.write/.test(
      readFileSync(path, 'utf8'),
    ),
  );
  t.deepEqual(writers.sort(), ['cli/lib/output.ts', 'cli/main.ts']);
});
