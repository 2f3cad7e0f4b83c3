/** The tests' own tools, held to what they promise. @module */
import { existsSync, statSync } from 'node:fs';
import test from 'ava';
import { runChild, spawnNode } from '../../support/child.ts';
import { debianTool } from '../../support/debian-tool.ts';
import { fakeClock, fakeStartMs } from '../../support/fake-clock.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { until } from '../../support/until.ts';

test('the fake clock fires timers in order of time, then in the order in which they were set', (t) => {
  const clock = fakeClock();
  const fired: string[] = [];
  clock.after(20, () => fired.push(`late ${clock.now() - fakeStartMs}`));
  clock.after(10, () => {
    fired.push('early');
    clock.after(5, () => fired.push(`nested ${clock.monotonicMs()}`));
  });
  clock.after(10, () => fired.push('early too'));
  const cancel = clock.after(15, () => fired.push('never'));
  cancel();
  clock.advance(9);
  t.deepEqual(fired, []);
  clock.advance(11);
  t.deepEqual(fired, ['early', 'early too', 'nested 15', 'late 20']);
  t.is(clock.pending, 0);
  clock.jump(-1000);
  t.is(clock.now(), fakeStartMs - 980);
  t.is(clock.monotonicMs(), 20);
  t.throws(() => clock.advance(-1), { instanceOf: RangeError });
});

test('a temporary folder is private and removed after the test', async (t) => {
  const teardowns: (() => unknown)[] = [];
  const path = tempFolder({ teardown: (call) => void teardowns.push(call) });
  t.is(statSync(path).mode & 0o777, 0o700);
  await teardowns[0]!();
  t.false(existsSync(path));
});

test('a child process is read line by line and killed after its test', async (t) => {
  const teardowns: (() => unknown)[] = [];
  const child = spawnNode(
    { teardown: (call) => void teardowns.push(call) },
    [
      '-e',
      'console.log("one"); console.error("two"); process.stdin.on("data", (d) => console.log("in " + d)); setInterval(() => {}, 1000)',
    ],
    { input: 'hello' },
  );
  t.is(await child.line((line) => line.startsWith('in ')), 'in hello');
  t.is(await child.line((line) => line === 'one'), 'one');
  t.is(await child.errorLine((line) => line === 'two'), 'two');
  await t.throwsAsync(
    child.line((line) => line === 'three', 10),
    { message: /no such line/ },
  );
  await teardowns[0]!();
  t.is((await child.finished).signal, 'SIGKILL');
  await t.throwsAsync(
    child.line((line) => line === 'three'),
    { message: /ended without/ },
  );
});

test('a program that ends returns its exit code and output', async (t) => {
  const done = await runChild(
    t,
    process.execPath,
    ['-e', 'console.log(process.env.HELLO); process.exit(3)'],
    { env: { HELLO: 'there' } },
  );
  t.deepEqual(done, { code: 3, signal: undefined, stdout: 'there\n', stderr: '' });
  await t.throwsAsync(runChild(t, '/nonexistent/program', []), { message: /ENOENT/ });
});

test('a missing tool skips the test, or fails it where skipping is not allowed', (t) => {
  const said: string[] = [];
  const context = {
    title: 'here',
    log: (...words: unknown[]) => void said.push(words.join(' ')),
    pass: () => true,
  } as unknown as Parameters<typeof debianTool>[0];
  const before = process.env['FLOTILLA_TEST_NO_SKIP'];
  t.teardown(() => {
    if (before !== undefined) process.env['FLOTILLA_TEST_NO_SKIP'] = before;
    else delete process.env['FLOTILLA_TEST_NO_SKIP'];
  });
  delete process.env['FLOTILLA_TEST_NO_SKIP'];
  t.is(debianTool(context, 'no-such-tool'), undefined);
  t.regex(said.join('\n'), /SKIPPED here: no-such-tool is missing/);
  process.env['FLOTILLA_TEST_NO_SKIP'] = '1';
  t.throws(() => debianTool(context, 'no-such-tool'), { message: /nothing is skipped/ });
  t.regex(debianTool(t, 'sh') ?? '', /\/sh$/);
});

test('waiting returns the result, or reports what did not happen', async (t) => {
  let asked = 0;
  t.is(await until('three', () => (++asked === 3 ? asked : undefined)), 3);
  await t.throwsAsync(
    until('the impossible', () => false, 10),
    { message: /the impossible/ },
  );
});
