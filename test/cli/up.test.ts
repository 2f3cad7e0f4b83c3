/**
 * A fleet end to end through the command line: one `flotilla up` on an empty folder, real files,
 * real mosquitto clients. The tests share it, each with its own devices.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { MqttClient } from 'mqtt';
import { z } from 'zod';
import { jemallocLibrary } from '../../cli/lib/allocator.ts';
import {
  devicePageSchema,
  deviceSchema,
  revokedSchema,
  statusSchema,
  tokenSchema,
} from '../../core/protocol/enrollment-api.ts';
import { callJson } from '../../core/protocol/https-client.ts';
import { runChild, spawnChild, type Child } from '../support/child.ts';
import {
  flotilla,
  flotillaPath,
  mosquittoArgs,
  pemFingerprint,
  startUp,
  type Up,
} from '../support/cli.ts';
import { connectWith } from '../support/cli-client.ts';
import { debianTool } from '../support/debian-tool.ts';
import { until } from '../support/until.ts';

/** The documented output of `device enroll`, `device renew` and `service create`. */
const enrolledSchema = z.strictObject({
  device: z.string(),
  serial: z.string().regex(/^(?:[0-9a-f]{2})+$/),
  notAfter: z.iso.datetime(),
  files: z.strictObject({ key: z.string(), cert: z.string(), chain: z.string(), ca: z.string() }),
});
type Enrolled = z.infer<typeof enrolledSchema>;

const explainedSchema = z.looseObject({
  allowed: z.boolean(),
  rule: z.string().nullable(),
  reason: z.string(),
});

let up: Up;
let backend: string;

test.before(async () => {
  up = await startUp();
  backend = join(up.folder, 'backend');
  await up.ask(
    enrolledSchema,
    'service',
    'create',
    '--name',
    'backend',
    '--role',
    'service',
    '--out',
    backend,
  );
});
test.after.always(() => up.close());

const enroll = (id: string): Promise<Enrolled> =>
  up.ask(enrolledSchema, 'device', 'enroll', '--id', id, '--out', join(up.folder, id));

/** Connects as the identity in a folder. */
const connectAs = (
  t: ExecutionContext,
  id: string,
  folder = join(up.folder, id),
  onMessage: (topic: string) => void = () => undefined,
): Promise<MqttClient> => connectWith(t, { id, folder, address: up.ready.mqtts, onMessage });

/** Starts mosquitto_sub with the certificate of the service; resolves when it has subscribed. */
async function watch(t: ExecutionContext, sub: string, topic: string, id: string): Promise<Child> {
  const args = [...mosquittoArgs(backend, up.ready, `backend/${id}`), '-t', topic, '-v', '-d'];
  // Line-buffered: otherwise mosquitto_sub would keep its message about the SUBACK in a buffer.
  const child = spawnChild(t, 'stdbuf', ['-oL', sub, ...args]);
  await child.line((line) => line.includes('SUBACK') || line.startsWith('Subscribed'));
  return child;
}

test('up becomes ready on an empty folder and prints its addresses in the documented format', async (t) => {
  const { ready } = up;
  t.log(`ready after ${Math.round(up.readyAfterMs)} ms`);
  t.is(ready.event, 'ready');
  t.is(ready.state, join(up.folder, 'state'));
  t.is(ready.mqtts.host, '127.0.0.1');
  for (const port of [ready.mqtts.port, ready.wss.port]) t.true(port > 0 && port <= 65_535);
  t.regex(ready.https.url, /^https:\/\/.+:\d+$/);
  t.is(ready.ca.fingerprint, pemFingerprint(readFileSync(ready.ca.file, 'utf8')));
  t.is(ready.ca.file, join(ready.state, 'ca', 'root.pem'));
  const health = await fetch(new URL('/readyz', ready.metrics.url));
  t.is(health.status, 200);
  t.is((await fetch(new URL('/healthz', ready.metrics.url))).status, 200);
  const metrics = await (await fetch(new URL('/metrics', ready.metrics.url))).text();
  t.regex(metrics, /^# HELP /m);
  const expected = jemallocLibrary() === undefined ? 'system' : 'jemalloc';
  t.true(metrics.includes(`{component="broker",allocator="${expected}"} 1`), expected);
});

test('no secret file of the state can be read by others', (t) => {
  const { state } = up.ready;
  const files = readdirSync(state, { recursive: true, encoding: 'utf8' });
  t.true(files.includes('policy.yaml'));
  t.is(statSync(state).mode & 0o777, 0o700);
  const secrets = files.filter((name) => /key\.pem$|passphrase|registry|\.sqlite/.test(name));
  t.true(secrets.length >= 4, secrets.join());
  for (const name of secrets) t.is(statSync(join(state, name)).mode & 0o077, 0, name);
  for (const name of files.filter((one) => /^ca\/.*key\.pem$/.test(one))) {
    t.regex(readFileSync(join(state, name), 'utf8'), /BEGIN ENCRYPTED PRIVATE KEY/, name);
  }
});

test('a token enrolls one device with the printed command', async (t) => {
  const token = await up.ask(
    tokenSchema,
    ...['token', 'create', '--device', 'by-token', '--group', 'north', '--ttl', '5m'],
  );
  t.is(String(token.device), 'by-token');
  t.is(token.group, 'north');
  t.is(token.url, up.ready.https.url);
  t.is(token.fingerprint, up.ready.ca.fingerprint);
  const leftMs = Date.parse(token.expiresAt) - Date.now();
  t.true(leftMs > 4 * 60_000 && leftMs <= 5 * 60_000);

  const [variable = '', name, ...args] = token.command.split(' ');
  t.is(variable, `FLOTILLA_TOKEN=${token.token}`);
  t.is(name, 'flotilla');
  const done = await runChild(t, process.execPath, [flotillaPath, ...args, '--json'], {
    cwd: up.folder,
    env: { FLOTILLA_TOKEN: token.token },
  });
  t.is(done.code, 0, done.stderr);
  const made = enrolledSchema.parse(JSON.parse(done.stdout));
  t.is(made.device, 'by-token');
  const outAt = args.indexOf('--out') + 1;
  const out = join(up.folder, args[outAt] ?? '');
  for (const file of ['key', 'cert', 'chain', 'ca'] as const) {
    t.is(readFileSync(join(out, `${file}.pem`), 'utf8').includes('-----BEGIN '), true);
  }
  t.is(statSync(join(out, 'key.pem')).mode & 0o777, 0o600);

  const again = await flotilla([
    ...['device', 'enroll', '--id', 'by-token', '--out', join(up.folder, 'second')],
    ...['--url', up.ready.https.url, '--fingerprint', up.ready.ca.fingerprint],
    ...['--token', token.token, '--json'],
  ]);
  t.is(again.code, 1, 'a used token is not valid for another key');
  const shown = await up.ask(deviceSchema, 'device', 'show', 'by-token');
  t.true(shown.id === 'by-token');
  t.like(shown, { status: 'active', group: 'north', connected: false });
  t.is(shown.certificates.length, 1);
  t.is(shown.certificates[0]?.serial, made.serial);
});

test('the files of a device are valid for openssl and have the documented names', async (t) => {
  const openssl = debianTool(t, 'openssl');
  if (openssl === undefined) return;
  const made = await enroll('verified');
  const read = (name: 'key' | 'cert' | 'chain' | 'ca'): string =>
    readFileSync(made.files[name], 'utf8');
  const leaf = new X509Certificate(read('cert'));
  t.is(leaf.subject, 'CN=verified');
  t.is(leaf.serialNumber.toLowerCase(), made.serial);
  t.is(leaf.validToDate.toISOString(), new Date(made.notAfter).toISOString());
  const blocks = (text: string): string[] =>
    text.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? [];
  t.is(blocks(read('chain')).length, 2);
  t.true(blocks(read('ca')).length >= 2, 'the root, then every issuer that is trusted');
  t.is(blocks(read('chain'))[0], read('cert').trim());
  t.is(pemFingerprint(read('ca')), up.ready.ca.fingerprint);
  const verified = await runChild(t, openssl, [
    ...['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', up.ready.ca.file],
    ...['-untrusted', made.files.chain, made.files.cert],
  ]);
  t.is(verified.code, 0, verified.stderr);
});

test('a device publishes with mosquitto_pub, the backend sees it with mosquitto_sub', async (t) => {
  const pub = debianTool(t, 'mosquitto_pub');
  const sub = debianTool(t, 'mosquitto_sub');
  if (pub === undefined || sub === undefined) return;
  await enroll('speaker');
  const seen = await watch(t, sub, 'devices/speaker/#', 'hears');
  for (const version of ['311', '5']) {
    const done = await runChild(t, pub, [
      ...mosquittoArgs(join(up.folder, 'speaker'), up.ready, 'speaker'),
      ...['-V', version, '-q', '1', '-t', 'devices/speaker/hello', '-m', `by ${version}`],
    ]);
    t.is(done.code, 0, done.stderr);
    await seen.line((line) => line === `devices/speaker/hello by ${version}`);
  }
});

test('a publish outside the topics of a device is rejected and never delivered', async (t) => {
  const pub = debianTool(t, 'mosquitto_pub');
  const sub = debianTool(t, 'mosquitto_sub');
  if (pub === undefined || sub === undefined) return;
  await enroll('intruder');
  await enroll('victim');
  const watched = await watch(t, sub, 'devices/#', 'sees-devices');
  const publish = (
    id: string,
    version: string,
    topic: string,
    text: string,
  ): ReturnType<typeof runChild> =>
    runChild(t, pub, [
      ...mosquittoArgs(join(up.folder, id), up.ready, id),
      ...['-V', version, '-q', '1', '-t', topic, '-m', text],
    ]);
  for (const topic of [
    'devices/victim/hello',
    'devices/intruder2/x',
    'other',
    'devices',
    '$SYS/x',
  ]) {
    const old = await publish('intruder', '311', topic, 'stolen');
    t.not(old.code, 0, `${topic}: MQTT 3.1.1 has no negative answer: the connection is closed`);
    const now = await publish('intruder', '5', topic, 'stolen');
    t.regex(now.stderr + now.stdout, /not authori[sz]ed/i, topic);
  }
  const fine = await publish('victim', '5', 'devices/victim/hello', 'after all that');
  t.is(fine.code, 0, fine.stderr);
  await watched.line((line) => line.endsWith('after all that'));
  t.notRegex(watched.stdout(), /stolen/);
});

test('a subscription outside the topics of a device is rejected and delivers nothing', async (t) => {
  await enroll('curious');
  await enroll('private');
  const got: string[] = [];
  const curious = await connectAs(t, 'curious', undefined, (topic) => void got.push(topic));
  const filters = [
    'devices/private/#',
    '#',
    'devices/+/commands/#',
    '$SYS/#',
    '$share/g/devices/#',
  ];
  const granted = await curious
    .subscribeAsync([...filters, 'devices/curious/#'], { qos: 1 })
    .catch((error: unknown) => error);
  if (Array.isArray(granted)) {
    const codes = granted.map((one: { qos: number }) => one.qos);
    t.deepEqual(codes, [0x87, 0x87, 0x87, 0x87, 0x87, 1]);
  } else {
    t.regex(String(granted), /denied|authori[sz]ed|0x87|135|subscribe/i);
  }
  const owner = await connectAs(t, 'private');
  await owner.publishAsync('devices/private/secret', 'x', { qos: 1 });
  await curious.publishAsync('devices/curious/own', 'x', { qos: 1 });
  await until('its own message', () => got.includes('devices/curious/own'));
  t.deepEqual(got, ['devices/curious/own']);
});

test('a certificate is accepted for its own client id only', async (t) => {
  await enroll('itself');
  const folder = join(up.folder, 'itself');
  await t.throwsAsync(connectAs(t, 'someone-else', folder));
  await t.throwsAsync(connectAs(t, 'itself/suffix', folder), undefined, 'devices: exactly the id');
  const client = await connectAs(t, 'itself');
  t.true(client.connected);
  const shown = await until('connected in the registry', async () => {
    const device = await up.ask(deviceSchema, 'device', 'show', 'itself');
    return device.connected && device;
  });
  t.truthy(shown.lastSeenAt);
  for (const [command, pattern] of [
    [['list', '--prefix', 'itself'], / yes .* now$/m],
    [['show', 'itself'], /^last seen {4}now, connected /m],
  ] as const) {
    t.regex((await flotilla(['device', ...command, '--state', up.ready.state])).stdout, pattern);
  }
});

test('a revocation closes the live connection before it returns, and the device cannot connect again', async (t) => {
  await enroll('thrown-out');
  const client = await connectAs(t, 'thrown-out');
  let reason: number | undefined;
  client.on('disconnect', ({ reasonCode }) => void (reason = reasonCode));
  const gone = new Promise<void>((resolve) => client.once('close', resolve));
  const done = await up.ask(
    revokedSchema,
    ...['device', 'revoke', 'thrown-out', '--reason', 'keyCompromise'],
  );
  t.true(done.id === 'thrown-out');
  t.is(done.connectionsClosed, 1);
  t.is(done.serials.length, 1);
  await gone;
  t.is(reason, 0x87);
  await t.throwsAsync(connectAs(t, 'thrown-out'));
  t.like(await up.ask(deviceSchema, 'device', 'show', 'thrown-out'), {
    status: 'revoked',
    connected: false,
  });
});

test('a suspended device cannot connect until it is resumed', async (t) => {
  await enroll('paused');
  const client = await connectAs(t, 'paused');
  const gone = new Promise<void>((resolve) => client.once('close', resolve));
  t.is((await up.ask(deviceSchema, 'device', 'suspend', 'paused')).status, 'suspended');
  await gone;
  await t.throwsAsync(connectAs(t, 'paused'));
  t.is((await up.ask(deviceSchema, 'device', 'resume', 'paused')).status, 'active');
  const again = await until('let in again', () => connectAs(t, 'paused').catch(() => undefined));
  t.true(again.connected);
});

test('a deleted device is unknown', async (t) => {
  await enroll('forgotten');
  const done = await flotilla([
    'device',
    'delete',
    'forgotten',
    '--state',
    up.ready.state,
    '--json',
  ]);
  t.is(done.code, 0, done.stderr);
  const shown = await flotilla([
    'device',
    'show',
    'forgotten',
    '--state',
    up.ready.state,
    '--json',
  ]);
  t.is(shown.code, 1);
  t.regex(shown.stderr, /\[device-unknown\]|\[device-not-found\]/);
  await t.throwsAsync(connectAs(t, 'forgotten'));
});

test('the registry is listed page by page', async (t) => {
  for (const id of ['page-1', 'page-2', 'page-3']) await enroll(id);
  const first = await up.ask(
    devicePageSchema,
    ...['device', 'list', '--prefix', 'page-', '--limit', '2'],
  );
  t.deepEqual(
    first.devices.map(({ id }) => id),
    ['page-1', 'page-2'],
  );
  t.is(typeof first.next, 'string');
  const rest = await up.ask(
    devicePageSchema,
    ...['device', 'list', '--prefix', 'page-', '--after', first.next ?? ''],
  );
  t.deepEqual(
    rest.devices.map(({ id }) => id),
    ['page-3'],
  );
  t.is(rest.next, null);
});

test('a device renews with its certificate, with and without a new key', async (t) => {
  await enroll('renewing');
  const dir = join(up.folder, 'renewing');
  const key = (): string => readFileSync(join(dir, 'key.pem'), 'utf8');
  const before = key();
  const renew = async (...more: string[]): Promise<Enrolled> => {
    const done = await flotilla(['device', 'renew', '--dir', dir, '--json', ...more]);
    t.is(done.code, 0, done.stderr);
    return enrolledSchema.parse(done.json());
  };
  const same = await renew();
  t.is(key(), before);
  const rekeyed = await renew('--rekey');
  t.not(key(), before);
  t.not(rekeyed.serial, same.serial);
  t.true((await connectAs(t, 'renewing')).connected);
});

test.serial('a new issuer takes over while devices are connected', async (t) => {
  const before = await enroll('of-the-old');
  const client = await connectAs(t, 'of-the-old');
  const admin = (name: string): string =>
    readFileSync(join(up.ready.state, 'admin', `${name}.pem`), 'utf8');
  const made = await callJson(
    {
      ...{ method: 'POST', url: `${up.ready.https.url}/v1/issuers`, body: {} },
      ...{ ca: admin('ca'), cert: admin('chain'), key: admin('key') },
    },
    z.looseObject({ name: z.string(), current: z.boolean() }),
  );
  t.true(made.current);
  const after = await enroll('of-the-new');
  const issuerOf = ({ files }: Enrolled): string =>
    new X509Certificate(readFileSync(files.cert)).issuer;
  t.is(issuerOf(after), made.name);
  t.not(issuerOf(before), made.name);
  t.true((await connectAs(t, 'of-the-new')).connected);
  t.true(client.connected, 'nobody was disconnected');
  await client.endAsync();
  t.true(
    (await connectAs(t, 'of-the-old')).connected,
    'certificates of the former issuer are still valid',
  );
});

test('status reports no problem', async (t) => {
  // Another test here renews the certificate of the broker, which then reconnects to the feed.
  const { checks } = await until('all is well', async () => {
    const done = await flotilla(['status', '--state', up.ready.state, '--json']);
    const status = statusSchema.parse(done.json());
    t.is(done.code, status.ok ? 0 : 1);
    return status.ok && status;
  });
  t.true(checks.length >= 6);
  t.true(checks.every((check) => check.ok));
});

test('status fits on a terminal of 24 lines, counts details without a problem, and shows all of them with --all', async (t) => {
  const show = (...more: string[]): ReturnType<typeof flotilla> =>
    flotilla(['status', '--state', up.ready.state, ...more]);
  // Another test here renews the certificate of the broker, which then reconnects to the feed.
  const [short, long, checks] = await until('all is well', async () => {
    const texts = [await show(), await show('--all')] as const;
    const { checks: all } = statusSchema.parse((await show('--json')).json());
    return texts.every(({ code }) => code === 0) && ([...texts, all] as const);
  });
  const rows = short.stdout
    .trimEnd()
    .split('\n')
    .reduce((sum, line) => sum + Math.ceil(line.length / 80), 0);
  t.true(rows <= 22, `${rows} rows:\n${short.stdout}`);
  const shown = short.stdout.match(/^ok {4}[^:]+: /gm)?.length ?? 0;
  const [, counted] =
    /^ok {4}(\d+) more checks report no problem; --all shows them$/m.exec(short.stdout) ?? [];
  t.is(shown + Number(counted), checks.length);
  t.regex(short.stdout, /^ok {4}root certificate: .*sha256:[0-9a-f]{64}$/m);
  t.is(long.stdout.trimEnd().split('\n').length, checks.length);
});

test('a value that the service refuses is reported with the name of its option', async (t) => {
  const create = ['token', 'create', '--device', 'refused', '--state', up.ready.state];
  const done = await flotilla([...create, '--ttl', '0s']);
  t.is(done.code, 2);
  t.regex(done.stderr, /: --ttl \(in seconds\): must be at least 1\..*\[option-refused\]/);
  t.regex((await flotilla([...create, '--uses', '0'])).stderr, /: --uses: must be at least 1/);
});

test('a second process cannot use the same state', async (t) => {
  const done = await runChild(t, process.execPath, [
    ...[flotillaPath, 'up', '--json', '--state', up.ready.state],
  ]);
  t.is(done.code, 1);
  t.regex(done.stderr, /\[state-in-use\]/);
});

test('the policy explains its decisions, and exits with 1 when it denies', async (t) => {
  const explain = async (device: string, action: string, topic: string): Promise<boolean> => {
    const done = await flotilla([
      ...['policy', 'explain', '--device', device, '--action', action, '--topic', topic],
      ...['--json', '--state', up.ready.state],
    ]);
    const { allowed } = explainedSchema.parse(done.json());
    t.is(done.code, allowed ? 0 : 1, done.stderr);
    return allowed;
  };
  await enroll('explained');
  t.true(await explain('explained', 'publish', 'devices/explained/x'));
  t.false(await explain('explained', 'publish', 'devices/other/x'));
  t.true(await explain('backend', 'subscribe', 'devices/#'));
  const nothing = await flotilla(['group', 'revoke', 'no-such-group', '--state', up.ready.state]);
  t.is(nothing.code, 1, 'a group without devices');
  const checked = await flotilla([
    'policy',
    'check',
    join(up.ready.state, 'policy.yaml'),
    '--json',
  ]);
  t.is(checked.code, 0, checked.stderr);
});

test('the audit log is intact and contains what happened', async (t) => {
  await enroll('audited');
  const verified = await up.ask(z.object({ ok: z.boolean() }), 'audit', 'verify');
  t.true(verified.ok);
  const { lines } = await up.ask(
    z.object({ lines: z.array(z.unknown()) }),
    'audit',
    'tail',
    '--lines',
    '200',
  );
  t.true(JSON.stringify(lines).includes('audited'));
});
