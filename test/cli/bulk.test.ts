/** `flotilla device bulk` and `flotilla token list` with a real service. @module */
import { writeFileSync } from 'node:fs';
import test from 'ava';
import { z } from 'zod';
import { importedSchema } from '../../core/protocol/enrollment-api.ts';
import { tokenPageSchema } from '../../core/protocol/operator-api.ts';
import { flotilla, startUp, type CommandResult, type Up } from '../support/cli.ts';

let up: Up;
test.before(async () => {
  up = await startUp();
  for (const id of ['bulk-1', 'bulk-2', 'other-1']) {
    await up.ask(z.unknown(), ...['device', 'enroll', '--id', id, '--out', `${up.folder}/${id}`]);
  }
});
test.after.always(() => up.close());

const bulk = (...args: string[]): Promise<CommandResult> =>
  flotilla(['device', 'bulk', '--json', '--state', up.ready.state, ...args]);

const statusOf = async (id: string): Promise<string> =>
  (await up.ask(z.object({ status: z.string() }), 'device', 'show', id)).status;

test.serial('a dry run counts, and changes nothing', async (t) => {
  const done = await bulk('--action', 'suspend', '--prefix', 'bulk-', '--dry-run');
  t.is(done.code, 0, done.stderr);
  t.like(done.json(), { dryRun: true, matched: 2, sample: ['bulk-1', 'bulk-2'], changed: 0 });
  t.is(await statusOf('bulk-1'), 'active');
});

test.serial('without a terminal and --yes, nothing is changed', async (t) => {
  const done = await bulk('--action', 'suspend', '--prefix', 'bulk-');
  t.is(done.code, 2);
  t.regex(done.stderr, /suspend 2 devices \(bulk-1, bulk-2\).*\[confirmation-missing\]/);
  t.is(await statusOf('bulk-1'), 'active');
});

test.serial('a filter is necessary, and one that matches nothing exits with 1', async (t) => {
  const all = await bulk('--action', 'delete', '--yes');
  t.is(all.code, 2);
  t.regex(all.stderr, /\[usage\]/);
  t.is((await bulk('--action', 'delete', '--group', 'nobody', '--yes')).code, 1);
});

test.serial('with --yes all devices that match are changed, and no others', async (t) => {
  const done = await bulk('--action', 'revoke', '--prefix', 'bulk-', '--status', 'active', '--yes');
  t.is(done.code, 0, done.stderr);
  t.like(done.json(), { matched: 2, changed: 2, failed: 0 });
  t.is(await statusOf('bulk-1'), 'revoked');
  t.is(await statusOf('bulk-2'), 'revoked');
  t.is(await statusOf('other-1'), 'active');
});

test.serial(
  'an import is sent in parts; its lines are those of the file, and a repetition creates nothing',
  async (t) => {
    const file = `${up.folder}/many.csv`;
    const rows = Array.from({ length: 11_000 }, (_none, at) => `imp-${at},hall-${at % 7}`);
    rows[10_500] = 'imp-10500,"a\u0007b"';
    rows[700] = 'not an id,hall-1';
    writeFileSync(file, ['id,group', ...rows].join('\n'));
    const run = (): Promise<CommandResult> =>
      flotilla(['device', 'import', file, '--json', '--state', up.ready.state]);
    const first = await run();
    t.is(first.code, 1, 'two rows are wrong');
    const { created, refused } = importedSchema.parse(first.json());
    t.is(created, 10_998);
    t.deepEqual(
      refused.map(({ line }) => line),
      [702, 10_502],
    );
    t.like((await run()).json(), { created: 0, updated: 10_998 });
  },
);

test.serial('token list shows the tokens by status, without their secrets', async (t) => {
  const { token } = await up.ask(
    z.object({ token: z.string() }),
    ...['token', 'create', '--device', 'listed'],
  );
  const page = await up.ask(tokenPageSchema, 'token', 'list', '--status', 'active');
  t.is(page.tokens[0]?.device, 'listed');
  t.false(JSON.stringify(page).includes(token));
  const text = await flotilla(['token', 'list', '--device', 'listed', '--state', up.ready.state]);
  t.regex(text.stdout, /listed .* active +0\/1/);
});
