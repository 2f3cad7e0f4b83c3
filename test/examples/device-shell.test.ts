/** examples/device-shell/device.sh under dash, against a running Flotilla. */
import { X509Certificate } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { tokenSchema } from '../../core/protocol/enrollment-api.ts';
import { spawnChild, type Child, type Finished } from '../support/child.ts';
import { connectWith } from '../support/cli-client.ts';
import { flotilla, startUpWith, type Up } from '../support/cli.ts';
import { debianTool } from '../support/debian-tool.ts';
import { slowProxy } from '../support/slow-proxy.ts';
import { until } from '../support/until.ts';

const script = resolve('examples/device-shell/device.sh');

// Serial: each test starts some dozens of programs.
let up: Up;
test.before(async () => {
  up = await startUpWith({
    // Certificates begin five minutes in the past, so that a renewal is due at once; with the profile "late" it is not.
    FLOTILLA_ENROLL__CERTIFICATE_VALIDITY: '40m',
    FLOTILLA_ENROLL__RENEWAL__PART: '0.1',
    FLOTILLA_ENROLL__RENEWAL__SPREAD: '0',
    FLOTILLA_ENROLL__PROFILES: '{"late":{"validity":"40m","renewalPart":0.5}}',
    FLOTILLA_LIMITS__ENROLL__ENROLLMENTS_PER_DEVICE_PER_HOUR: '1000',
  });
});
test.after.always(() => up.close());

/** Starts the script. @returns undefined where a program is missing */
function start(
  t: ExecutionContext,
  args: readonly string[],
  options: { readonly input?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Child | undefined {
  const programs = ['dash', 'curl', 'openssl'].map((name) => debianTool(t, name));
  const [dash] = programs;
  if (dash === undefined || programs.includes(undefined)) return undefined;
  return spawnChild(t, dash, [script, ...args], options);
}

/** Enrolls a device. @returns its folder */
async function enroll(
  t: ExecutionContext,
  id: string,
  profile = 'default',
): Promise<string | undefined> {
  const { token } = await up.ask(
    tokenSchema,
    ...[
      'token',
      'create',
      '--device',
      id,
      ...(profile === 'default' ? [] : ['--profile', profile]),
    ],
  );
  const folder = join(up.folder, id);
  const { https, ca } = up.ready;
  const args = ['enroll', https.url, ca.fingerprint, id, folder];
  const done = await start(t, args, { input: `${token}\n` })?.finished;
  if (done === undefined) return undefined;
  t.is(done.code, 0, done.stderr);
  return folder;
}

const certificateIn = (folder: string): string =>
  new X509Certificate(readFileSync(join(folder, 'cert.pem'))).serialNumber;
const broker = (): string => `${up.ready.mqtts.host}:${up.ready.mqtts.port}`;

async function assertConnects(t: ExecutionContext, folder: string): Promise<void> {
  const id = basename(folder);
  const client = await connectWith(t, { id, folder, address: up.ready.mqtts });
  t.true(client.connected);
  await client.endAsync();
}

test.serial(
  'the script enrolls, renews when the service says so, and tests the new certificate at the broker',
  async (t) => {
    const folder = await enroll(t, 'shell-1');
    if (folder === undefined) return;
    await assertConnects(t, folder);
    const first = certificateIn(folder);
    const key = readFileSync(join(folder, 'key.pem'), 'utf8');
    const renewed = await start(t, ['renew', folder], { env: { MQTTS: broker() } })!.finished;
    t.is(renewed.code, 0, renewed.stderr);
    t.regex(renewed.stdout, /the certificate is valid until/);
    t.not(certificateIn(folder), first);
    t.not(readFileSync(join(folder, 'key.pem'), 'utf8'), key, 'a new key');
    await assertConnects(t, folder);
    const leftovers = readdirSync(folder)
      .filter((name) => name.startsWith('.'))
      .sort();
    t.deepEqual(leftovers, ['.hook-due', '.lock', '.renew-at']);

    const refused = certificateIn(folder);
    const wrong = { MQTTS: new URL(up.ready.https.url).host };
    const failed = await start(t, ['renew', folder], { env: wrong })!.finished;
    t.is(failed.code, 1);
    t.regex(failed.stderr, /the new certificate does not connect; the current one stays/);
    t.is(certificateIn(folder), refused);
    await assertConnects(t, folder);
  },
);

test.serial(
  'before its time a certificate is not renewed, with and without the service; the hook runs until it succeeds',
  async (t) => {
    const folder = await enroll(t, 'shell-2', 'late');
    if (folder === undefined) return;
    const first = certificateIn(folder);
    const early = await start(t, ['renew', folder])!.finished;
    t.is(early.code, 0, early.stderr);
    t.regex(early.stdout, /not due/);
    const enrollment = join(folder, 'enrollment');
    const origin = readFileSync(enrollment, 'utf8');
    writeFileSync(enrollment, origin.replace(/:\d+\n/, ':1\n'));
    const alone = await start(t, ['renew', folder])!.finished;
    t.regex(alone.stdout, /not due/, alone.stderr);
    t.is(certificateIn(folder), first);
    writeFileSync(enrollment, origin);

    const [hook, record] = [join(up.folder, 'hook.sh'), join(up.folder, 'hook-record')];
    writeFileSync(join(folder, '.hook-due'), '');
    const broken = await start(t, ['renew', folder], { env: { HOOK: join(up.folder, 'none') } })!
      .finished;
    t.is(broken.code, 1);
    writeFileSync(hook, `#!/bin/sh\necho "$1" >>${record}\n`, { mode: 0o700 });
    for (let runs = 0; runs < 2; runs++) {
      const done = await start(t, ['renew', folder], { env: { HOOK: hook } })!.finished;
      t.is(done.code, 0, done.stderr);
    }
    t.is(readFileSync(record, 'utf8'), `${folder}\n`);
  },
);

test.serial('runs at the same time never lock a device out, with flock and without', async (t) => {
  const folder = await enroll(t, 'shell-3');
  if (folder === undefined) return;
  // The programs of the script, except flock.
  const bin = join(up.folder, 'bin');
  mkdirSync(bin);
  for (const name of readdirSync('/usr/bin')) {
    if (name !== 'flock') symlinkSync(join('/usr/bin', name), join(bin, name));
  }
  for (const path of [process.env['PATH'] ?? '', bin]) {
    const env = { MQTTS: broker(), PATH: path };
    const all = await Promise.all(
      [1, 2, 3].map(() => start(t, ['renew', folder], { env })!.finished),
    );
    for (const { code, stdout, stderr } of all) {
      t.is(code, 0, stderr);
      t.regex(stdout, /valid until|another run is busy/);
    }
    t.true(all.some(({ stdout }) => stdout.includes('valid until')));
    await assertConnects(t, folder);
  }
  t.false(readdirSync(folder).some((name) => /^\.(?:owner|lock|broken)-/.test(name)));
  // A run that was killed leaves its lock: the process does not exist.
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  writeFileSync(join(folder, `.lock-${boot}`), '4194305\n');
  const after = await start(t, ['renew', folder], { env: { PATH: bin } })!.finished;
  t.is(after.code, 0, after.stderr);
  t.regex(after.stdout, /valid until/);
  writeFileSync(join(folder, `.lock-${boot}`), `${process.pid}\n`);
  const busy = await start(t, ['renew', folder], { env: { PATH: bin } })!.finished;
  t.regex(busy.stdout, /another run is busy/, busy.stderr);
});

test.serial(
  'a run that was killed after the broker saw the new certificate is completed by the next one',
  async (t) => {
    const folder = await enroll(t, 'shell-4');
    if (folder === undefined) return;
    const { host, port } = up.ready.mqtts;
    const proxy = await slowProxy(t, `https://${host}:${port}`, 1);
    const env = { MQTTS: new URL(proxy.url).host };
    const killed = start(t, ['renew', folder], { env })!;
    await proxy.held;
    killed.process.kill('SIGKILL');
    proxy.release();
    await killed.finished;
    const next = join(folder, '.next', 'identity.pem');
    const pending = new X509Certificate(readFileSync(next)).serialNumber;
    // The broker sees the new certificate, which ends the validity of the current one.
    const copy = join(up.folder, 'copy', 'shell-4');
    mkdirSync(copy, { recursive: true });
    for (const name of ['key', 'chain']) {
      writeFileSync(join(copy, `${name}.pem`), readFileSync(next), { mode: 0o600 });
    }
    writeFileSync(join(copy, 'ca.pem'), readFileSync(join(folder, 'ca.pem')));
    await assertConnects(t, copy);
    await until('the old certificate is retired', async () => {
      const shown = await flotilla([
        'device',
        'show',
        'shell-4',
        '--state',
        up.ready.state,
        '--json',
      ]);
      return shown.stdout.includes('"retired"');
    });
    const done = await start(t, ['renew', folder], { env: { MQTTS: broker() } })!.finished;
    t.is(done.code, 0, done.stderr);
    t.is(certificateIn(folder), pending);
    t.false(existsSync(join(folder, '.next')));
    await assertConnects(t, folder);
  },
);

test.serial(
  'the token is not sent to a service with another root, and wrong usage has the exit code 2',
  async (t) => {
    const folder = join(up.folder, 'shell-5');
    const args = ['enroll', up.ready.https.url, `sha256:${'0'.repeat(64)}`, 'shell-5', folder];
    const done: Finished | undefined = await start(t, args, { input: 'secret\n' })?.finished;
    if (done === undefined) return;
    t.is(done.code, 1);
    t.regex(done.stderr, /no root certificate has this fingerprint/);
    for (const wrong of [[], ['renew'], ['renew', up.folder], ['renew', '/nowhere']]) {
      t.is((await start(t, wrong)!.finished).code, 2, wrong.join(' '));
    }
  },
);
