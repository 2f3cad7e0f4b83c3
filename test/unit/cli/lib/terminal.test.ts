import { PassThrough } from 'node:stream';
import test from 'ava';
import { table } from '../../../../cli/lib/output.ts';
import { layOut } from '../../../../cli/lib/progress-view.ts';
import { quickStartFooter } from '../../../../cli/lib/quick-start.ts';
import { printedText, relativeTime, styleOf } from '../../../../cli/lib/style.ts';
import { causeText, withCatalogueCode } from '../../../../cli/lib/system-error.ts';
import { TerminalLog } from '../../../../cli/lib/terminal-log.ts';

const read = (stream: PassThrough): string | null => stream.read() as string | null;
const terminal = Object.assign(new PassThrough(), { isTTY: true });
const file = new PassThrough();
const red = '\u001B[31mx\u001B[39m';

test('color is for terminals, NO_COLOR turns it off, FORCE_COLOR turns it on', (t) => {
  const shown = (...[stream, env]: Parameters<typeof styleOf>): string =>
    printedText(styleOf(stream, env).color('red', 'x'));
  t.is(shown(terminal, {}), red);
  t.is(shown(file, {}), 'x');
  t.is(shown(terminal, { NO_COLOR: '1' }), 'x');
  t.is(shown(terminal, { NO_COLOR: '' }), red);
  t.is(shown(terminal, { TERM: 'dumb' }), 'x');
  t.is(shown(file, { FORCE_COLOR: '1' }), red);
  t.is(shown(file, { FORCE_COLOR: '0' }), 'x');
  t.is(shown(file, { FORCE_COLOR: '1', NO_COLOR: '1' }), 'x');
});

test('a table is aligned by what is seen, not by its colors', (t) => {
  const text = table([
    ['A', 'B'],
    [styleOf(terminal, {}).color('red', 'x'), 'y'],
    ['xxx', 'z'],
  ]);
  t.is(printedText(text), `A    B\n${red}    y\nxxx  z`);
});

test('moments are relative, in one unit', (t) => {
  const day = 86_400_000;
  t.is(relativeTime(364.9 * day, 0), 'in 364 d');
  t.is(relativeTime(4382 * day, 0), 'in 12 y');
  t.is(relativeTime(0, 3 * 60_000), '3 min ago');
  t.is(relativeTime(0, 5 * 3_600_000), '5 h ago');
  t.is(relativeTime(400, 0), 'now');
});

const ready = {
  mqtts: { host: '127.0.0.1', port: 8883 },
  wss: { host: '127.0.0.1', port: 8884 },
  https: { url: 'https://127.0.0.1:8443' },
  metrics: { url: 'http://127.0.0.1:9464' },
  ca: { file: '.flotilla/ca/root.pem', fingerprint: 'sha256:00' },
  state: '.flotilla',
};

test('at 80x24 the live screen and the commands to paste fit together', (t) => {
  let asked: number[] = [];
  const screen = {
    render(columns: number, rows: number): string {
      asked = [columns, rows];
      return Array.from({ length: Math.min(rows, 15) }, (_, row) => `row ${row}`).join('\n');
    },
  };
  const footer = quickStartFooter(ready, 'npx flotilla');
  const lines = layOut(screen, footer, 80, 24);
  t.is(lines.length, 24);
  t.true(lines.every((line) => line.length <= 80));
  t.is(asked[0], 80);
  t.true((asked[1] ?? 0) >= 15, 'the whole of the live screen');
  t.deepEqual(lines.slice(-5), footer.slice(-5));
  t.true(
    footer.every((line) => line.length <= 80),
    footer.join('\n'),
  );
});

test('a terminal that does not know its size counts as one of 80 columns and 24 rows', (t) => {
  const screen = { render: (columns: number, rows: number): string => `${columns} of ${rows}` };
  t.deepEqual(layOut(screen, ['a'.repeat(100)], 0, 0), layOut(screen, ['a'.repeat(100)], 80, 24));
});

test('a small terminal has the live screen alone', (t) => {
  const screen = { render: (_columns: number, rows: number): string => `of ${rows}` };
  t.deepEqual(layOut(screen, ['a', 'b'], 80, 11), ['of 10']);
  t.deepEqual(layOut(screen, [], 80, 24), ['of 23']);
});

test('log lines wait while the live screen is open, the newest is shown', (t) => {
  const out = new PassThrough();
  const log = new TerminalLog(out);
  const before = {
    level: 'warn',
    time: '2026-11-26T14:31:07.123Z',
    service: 'broker',
    device: 'a',
  };
  log.write(
    `${JSON.stringify({ ...before, msg: 'refused\u001B[2J', err: { message: 'No.', code: 'x' } })}\n`,
  );
  t.is(
    String(out.read()),
    '14:31:07 warn  broker: refused\\u001b[2J device=a No. [x]\n',
    'a line for a person, without the controls of others',
  );
  log.hold();
  t.is(log.newest, undefined);
  for (let line = 0; line < 210; line++)
    log.write(`{"level":"warn","msg":"n${line}","code":"c"}\n`);
  t.is(log.newest, 'warn: n209: c');
  t.is(out.read(), null);
  log.release();
  log.release();
  let text = '';
  out.setEncoding('utf8');
  for (let part = read(out); part !== null; part = read(out)) text += part;
  t.regex(text, /^\(10 earlier log lines not shown\)\n warn {2}n10 code=c\n/);
  t.is(text.split('\n').length, 202);
});

test('an error of the operating system has a code and plain words, with or without a path', (t) => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), {
    code: 'ENOSPC',
  });
  t.like(withCatalogueCode(full), { code: 'file-inaccessible', detail: 'the disk is full' });
  const denied = Object.assign(new Error('EACCES'), { code: 'EACCES', path: '/x' });
  t.like(withCatalogueCode(denied), { detail: '/x: permission denied' });
  t.is(causeText(full), 'the disk is full');
});
