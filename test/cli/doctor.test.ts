/** `flotilla doctor` with a real device, and with each fault that it can find. @module */
import { chmodSync, cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { runChild } from '../support/child.ts';
import { debianTool } from '../support/debian-tool.ts';
import { flotilla, flotillaPath, startUp, type CommandResult, type Up } from '../support/cli.ts';
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
    steps: {
      ...{ files: 'ok', certificate: 'ok', 'enrollment service': 'ok' },
      ...{ registry: 'ok', broker: 'ok' },
    },
  });
  const words = ['doctor', '--dir', folder('one'), '--state', up.ready.state];
  const text = await flotilla(words, { FORCE_COLOR: '1' });
  t.is(text.stdout.trimEnd().split('\n').length, 5);
  t.true(text.stdout.startsWith('\u001B[32mok    \u001B[39m  files: '), text.stdout);
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

test('a certificate of a server is named as that, rather than blamed on its issuer', async (t) => {
  await up.ask(
    z.unknown(),
    ...['service', 'create', '--name', 'gateway', '--role', 'server'],
    ...['--names', 'gateway.example.com', '--out', folder('gateway')],
  );
  t.like(await doctor('--dir', folder('gateway')), {
    code: 1,
    steps: { files: 'ok', certificate: 'certificate-wrong-purpose' },
  });
});

test('a port with another service is named', async (t) => {
  for (const url of [up.ready.https.url, up.ready.metrics.url]) {
    const { steps } = await doctor('--dir', folder('one'), '--mqtts', new URL(url).host);
    t.is(steps['broker'], 'broker-answer-invalid', url);
  }
});

test('the reason is named when an identity may not connect', async (t) => {
  for (const [id, command, code] of [
    ['gone', 'revoke', 'device-revoked'],
    ['paused', 'suspend', 'device-suspended'],
  ] as const) {
    await up.ask(z.unknown(), 'device', 'enroll', '--id', id, '--out', folder(id));
    await up.ask(z.unknown(), 'device', command, id);
    const { code: exit, steps } = await doctor('--dir', folder(id));
    t.is(exit, 1);
    t.like(steps, { 'enrollment service': 'ok', registry: code, broker: 'broker-refused' });
  }
});

test('a clock that is years behind is named rather than a wrong server', async (t) => {
  const faketime = debianTool(t, 'faketime');
  if (faketime === undefined) return;
  const args = ['doctor', '--dir', folder('one'), '--state', up.ready.state, '--json'];
  const done = await runChild(t, faketime, [
    ...['-f', '@2020-01-01 00:00:00', process.execPath, flotillaPath, ...args],
  ]);
  t.is(done.code, 1, done.stderr);
  const { checks } = reportSchema.parse(JSON.parse(done.stdout));
  t.deepEqual(
    checks.map(({ code }) => code),
    [undefined, 'certificate-not-yet-valid', 'server-certificate-time', 'server-certificate-time'],
  );
});
