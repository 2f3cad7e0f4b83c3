/** `flotilla audit tail` over the API: filters, and new lines as they come. @module */
import test from 'ava';
import { z } from 'zod';
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

test('--follow prints new lines until it is stopped', async (t) => {
  const tail = spawnNode(t, [
    ...[flotillaPath, 'audit', 'tail', '--follow', '--device', 'followed'],
    ...['--state', up.ready.state],
  ]);
  await up.ask(z.unknown(), 'token', 'create', '--device', 'followed');
  const line = await tail.line((text) => text.includes('followed'), 60_000);
  t.regex(line, /"action":"token-created"/);
  const done = await tail.stop('SIGTERM');
  t.is(done.code, 0, done.stderr);
});
