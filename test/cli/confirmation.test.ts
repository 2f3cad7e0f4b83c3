/** Destructive commands: dry run, confirmation, and identities that cannot be locked out by accident. @module */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { flotilla, startUp, type CommandResult, type Up } from '../support/cli.ts';

let up: Up;
test.before(async () => {
  up = await startUp();
  for (const id of ['north-1', 'north-2', 'south-1']) {
    await up.ask(z.unknown(), ...['device', 'enroll', '--id', id, '--out', `${up.folder}/${id}`]);
    await up.ask(z.unknown(), 'device', 'edit', id, '--group', id.slice(0, 5));
  }
});
test.after.always(() => up.close());

const run = (...args: string[]): Promise<CommandResult> =>
  flotilla([...args, '--json', '--state', up.ready.state]);
const text = (...args: string[]): Promise<CommandResult> =>
  flotilla([...args, '--state', up.ready.state]);

const statusOf = async (id: string): Promise<string> =>
  (await up.ask(z.object({ status: z.string() }), 'device', 'show', id)).status;

test.serial('a dry run shows what would happen, and changes nothing', async (t) => {
  for (const [action, ...args] of [
    ['revoke', 'device', 'revoke', 'north-1'],
    ['delete', 'device', 'delete', 'north-1'],
    ['revoke', 'group', 'revoke', 'north'],
    ['revoke', 'service', 'revoke', 'admin'],
    ['remove', 'factory', 'remove', 'maker'],
    ['retire', 'issuer', 'retire', `sha256:${'0'.repeat(64)}`],
    ['revoke', 'token', 'revoke', 'token:0123456789abcdef'],
    ['remove', 'operator', 'remove', 'alice'],
    ['remove', 'key', 'remove', '0123456789abcdef'],
    ['deny', 'request', 'deny', '--all'],
  ]) {
    const done = await run(...args, '--dry-run');
    t.is(done.code, 0, `${args.join(' ')}: ${done.stderr}`);
    t.like(done.json(), { dryRun: true, action });
  }
  const shown = await text('group', 'revoke', 'north', '--dry-run');
  t.regex(shown.stdout, /^would revoke 2 devices of group north \(north-1, north-2\)\n/);
  t.is(await statusOf('north-1'), 'active');
});

test.serial('without a terminal, one target goes ahead and many need --yes', async (t) => {
  const many = await run('group', 'revoke', 'north');
  t.is(many.code, 2);
  t.regex(many.stderr, /revoke 2 devices of group north.*\[confirmation-missing\]/);
  t.is(await statusOf('north-1'), 'active');
  t.is((await run('device', 'revoke', 'south-1')).code, 0);
  t.is(await statusOf('south-1'), 'revoked');
  const confirmed = await run('group', 'revoke', 'north', '--yes');
  t.is(confirmed.code, 0, confirmed.stderr);
  t.like(confirmed.json(), { devices: ['north-1', 'north-2'], brokers: 1, brokersUnconfirmed: [] });
  t.is((await run('device', 'delete', 'south-1')).code, 0);
  t.is((await run('device', 'show', 'south-1')).code, 1);
});

test.serial('the own identity and the last administrator stay', async (t) => {
  const own = await run('device', 'suspend', 'admin');
  t.is(own.code, 1);
  t.regex(own.stderr, /\[own-identity\]/);
  const last = await run('device', 'suspend', 'admin', '--own-identity');
  t.is(last.code, 1);
  t.regex(last.stderr, /\[last-administrator\]/);
  t.is(await statusOf('admin'), 'active');
});

test.serial('services are listed and revoked, and devices are not services', async (t) => {
  const out = mkdtempSync(join(up.folder, 'backend-'));
  await up.ask(
    z.unknown(),
    ...['service', 'create', '--name', 'backend', '--out', join(out, 'id')],
  );
  const page = z.object({ services: z.array(z.object({ id: z.string(), role: z.string() })) });
  const names = (await up.ask(page, 'service', 'list')).services.map(({ id }) => id);
  t.deepEqual(names.sort(), ['admin', 'backend', 'broker']);
  t.like((await up.ask(page, 'service', 'list', '--role', 'service')).services, [
    { id: 'backend' },
  ]);
  const table = await text('service', 'list');
  t.regex(table.stdout, /^NAME +ROLE +STATUS.*\n(?:.*\n)*backend +service +active/);
  const renewed = z.object({ device: z.string() });
  const done = await flotilla(['service', 'renew', '--json', '--dir', join(out, 'id')]);
  t.is(renewed.parse(done.json()).device, 'backend', done.stderr);
  const device = await run('service', 'revoke', 'north-1');
  t.is(device.code, 2);
  t.regex(device.stderr, /north-1 is a device/);
  t.is((await run('service', 'revoke', 'backend')).code, 0);
  t.is(await statusOf('backend'), 'revoked');
});

test.serial('operators, their keys and tokens are made and removed', async (t) => {
  await up.ask(z.unknown(), 'operator', 'set', 'alice', '--role', 'viewer');
  const keySchema = z.object({ id: z.string(), key: z.string() });
  const { id, key } = await up.ask(
    keySchema,
    'key',
    'create',
    '--name',
    'ci',
    '--operator',
    'alice',
  );
  const listed = await text('key', 'list');
  t.regex(listed.stdout, new RegExp(`${id} +ci +alice +viewer +all`));
  t.false(listed.stdout.includes(key));
  t.regex((await text('operator', 'list')).stdout, /alice +viewer +enabled +1/);
  t.is((await run('key', 'remove', id)).code, 0);
  t.is((await run('operator', 'remove', 'alice')).code, 0);
  t.is((await run('operator', 'remove', 'alice')).code, 1);
  await up.ask(z.unknown(), 'token', 'create', '--device', 'later');
  const page = z.object({ tokens: z.array(z.object({ name: z.string() })) });
  const [token] = (await up.ask(page, 'token', 'list', '--device', 'later')).tokens;
  t.is((await run('token', 'revoke', token!.name)).code, 0);
  t.is((await up.ask(page, 'token', 'list', '--device', 'later')).tokens.length, 0);
});
