/** `flotilla doctor` with a real device, and with each fault that it can find. @module */
import { chmodSync, cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { flotilla, startUp, type CommandResult, type Up } from '../support/cli.ts';
import { testCa } from '../support/test-ca.ts';

let up: Up;
const folder = (name: string): string => join(up.folder, name);
test.before(async () => {
  up = await startUp();
  await up.ask(z.unknown(), 'device', 'enroll', '--id', 'one', '--out', folder('one'));
});
test.after.always(() => up.close());

const reportSchema = z.object({
  ok: z.boolean(),
  checks: z.array(
    z.object({
      name: z.string(),
      ok: z.boolean(),
      detail: z.string(),
      code: z.string().optional(),
    }),
  ),
});

/** Runs it with `--json`. @returns exit code, and the code of each step: `ok` where it succeeded */
async function doctor(...args: string[]): Promise<{ code: number; steps: Record<string, string> }> {
  const done: CommandResult = await flotilla([
    ...['doctor', '--json', '--state', up.ready.state, ...args],
  ]);
  const { ok, checks } = reportSchema.parse(done.json());
  if (done.code !== (ok ? 0 : 1)) throw new Error(`exit code ${done.code}`);
  const steps = checks.map((check) => [check.name, check.ok ? 'ok' : (check.code ?? check.detail)]);
  return { code: done.code, steps: Object.fromEntries(steps) as Record<string, string> };
}

/** A copy of the device's folder, without the links of its versions. */
function copy(name: string): string {
  const to = folder(name);
  cpSync(folder('one'), to, { recursive: true, dereference: true });
  return to;
}

test('a device that works passes every step', async (t) => {
  t.deepEqual(await doctor('--dir', folder('one')), {
    code: 0,
    steps: { files: 'ok', certificate: 'ok', 'enrollment service': 'ok', broker: 'ok' },
  });
  const text = await flotilla(['doctor', '--dir', folder('one'), '--state', up.ready.state]);
  t.is(text.stdout.trimEnd().split('\n').length, 4);
});

test('a missing folder and an open key are named, and nothing is sent', async (t) => {
  t.deepEqual(await doctor('--dir', folder('none')), {
    code: 1,
    steps: { files: 'identity-unreadable' },
  });
  const open = copy('open');
  chmodSync(join(open, 'key.pem'), 0o644);
  t.deepEqual(await doctor('--dir', open), { code: 1, steps: { files: 'file-too-open' } });
});

test('services that are not reachable, and CAs of another fleet, are named', async (t) => {
  const { steps } = await doctor(
    ...['--dir', folder('one'), '--url', 'https://127.0.0.1:1', '--mqtts', '127.0.0.1:1'],
  );
  t.deepEqual(steps, {
    files: 'ok',
    certificate: 'ok',
    'enrollment service': 'service-unreachable',
    broker: 'broker-unreachable',
  });
  const foreign = copy('foreign');
  writeFileSync(join(foreign, 'ca.pem'), testCa().ca);
  writeFileSync(join(foreign, 'chain.pem'), readFileSync(join(foreign, 'cert.pem')));
  t.deepEqual(await doctor('--dir', foreign), {
    code: 1,
    steps: {
      files: 'ok',
      certificate: 'certificate-untrusted',
      'enrollment service': 'service-untrusted',
      broker: 'broker-untrusted',
    },
  });
});

test('a revoked device is refused by the broker', async (t) => {
  await up.ask(z.unknown(), 'device', 'enroll', '--id', 'gone', '--out', folder('gone'));
  await up.ask(z.unknown(), 'device', 'revoke', 'gone');
  const { code, steps } = await doctor('--dir', folder('gone'));
  t.is(code, 1);
  t.is(steps['broker'], 'broker-refused');
});
