/** `flotilla audit tail` over the API: filters, and new lines as they come. @module */
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import test from 'ava';
import { z } from 'zod';
import { main } from '../../cli/main.ts';
import { spawnNode } from '../support/child.ts';
import { flotillaPath, startUp, type Up } from '../support/cli.ts';

let up: Up;
test.before(async () => {
  up = await startUp();
});
test.after.always(() => up.close());

const linesSchema = z.object({
  lines: z.array(z.object({ seq: z.int(), device: z.string().optional(), action: z.string() })),
});

test('lines are selected by device and time, oldest first', async (t) => {
  for (const id of ['seen', 'unseen']) {
    await up.ask(z.unknown(), 'device', 'enroll', '--id', id, '--out', `${up.folder}/${id}`);
  }
  const { lines } = await up.ask(linesSchema, 'audit', 'tail', '--device', 'seen', '--since', '1h');
  t.true(lines.length >= 2);
  t.true(lines.every(({ device }) => device === 'seen'));
  t.deepEqual(
    lines.map(({ seq }) => seq),
    lines.map(({ seq }) => seq).toSorted((a, b) => a - b),
  );
  const last = await up.ask(linesSchema, 'audit', 'tail', '--device', 'seen', '--lines', '1');
  t.is(last.lines.at(-1)?.seq, lines.at(-1)?.seq);
});

test('on a terminal the log, a device and the CA are shown for a person', async (t) => {
  await up.ask(z.unknown(), 'device', 'enroll', '--id', 'read', '--out', `${up.folder}/read`);
  await up.ask(z.unknown(), 'device', 'revoke', 'read');
  const state = ['--state', up.ready.state];
  const lines = await atTerminal(['audit', 'tail', '--device', 'read', ...state]);
  t.regex(lines, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}certificate-issued {4}read {2}by token:/m);
  t.notRegex(lines, /[{}]/);
  t.regex(
    await atTerminal(['device', 'show', 'read', ...state]),
    /^certificate {2}revoked, ends in 364 d \(\d{4}-\d\d-\d\d \d\d:\d\d UTC\)$/m,
  );
  t.regex(await atTerminal(['ca', 'status', ...state]), / {2}in 12 y \(\d{4}-/);
});

/** What a command prints on a terminal without color. */
async function atTerminal(args: readonly string[]): Promise<string> {
  const stdout = Object.assign(new PassThrough(), { isTTY: true });
  await main(args, {
    streams: { stdout, stderr: new PassThrough().resume() },
    env: { NO_COLOR: '1' },
    stopAsked: () => new Promise(() => undefined),
    onReload: () => () => undefined,
  });
  return text(stdout.end());
}

test('--follow prints new lines until it is stopped', async (t) => {
  const tail = spawnNode(t, [
    ...[flotillaPath, 'audit', 'tail', '--follow', '--device', 'followed'],
    ...['--state', up.ready.state],
  ]);
  await up.ask(z.unknown(), 'token', 'create', '--device', 'followed');
  const line = await tail.line((printed) => printed.includes('followed'), 60_000);
  t.regex(line, /"action":"token-created"/);
  const done = await tail.stop('SIGTERM');
  t.is(done.code, 0, done.stderr);
});
