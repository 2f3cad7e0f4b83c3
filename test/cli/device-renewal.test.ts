/** Renewal on the device, through the command line, against one `flotilla up`. */
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { renewIfDue } from '../../cli/lib/renewal-check.ts';
import { spawnNode } from '../support/child.ts';
import { flotilla, flotillaPath, startUp, type CommandResult, type Up } from '../support/cli.ts';
import { connectWith } from '../support/cli-client.ts';
import { slowProxy, type SlowProxy } from '../support/slow-proxy.ts';
import { until } from '../support/until.ts';

/** The documented output of `device renew --if-due` and of each line of `device agent`. */
const checkSchema = z.strictObject({
  device: z.string(),
  renewed: z.boolean(),
  notAfter: z.iso.datetime(),
  nextCheckAt: z.iso.datetime(),
});
const dueSchema = checkSchema.extend({ renewed: z.literal(false) });

/** The file of a renewal that is not complete. */
type Pending = Readonly<Record<'key' | 'cert' | 'chain' | 'ca', string>>;

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

/** A proxy before the broker that holds back the connection with the new certificate. */
async function slowBroker(t: ExecutionContext): Promise<SlowProxy & { readonly address: string }> {
  const { host, port } = up.ready.mqtts;
  const proxy = await slowProxy(t, `https://${host}:${port}`, 1);
  return { ...proxy, address: new URL(proxy.url).host };
}

async function assertUsable(t: ExecutionContext, id: string, folder: string): Promise<void> {
  t.true((await connectWith(t, { id, folder, address: up.ready.mqtts })).connected);
  const done = await renew(folder);
  t.is(done.code, 0, done.stderr);
}

test('a second renewal of a folder is refused while the first one is slow, and the device keeps its access', async (t) => {
  const dir = await enroll(t, 'racing');
  const proxy = await slowBroker(t);
  const first = renew(dir, '--rekey', '--mqtts', proxy.address);
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
  const proxy = await slowBroker(t);
  const args = ['device', 'renew', '--dir', dir, '--rekey', '--mqtts', proxy.address];
  const child = spawnNode(t, [flotillaPath, ...args]);
  await proxy.held;
  await child.stop('SIGKILL');
  proxy.release();
  const path = join(dir, '.renewal.json');
  const pending = JSON.parse(readFileSync(path, 'utf8')) as Pending;
  t.is(statSync(path).mode & 0o777, 0o600);
  // The broker sees the new certificate, which ends the validity of the one in the folder.
  const copy = join(up.folder, 'killed-new');
  mkdirSync(copy);
  for (const name of ['key', 'chain', 'ca'] as const) {
    writeFileSync(join(copy, `${name}.pem`), pending[name], { mode: 0o600 });
  }
  const client = await connectWith(t, { id: 'killed', folder: copy, address: up.ready.mqtts });
  await client.endAsync();
  await until('the old certificate is retired', async () => {
    const shown = await flotilla(['device', 'show', 'killed', '--state', up.ready.state, '--json']);
    return shown.stdout.includes('"retired"');
  });
  const done = await renew(dir);
  t.is(done.code, 0, done.stderr);
  t.is(readFileSync(join(dir, 'cert.pem'), 'utf8'), pending.cert);
  t.false(existsSync(path));
  await assertUsable(t, 'killed', dir);
});

test('renew --if-due renews nothing before two thirds of the lifetime, and reports when it will', async (t) => {
  const dir = await enroll(t, 'fresh');
  const before = readFileSync(join(dir, 'cert.pem'), 'utf8');
  const hook = join(up.folder, 'no-such-program');
  const done = await renew(dir, '--if-due', '--hook', hook);
  t.is(done.code, 0, done.stderr);
  const { notAfter, nextCheckAt } = dueSchema.parse(done.json());
  t.is(readFileSync(join(dir, 'cert.pem'), 'utf8'), before);
  const { validFromDate, validToDate } = new X509Certificate(before);
  t.is(Date.parse(notAfter), validToDate.getTime());
  const lifetimeMs = validToDate.getTime() - validFromDate.getTime();
  const part = (Date.parse(nextCheckAt) - validFromDate.getTime()) / lifetimeMs;
  t.true(part > 0.61 && part < 0.72, String(part));

  const later = await renewIfDue({ dir, keyType: 'p256' }, Date.parse(nextCheckAt));
  t.true(later.renewed);
  t.not(readFileSync(join(dir, 'cert.pem'), 'utf8'), before);
  t.true(later.nextCheckAtMs > Date.now());
  await assertUsable(t, 'fresh', dir);
});

test('renew --if-due fails with exit code 2 for a folder without an identity, and with 1 when the hook fails, which runs again at the next check', async (t) => {
  const done = await renew(join(up.folder, 'nothing'), '--if-due');
  t.is(done.code, 2);
  t.regex(done.stderr, /\[identity-unreadable\]/);
  const dir = await enroll(t, 'hooked');
  const failed = await renew(dir, '--hook', join(up.folder, 'no-such-program'));
  t.is(failed.code, 1);
  t.regex(failed.stderr, /\[renewal-hook-failed\]/);
  const [hook, record] = [join(up.folder, 'again.sh'), join(up.folder, 'again-record')];
  writeFileSync(hook, `#!/bin/sh\necho "$FLOTILLA_DEVICE" >> ${record}\n`, { mode: 0o700 });
  for (let checks = 0; checks < 2; checks++) {
    const check = await renew(dir, '--if-due', '--hook', hook);
    t.is(check.code, 0, check.stderr);
    t.false(dueSchema.parse(check.json()).renewed);
  }
  t.is(readFileSync(record, 'utf8'), 'hooked\n', 'it ran at the next check, once');
  await assertUsable(t, 'hooked', dir);
});

test('a broker that refuses the new certificate keeps the current one in place; one that is gone does not', async (t) => {
  const dir = await enroll(t, 'tested');
  t.regex(readFileSync(join(dir, 'enrollment.json'), 'utf8'), /"mqtts": "[^"]+:\d+"/);
  const before = readFileSync(join(dir, 'cert.pem'), 'utf8');
  // The enrollment service is no MQTT broker: it closes the connection without CONNACK.
  const wrong = await renew(dir, '--mqtts', new URL(up.ready.https.url).host);
  t.is(wrong.code, 1);
  t.regex(wrong.stderr, /\[sim-target-(?:refused|untrusted)\]/);
  t.is(readFileSync(join(dir, 'cert.pem'), 'utf8'), before);
  const moved = readFileSync(join(dir, 'enrollment.json'), 'utf8').replace(
    /"mqtts": "[^"]+"/,
    '"mqtts": "127.0.0.1:1"',
  );
  writeFileSync(join(dir, 'enrollment.json'), moved);
  await assertUsable(t, 'tested', dir);
  t.not(readFileSync(join(dir, 'cert.pem'), 'utf8'), before);
});

test('the agent completes an interrupted renewal, runs the hook, and stops with exit code 0', async (t) => {
  const dir = await enroll(t, 'with-agent');
  const proxy = await slowBroker(t);
  const renewal = ['device', 'renew', '--dir', dir, '--rekey', '--mqtts', proxy.address];
  const killed = spawnNode(t, [flotillaPath, ...renewal]);
  await proxy.held;
  await killed.stop('SIGKILL');
  const [hook, record] = [join(up.folder, 'hook.sh'), join(up.folder, 'hook-record')];
  writeFileSync(hook, `#!/bin/sh\necho "$FLOTILLA_DEVICE $1" > ${record}\n`, { mode: 0o700 });
  const agent = spawnNode(t, [
    ...[flotillaPath, 'device', 'agent', '--json', '--dir', dir, '--hook', hook],
  ]);
  const made = checkSchema.parse(JSON.parse(await agent.line(() => true)));
  t.true(made.renewed);
  t.is(made.device, 'with-agent');
  await until('the hook has run', () => Promise.resolve(existsSync(record)));
  const done = await agent.stop('SIGTERM');
  t.is(done.code, 0, done.stderr);
  t.is(readFileSync(record, 'utf8'), `with-agent ${dir}\n`);
  await assertUsable(t, 'with-agent', dir);
});

test('the agent reports a failed attempt with its code, and when it tries again', async (t) => {
  const dir = await enroll(t, 'cut-off');
  const proxy = await slowBroker(t);
  const killed = spawnNode(t, [
    flotillaPath,
    'device',
    'renew',
    '--dir',
    dir,
    '--mqtts',
    proxy.address,
  ]);
  await proxy.held;
  await killed.stop('SIGKILL');
  const nowhere = ['--url', 'https://127.0.0.1:1', '--mqtts', '127.0.0.1:1'];
  const agent = spawnNode(t, [flotillaPath, 'device', 'agent', '--json', '--dir', dir, ...nowhere]);
  const failed = checkSchema.extend({ error: z.string() });
  const made = failed.parse(JSON.parse(await agent.line(() => true)));
  t.is(made.error, 'service-unreachable');
  t.false(made.renewed);
  t.true(Date.parse(made.nextCheckAt) > Date.now() - 60_000);
  t.is((await agent.stop('SIGTERM')).code, 0);
  await assertUsable(t, 'cut-off', dir);
});
