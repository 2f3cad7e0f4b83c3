/** A restore on the machine of the broker, and the commands that apply again what happened after the backup. */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { reconciledSchema, reconcileSchema } from '../../core/protocol/reconcile-api.ts';
import { spawnNode, type Child } from '../support/child.ts';
import {
  anyPorts,
  flotilla,
  flotillaPath,
  type CommandResult,
  type Ready,
} from '../support/cli.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

function installation(t: ExecutionContext) {
  const folder = tempFolder(t);
  const state = join(folder, 'state');
  const run = (...args: string[]): Promise<CommandResult> =>
    flotilla([...args, '--state', state], { COLUMNS: '200' });
  const done = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await run(...args);
    t.is(code, 0, `${args.join(' ')}\n${stdout}${stderr}`);
    return stdout;
  };
  return {
    at: (name: string) => join(folder, name),
    run,
    done,
    start: async (): Promise<Child> => {
      const args = [flotillaPath, 'up', '--json', '--state', state, ...anyPorts];
      const child = spawnNode(t, args, { timeoutMs: 300_000 });
      const ready = JSON.parse(await child.line(() => true, 90_000)) as Ready;
      t.is(ready.event, 'ready');
      return child;
    },
    enroll: (id: string) => done('device', 'enroll', '--id', id, '--out', join(folder, id)),
    connects: async (id: string): Promise<boolean> =>
      (await run('pub', '--dir', join(folder, id), `devices/${id}/state`, 'on')).code === 0,
  };
}

test('after a restore on the same machine, nothing that was revoked comes back, and every difference is named and decided', async (t) => {
  const { at, run, done, start, enroll, connects } = installation(t);
  const first = await start();
  for (const id of ['keep-1', 'gone-2', 'hold-3']) await enroll(id);
  await done('backup', '--out', at('backup.tar.gz'));
  await done('device', 'revoke', 'gone-2', '--yes');
  await done('device', 'suspend', 'hold-3');
  await enroll('after-4');
  await done('service', 'create', '--name', 'later', '--out', at('later'));
  const service = ['service', 'create', '--role', 'broker', '--name', 'far'];
  await done(...service, '--out', at('far'), '--names', 'far.example');
  t.is((await first.stop()).code, 0);

  const restored = await run('restore', at('backup.tar.gz'), '--replace');
  t.is(restored.code, 0, restored.stderr);
  t.regex(restored.stdout, /the broker keeps what it knew/);
  const second = await start();
  const listed = await until('the broker is asked', async () => {
    const { code, stdout } = await run('reconcile');
    return code === 1 ? stdout : undefined;
  });
  t.regex(listed, /after-4 +adopt .*\n/);
  t.regex(listed, /far +manual .*\n/);
  t.regex(listed, /gone-2 +revoke .*\n/);
  t.regex(listed, /hold-3 +suspend .*\n/);
  t.regex(listed, /later +manual .*\n/);
  t.regex(listed, /^adopt: .*new tokens$/m);
  t.regex(listed, /^manual: flotilla service create/m);
  t.regex(listed, /^5 differences; --apply repeats them, --discard forgets them$/m);
  t.false(await connects('gone-2'), 'the broker has not forgotten it');

  for (const [args, reason] of [
    [['--adopt'], /belong to --apply/],
    [['--discard', '--no-adopt'], /belong to --apply/],
    [['--apply'], /choose --adopt or --no-adopt/],
    [['--apply', '--discard'], /choose --apply or --discard/],
    [['--apply', '--adopt'], /confirmation-missing/],
  ] as const) {
    const refused = await run('reconcile', ...args);
    t.is(refused.code, 2, args.join(' '));
    t.regex(refused.stderr, reason);
  }
  const applied = await done('reconcile', '--apply', '--no-adopt', '--yes');
  t.regex(
    applied,
    /after-4 +adopt .*\n/,
    'what was not applied is named, because it is named once',
  );
  t.regex(applied, /later +manual .*\n/);
  t.notRegex(applied, /gone-2/);
  t.regex(applied, /2 applied, 3 not applied; brokers with the state of the registry: broker/);
  await until('the broker has the state of the registry', async () =>
    (await done('reconcile')) === 'no broker knows more than the registry\n' ? true : undefined,
  );
  t.deepEqual(await Promise.all(['keep-1', 'gone-2', 'hold-3', 'after-4'].map(connects)), [
    true,
    false,
    false,
    false,
  ]);
  t.is((await second.stop()).code, 0);
});

test('a broker that is not connected is named, because what it knows is not included', async (t) => {
  const { at, run, done, start } = installation(t);
  const child = await start();
  const service = ['service', 'create', '--role', 'broker', '--name', 'far'];
  await done(...service, '--out', at('far'), '--names', 'far.example');
  t.is((await child.stop()).code, 0);
  const again = await start();
  const { brokersAbsent, total } = reconcileSchema.parse((await run('reconcile', '--json')).json());
  t.deepEqual([brokersAbsent, total], [['far'], 0]);
  const text = await done('reconcile');
  t.regex(text, /^no connected broker knows more than the registry$/m);
  t.regex(text, /^not connected, and not asked: far; try again when they are$/m);
  const nothing = await run('reconcile', '--discard', '--json');
  t.like(reconciledSchema.parse(nothing.json()), { applied: 0, skipped: 0, brokers: [] });
  t.is((await again.stop()).code, 0);
});
