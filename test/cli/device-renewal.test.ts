/** Renewal on the device, through the command line, against one `flotilla up`. */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { spawnNode } from '../support/child.ts';
import { flotilla, flotillaPath, startUp, type CommandResult, type Up } from '../support/cli.ts';
import { connectWith } from '../support/cli-client.ts';
import { slowProxy } from '../support/slow-proxy.ts';
import { until } from '../support/until.ts';

let up: Up;
test.before(async () => {
  up = await startUp();
});
test.after.always(() => up.close());

/** Enrolls a device. @returns its folder */
async function enroll(t: ExecutionContext, id: string): Promise<string> {
  const dir = join(up.folder, id);
  const args = ['device', 'enroll', '--id', id, '--out', dir, '--state', up.ready.state];
  const done = await flotilla(args);
  t.is(done.code, 0, done.stderr);
  return dir;
}

const renew = (dir: string, ...more: string[]): Promise<CommandResult> =>
  flotilla(['device', 'renew', '--dir', dir, '--json', ...more]);

async function assertUsable(t: ExecutionContext, id: string, folder: string): Promise<void> {
  t.true((await connectWith(t, { id, folder, address: up.ready.mqtts })).connected);
  const done = await renew(folder);
  t.is(done.code, 0, done.stderr);
}

test('a second renewal of a folder is refused while the first one is slow, and the device keeps its access', async (t) => {
  const dir = await enroll(t, 'racing');
  const proxy = await slowProxy(t, up.ready.https.url);
  const first = renew(dir, '--rekey', '--url', proxy.url);
  await proxy.held;
  const second = await renew(dir, '--rekey');
  proxy.release();
  const done = await first;
  await assertUsable(t, 'racing', dir);
  t.is(done.code, 0, done.stderr);
  t.is(second.code, 1);
  t.regex(second.stderr, /\[identity-in-use\]/);
});

test('a renewal that was killed after the new certificate had connected is completed by the next one', async (t) => {
  const dir = await enroll(t, 'killed');
  const proxy = await slowProxy(t, up.ready.https.url);
  const args = ['device', 'renew', '--dir', dir, '--rekey', '--url', proxy.url];
  const child = spawnNode(t, [flotillaPath, ...args]);
  await proxy.held;
  await child.stop('SIGKILL');
  proxy.release();
  const path = join(dir, '.renewal.json');
  const pending = JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>;
  t.is(statSync(path).mode & 0o777, 0o600);
  // The broker sees the new certificate, which ends the validity of the one in the folder.
  const copy = join(up.folder, 'killed-new');
  mkdirSync(copy);
  for (const name of ['key', 'chain', 'ca']) {
    writeFileSync(join(copy, `${name}.pem`), pending[name] ?? '', { mode: 0o600 });
  }
  const client = await connectWith(t, { id: 'killed', folder: copy, address: up.ready.mqtts });
  await client.endAsync();
  await until('the old certificate is retired', async () => {
    const shown = await flotilla(['device', 'show', 'killed', '--state', up.ready.state, '--json']);
    return shown.stdout.includes('"retired"');
  });
  const done = await renew(dir);
  t.is(done.code, 0, done.stderr);
  t.is(readFileSync(join(dir, 'cert.pem'), 'utf8'), pending['cert']);
  t.false(existsSync(path));
  await assertUsable(t, 'killed', dir);
});
