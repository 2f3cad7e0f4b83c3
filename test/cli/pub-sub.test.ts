import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { runChild, spawnNode, type Finished } from '../support/child.ts';
import { flotilla, flotillaPath, startUp, type Up } from '../support/cli.ts';

let up: Up;
const state = (): string[] => ['--state', up.ready.state];
const folder = (name: string): string => join(up.folder, name);

test.before(async () => {
  up = await startUp();
  for (const id of ['one', 'two', 'three', 'gone']) {
    await up.ask(z.unknown(), 'device', 'enroll', '--id', id, '--out', folder(id));
  }
  for (const name of ['backend', 'watcher']) {
    await up.ask(
      z.unknown(),
      ...['service', 'create', '--name', name, '--role', 'service', '--out', folder(name)],
    );
  }
});
test.after.always(() => up.close());

const pub = (
  dir: string,
  ...args: string[]
): Promise<Finished | { code: number; stdout: string; stderr: string }> =>
  flotilla(['pub', ...state(), '--dir', folder(dir), ...args]);

test('sub prints what pub publishes, and stops after so many messages', async (t) => {
  const sub = spawnNode(t, [
    ...[flotillaPath, 'sub', ...state(), '--dir', folder('backend'), 'devices/one/#'],
    ...['--count', '2', '--json'],
  ]);
  await sub.errorLine((line) => line.startsWith('subscribed'));
  const sent = await pub('one', 'devices/one/text', 'grüße', '--json');
  t.is(sent.code, 0, sent.stderr);
  t.deepEqual(JSON.parse(sent.stdout), {
    topic: 'devices/one/text',
    bytes: 7,
    qos: 1,
    retain: false,
  });
  const fromStdin = await runChild(
    t,
    process.execPath,
    [flotillaPath, 'pub', ...state(), '--dir', folder('one'), 'devices/one/bytes', '--qos', '2'],
    { input: Buffer.from([0xff, 0x00, 0x1b]) },
  );
  t.is(fromStdin.code, 0, fromStdin.stderr);
  const done = await sub.finished;
  t.is(done.code, 0, done.stderr);
  t.deepEqual(
    done.stdout
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line)),
    [
      { topic: 'devices/one/text', payload: 'grüße', encoding: 'utf8', qos: 1, retain: false },
      { topic: 'devices/one/bytes', payload: '/wAb', encoding: 'base64', qos: 1, retain: false },
    ],
  );
});

test('a payload cannot write to the terminal', async (t) => {
  const sub = spawnNode(t, [
    ...[flotillaPath, 'sub', ...state(), '--dir', folder('watcher'), 'devices/two/#'],
    ...['--count', '1'],
  ]);
  await sub.errorLine((line) => line.startsWith('subscribed'));
  t.is((await pub('two', 'devices/two/x', '\u001B[2Jgone')).code, 0);
  const done = await sub.finished;
  t.false(done.stdout.includes('\u001B'));
  t.regex(done.stdout, /^devices\/two\/x \\u001b\[2Jgone$/m);
});

test('what the policy does not allow is reported with its code', async (t) => {
  const published = await pub('two', 'devices/one/x', 'x');
  t.is(published.code, 1);
  t.regex(published.stderr, /devices\/one\/x.*\[publish-refused\]/);
  const subscribed = await flotilla(['sub', ...state(), '--dir', folder('two'), 'devices/one/#']);
  t.is(subscribed.code, 1);
  t.regex(subscribed.stderr, /devices\/one\/#.*\[subscribe-refused\]/);
});

test('a revoked device, a broker that is not there and a folder without identity have codes', async (t) => {
  await up.ask(z.unknown(), 'device', 'revoke', 'gone');
  const revoked = await pub('gone', 'devices/gone/x', 'x');
  t.is(revoked.code, 1);
  t.regex(revoked.stderr, /\[broker-refused\]/);
  const absent = await pub('one', 'devices/one/x', 'x', '--mqtts', '127.0.0.1:1');
  t.is(absent.code, 1);
  t.regex(absent.stderr, /\[broker-unreachable\]/);
  mkdirSync(folder('empty'));
  const empty = await pub('empty', 'x', 'x');
  t.is(empty.code, 2);
  t.regex(empty.stderr, /\[identity-unreadable\]/);
  const elsewhere = ['pub', '--state', folder('empty'), '--dir', folder('three')];
  const known = await flotilla([...elsewhere, 'devices/three/x', 'x']);
  t.is(known.code, 0, 'the folder of the device names the broker');
  rmSync(join(folder('three'), 'enrollment.json'));
  const nobody = await flotilla([...elsewhere, 'x', 'x']);
  t.is(nobody.code, 1);
  t.regex(nobody.stderr, /\[broker-not-running\]/);
});
