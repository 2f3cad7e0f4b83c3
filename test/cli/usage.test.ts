/** Wrong usage, help texts, and errors without a running service. @module */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import { runChild } from '../support/child.ts';
import { flotilla, flotillaPath } from '../support/cli.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** The names of the subcommands of a command, from its help text. */
async function commandsOf(path: readonly string[]): Promise<string[]> {
  const help = await flotilla([...path, '--help']);
  const [, list = ''] = help.stdout.split(/^Commands:$/m);
  return Array.from(list.matchAll(/^ {2}([a-z]+)/gm), ([, name]) => name ?? '').filter(
    (name) => name !== 'help',
  );
}

async function allCommands(path: readonly string[] = []): Promise<string[][]> {
  const below = await commandsOf(path);
  const deeper = await Promise.all(below.map((name) => allCommands([...path, name])));
  return [[...path], ...deeper.flat()];
}

test('every documented command exists and has a help text with its options', async (t) => {
  const all = await allCommands();
  const names = all.map((path) => path.join(' '));
  for (const wanted of [
    ...['up', 'init', 'status', 'enroll serve', 'broker serve', 'token create', 'service create'],
    ...[
      'device enroll',
      'device renew',
      'device agent',
      'device list',
      'device show',
      'device revoke',
    ],
    ...['device suspend', 'device resume', 'device delete'],
    ...['request list', 'request approve', 'request deny', 'policy check', 'policy explain'],
    'sim run',
  ]) {
    t.true(names.includes(wanted), wanted);
  }
  for (const path of all) {
    const help = await flotilla([...path, '--help']);
    const name = ['flotilla', ...path].join(' ');
    t.is(help.code, 0, name);
    t.is(help.stderr, '', name);
    const afterExamples = help.stdout.replace(/^Examples:\n(?: {2}.+\n)+\n/, '');
    t.true(afterExamples.startsWith(`Usage: ${name} `), help.stdout);
    if ((await commandsOf(path)).length === 0) t.regex(help.stdout, /--json/, name);
    t.notRegex(help.stdout, /default:\s+["'[]/, `${name} prints defaults as (default: x)`);
  }
});

test('the help of one service shows no ports of the other', async (t) => {
  const enroll = (await flotilla(['enroll', 'serve', '--help'])).stdout;
  t.regex(enroll, /--https-port/);
  t.notRegex(enroll, /--mqtts-port|--wss-port|9464/);
  const broker = (await flotilla(['broker', 'serve', '--help'])).stdout;
  t.regex(broker, /--mqtts-port/);
  t.notRegex(broker, /--https-port|9465/);
});

test('the help of commands that print many documents says so', async (t) => {
  for (const [command, text] of [
    [['device', 'agent'], /one JSON document per line .*after each check/],
    [['sub'], /one JSON document per message/],
    [['audit', 'tail'], /with --follow, then one per new line/],
    [['device', 'renew'], /print one JSON document on stdout --dir/],
  ] as const) {
    const { stdout } = await flotilla([...command, '--help']);
    t.regex(stdout.replaceAll(/\s+/g, ' '), text);
  }
});

const wrong: readonly (readonly string[])[] = [
  ['no-such-command'],
  ['device'],
  ['device', 'no-such-command'],
  ['up', '--no-such-option'],
  ['up', 'extra-argument'],
  ['up', '--mqtts-port', '65536'],
  ['up', '--mqtts-port', '-1'],
  ['up', '--mqtts-port', '80.5'],
  ['up', '--mqtts-port', ''],
  ['up', '--devices', 'many'],
  ['up', '--log-level', 'loud'],
  ['token', 'create'],
  ['token', 'create', '--device', 'a/b'],
  ['token', 'create', '--device', '#'],
  ['token', 'create', '--device', 'a', '--ttl', '5'],
  ['token', 'create', '--device', 'a', '--uses', '-1'],
  ['device', 'show'],
  ['device', 'show', '+'],
  ['device', 'revoke', 'a', '--reason', 'boredom'],
  ['device', 'enroll', '--out', 'x'],
  ['device', 'enroll', '--id', 'a', '--out', 'x', '--key-type', 'rsa512'],
  ['device', 'renew'],
  ['device', 'agent'],
  ['service', 'create', '--name', 'a', '--out', 'x', '--role', 'king'],
  ['policy', 'explain', '--device', 'a', '--action', 'fly', '--topic', 't'],
  ['sim', 'run', '--qos', '3'],
];

for (const args of wrong) {
  test(`flotilla ${args.join(' ')} is wrong usage: exit 2, and nothing on stdout`, async (t) => {
    const done = await flotilla(args);
    t.is(done.code, 2, done.stderr);
    t.is(done.stdout, '');
    t.regex(done.stderr, /\S/);
  });
}

test('an invalid setting prevents the start with exit code 2 and its position', async (t) => {
  const state = tempFolder(t);
  writeFileSync(join(state, 'flotilla.yaml'), 'broker:\n  mqttPort: 1\n');
  const done = await flotilla(['up', '--state', state]);
  t.is(done.code, 2);
  t.regex(done.stderr, /flotilla\.yaml:2:3: broker\.mqttPort: unknown setting.*\[config-invalid\]/);
  const env = await flotilla(['init', '--state', state], { FLOTILLA_HOSTS: 'x' });
  t.is(env.code, 2);
  t.regex(env.stderr, /FLOTILLA_HOSTS: hosts: unknown setting/);
  t.false(existsSync(join(state, 'ca')), 'nothing was created');
});

test('--print-config prints the effective configuration and starts or creates nothing', async (t) => {
  const state = join(tempFolder(t), 'state');
  const done = await flotilla(['up', '--state', state, '--print-config', '--mqtts-port', '7'], {
    FLOTILLA_BROKER__WSS_PORT: '8',
    FLOTILLA_CA_PASSPHRASE: 'hunter2hunter2',
  });
  t.is(done.code, 0, done.stderr);
  t.regex(done.stdout, /^ {2}mqttsPort: 7$/m);
  t.regex(done.stdout, /^ {2}wssPort: 8$/m);
  t.notRegex(done.stdout + done.stderr, /hunter2/);
  t.false(existsSync(state));
  // A service starts its process once more, with other settings of V8: this would only take time here.
  const recorder = `process.execve = () => { process.stderr.write('started again'); }`;
  const once = await runChild(t, process.execPath, [
    ...['--import', `data:text/javascript,${encodeURIComponent(recorder)}`, flotillaPath],
    ...['broker', 'serve', '--state', state, '--print-config'],
  ]);
  t.is(once.code, 0, once.stderr);
  t.notRegex(once.stderr, /started again/);
});

test('commands without a state or a running service say what to do', async (t) => {
  const state = join(tempFolder(t), 'none');
  for (const args of [
    ['device', 'list'],
    ['device', 'show', 'a'],
    ['token', 'create', '--device', 'a'],
    ['status'],
  ]) {
    const done = await flotilla([...args, '--state', state, '--json']);
    t.is(done.code, 2, args.join(' '));
    t.like(done.json(), { error: { code: 'state-missing' } });
    t.regex(done.stderr, /flotilla init or flotilla up first/);
  }
  t.false(existsSync(state));
});

test('a broker without an identity names the folder and the command that creates one', async (t) => {
  const state = join(tempFolder(t), 'state');
  const serve = (): ReturnType<typeof flotilla> =>
    flotilla([
      ...['broker', 'serve', '--state', state, '--enroll-url', 'https://127.0.0.1:1'],
      ...['--mqtts-port', '0', '--wss-port', '0', '--metrics-port', '0'],
    ]);
  const identity = join(state, 'broker', 'identity');
  const missing = await serve();
  t.is(missing.code, 1);
  t.regex(missing.stderr, /service create --role broker .*\[broker-identity-missing\]/);
  t.true(missing.stderr.includes(`: ${identity}. `), missing.stderr);
  t.notRegex(missing.stderr, /ENOENT|flotilla init/);
  mkdirSync(identity, { recursive: true });
  writeFileSync(join(identity, 'key.pem'), '', { mode: 0o600 });
  const partial = await serve();
  t.is(partial.code, 1);
  t.regex(partial.stderr, /chain\.pem is missing.*\[broker-identity-invalid\]/);
});

test('device enroll without credentials names the missing options', async (t) => {
  const folder = tempFolder(t);
  const done = await flotilla([
    'device',
    'enroll',
    '--id',
    'a',
    '--out',
    join(folder, 'a'),
    '--state',
    join(folder, 'none'),
  ]);
  t.is(done.code, 2);
  t.regex(done.stderr, /--url.*--fingerprint.*--token/);
  t.false(existsSync(join(folder, 'a')));
});

test('an identity is never overwritten', async (t) => {
  const out = tempFolder(t);
  writeFileSync(join(out, 'cert.pem'), 'mine');
  mkdirSync(join(out, 'more'));
  const done = await flotilla([
    ...['device', 'enroll', '--id', 'a', '--out', out, '--token', 't'],
    ...['--url', 'https://127.0.0.1:1', '--fingerprint', `sha256:${'0'.repeat(64)}`],
  ]);
  t.is(done.code, 2);
  t.regex(done.stderr, /\[output-exists\]/);
  t.is(readFileSync(join(out, 'cert.pem'), 'utf8'), 'mine');
});

test('an invalid address or fingerprint is rejected before anything is sent', async (t) => {
  const out = join(tempFolder(t), 'a');
  const enroll = (url: string, fingerprint: string): ReturnType<typeof flotilla> =>
    flotilla([
      ...['device', 'enroll', '--id', 'a', '--out', out, '--token', 't'],
      ...['--url', url, '--fingerprint', fingerprint],
    ]);
  const pin = `sha256:${'0'.repeat(64)}`;
  for (const [url, fingerprint, code] of [
    ['http://127.0.0.1:1', pin, 'service-address-invalid'],
    ['127.0.0.1:8443', pin, 'service-address-invalid'],
    ['https://127.0.0.1:1', 'abc', 'fingerprint-invalid'],
  ] as const) {
    const done = await enroll(url, fingerprint);
    t.is(done.code, 2, done.stderr);
    t.true(done.stderr.includes(`[${code}]`), done.stderr);
  }
  const unreachable = await enroll('https://127.0.0.1:1', pin);
  t.is(unreachable.code, 1);
  t.regex(unreachable.stderr, /127\.0\.0\.1:1: ECONNREFUSED.*\[service-unreachable\]/);
});

test('errors of the operating system have a code, a path and advice', async (t) => {
  const folder = tempFolder(t);
  writeFileSync(join(folder, 'file'), '');
  const below = join(folder, 'file', 'state');
  for (const args of [
    ['up', '--state', below],
    ['init', '--state', below],
    ['enroll', 'serve', '--state', below],
    ['audit', 'tail', '--state', folder],
    ['audit', 'verify', '--state', folder],
    ['policy', 'check', join(folder, 'missing.yaml')],
    ['policy', 'check', folder],
    ['policy', 'test', join(folder, 'missing.yaml'), '--policy', 'examples/policies/groups.yaml'],
  ]) {
    const done = await flotilla(args);
    t.not(done.code, 0, args.join(' '));
    t.regex(done.stderr, /^flotilla: .* \[[a-z-]+\]$/m, args.join(' '));
    t.notRegex(done.stderr, /E[A-Z]{3,}:|\[internal\]/, args.join(' '));
    t.true(done.stderr.includes(folder), args.join(' '));
    if (args[0] === 'audit') t.regex(done.stderr, /machine of the enrollment service.*-elsewhere/);
  }
});

test('the program prints its version and returns the exit code', async (t) => {
  // Each file that is imported makes a start slower: nothing but the launcher is needed here.
  const recorder = `import { registerHooks } from 'node:module'; registerHooks({ load(url, context, next) {
    if (url.startsWith('file:')) process.stderr.write(url + '\\n'); return next(url, context); } });`;
  const recorded = ['--import', `data:text/javascript,${encodeURIComponent(recorder)}`];
  const version = await runChild(t, process.execPath, [...recorded, flotillaPath, '--version']);
  t.deepEqual(version.stderr.trim().split('\n'), [pathToFileURL(flotillaPath).href]);
  const { version: expected } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    version: string;
  };
  t.is(version.stdout, `${expected}\n`);
  t.is(version.code, 0);
  const bad = await runChild(t, process.execPath, [flotillaPath, 'nonsense']);
  t.is(bad.code, 2);
  t.is(bad.stdout, '');
});
