/**
 * A device on another machine, by a name that only that machine resolves: what `token create` prints
 * works there without our package, and a wrong name is reported as such.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { createCsr } from '../../certs/csr.ts';
import { generateKeySync, privateKeyPem } from '../../certs/key.ts';
import { tokenSchema } from '../../core/protocol/enrollment-api.ts';
import { runChild, spawnNode, type Finished } from '../support/child.ts';
import { anyPorts, flotilla, flotillaPath, startUp, type Ready, type Up } from '../support/cli.ts';
import { debianTool } from '../support/debian-tool.ts';
import { tempFolder } from '../support/temp-folder.ts';

const names = 'flotilla.test';
let up: Up;

test.before(async () => {
  process.env['FLOTILLA_NAMES'] = `[${names}]`;
  up = await startUp('--host', '0.0.0.0');
  delete process.env['FLOTILLA_NAMES'];
});
test.after.always(() => up.close());

test('the printed address is made of the configured name', async (t) => {
  const token = await up.ask(tokenSchema, 'token', 'create', '--device', 'named');
  const { port } = new URL(up.ready.https.url);
  t.is(token.url, `https://${names}:${port}`);
  t.regex(
    token.command,
    new RegExp(`^FLOTILLA_TOKEN=\\S+ flotilla device enroll --url ${token.url} `),
  );
  const text = await tokenText('named-text');
  t.notRegex(text, /this machine only/);
  t.notRegex(text, /\bnpx\b/, 'a name that npm looks up is not for another machine');
});

test('the printed lines enroll a device with curl and openssl only', async (t) => {
  if (!hasTools(t)) return;
  const folder = deviceFolder(t);
  const done = await runLines(t, folder, await tokenText('pump-7'));
  t.is(done.code, 0, done.stdout + done.stderr);
  const device = join(folder, 'pump-7');
  t.deepEqual(readdirSync(device).sort(), ['ca.pem', 'cert.pem', 'chain.pem', 'key.pem']);
  t.is(statSync(join(device, 'key.pem')).mode & 0o777, 0o600);
  const certificate = new X509Certificate(readFileSync(join(device, 'cert.pem')));
  t.is(certificate.subject, 'CN=pump-7');
});

test('the printed lines stop before the token is sent when the fingerprint differs', async (t) => {
  if (!hasTools(t)) return;
  const folder = deviceFolder(t);
  const text = (await tokenText('pump-8')).replaceAll(
    up.ready.ca.fingerprint.slice('sha256:'.length),
    'ab'.repeat(32),
  );
  const done = await runLines(t, folder, text);
  t.not(done.code, 0);
  t.regex(done.stderr, /the fingerprint of the root certificate differs/);
  t.deepEqual(readdirSync(join(folder, 'pump-8')).sort(), ['ca.pem', 'issuers.pem']);
});

test('the printed lines show why the service rejects the request', async (t) => {
  if (!hasTools(t)) return;
  const folder = deviceFolder(t);
  const text = await tokenText('pump-9');
  const [, token = ''] = /^token +(\S+)$/m.exec(text) ?? [];
  const done = await runLines(t, folder, text.replaceAll(token, 'x'.repeat(43)));
  t.not(done.code, 0);
  t.regex(done.stdout, /token/i);
  t.regex(done.stdout, /"code":|401/);
});

test('a name that is not in the certificate has an error of its own, with advice', async (t) => {
  const token = await up.ask(tokenSchema, 'token', 'create', '--device', 'lost');
  const { port } = new URL(token.url);
  const done = await flotilla(
    [
      ...['device', 'enroll', '--id', 'lost', '--out', join(tempFolder(t), 'lost')],
      ...['--url', `https://127.0.0.2:${port}`, '--fingerprint', token.fingerprint],
    ],
    { FLOTILLA_TOKEN: token.token },
  );
  t.is(done.code, 1);
  t.regex(done.stderr, /\[service-name-mismatch\]/);
  t.regex(done.stderr, /asked for 127\.0\.0\.2, the certificate has .*flotilla\.test/);
  t.regex(done.stderr, /names in flotilla\.yaml/);
});

test('a request that was not sent leaves no folder, and one that was sent before stays for the next attempt', async (t) => {
  const token = await up.ask(tokenSchema, 'token', 'create', '--device', 'second');
  const { port } = new URL(token.url);
  const out = join(tempFolder(t), 'second');
  const enroll = (host: string, ...more: string[]): ReturnType<typeof flotilla> =>
    flotilla(
      [
        ...['device', 'enroll', '--id', 'second', '--out', out, ...more],
        ...['--url', `https://${host}:${port}`, '--fingerprint', token.fingerprint],
      ],
      { FLOTILLA_TOKEN: token.token },
    );
  t.regex((await enroll('127.0.0.2')).stderr, /\[service-name-mismatch\]/);
  t.false(existsSync(out), 'also not its key');
  // A key of an attempt whose response was lost.
  const pending = join(out, '.pending');
  mkdirSync(pending, { recursive: true, mode: 0o700 });
  const made = generateKeySync('p256');
  const key = privateKeyPem(made);
  writeFileSync(join(pending, 'key.pem'), key, { mode: 0o600 });
  const { pem: request } = createCsr({ key: made, commonName: 'second', names: [] });
  writeFileSync(join(pending, 'second.csr.pem'), request);
  t.regex((await enroll('127.0.0.2')).stderr, /\[service-name-mismatch\]/);
  t.is(readFileSync(join(pending, 'key.pem'), 'utf8'), key);
  const done = await enroll('127.0.0.1');
  t.is(done.code, 0, done.stderr);
  t.is(readFileSync(join(out, 'key.pem'), 'utf8'), key);
  t.false(existsSync(pending));
});

test('a token that ends with a line break of Windows is accepted, one with other characters is named', async (t) => {
  const token = await up.ask(tokenSchema, 'token', 'create', '--device', 'windows');
  const { port } = new URL(token.url);
  const enroll = (text: string): ReturnType<typeof flotilla> =>
    flotilla(
      [
        ...['device', 'enroll', '--id', 'windows', '--out', join(tempFolder(t), 'windows')],
        ...['--url', `https://127.0.0.1:${port}`, '--fingerprint', token.fingerprint],
      ],
      { FLOTILLA_TOKEN: text },
    );
  const wrong = await enroll(`${token.token}\r\nx`);
  t.is(wrong.code, 1);
  t.regex(wrong.stderr, /\[token-invalid\]/);
  const done = await enroll(`${token.token}\r\n`);
  t.is(done.code, 0, done.stderr);
});

test('the same holds for the name of the broker', async (t) => {
  const folder = join(tempFolder(t), 'publisher');
  const state = ['--state', up.ready.state];
  const made = await flotilla([
    ...['device', 'enroll', '--id', 'publisher'],
    '--out',
    folder,
    ...state,
  ]);
  t.is(made.code, 0, made.stderr);
  const at = (host: string): Promise<{ code: number; stderr: string }> =>
    flotilla([
      ...['pub', ...state, '--dir', folder, '--mqtts', `${host}:${up.ready.mqtts.port}`],
      ...['devices/publisher/x', 'x'],
    ]);
  t.is((await at('127.0.0.1')).code, 0);
  const wrong = await at('127.0.0.2');
  t.is(wrong.code, 1);
  t.regex(wrong.stderr, /\[service-name-mismatch\]/);
});

test('a loopback address is reported together with the setting that is missing', async (t) => {
  const state = join(tempFolder(t), 'state');
  const local = spawnNode(t, [flotillaPath, 'up', '--json', '--state', state, ...anyPorts], {
    timeoutMs: 110_000,
  });
  const ready = JSON.parse(await local.line(() => true)) as Ready;
  const done = await flotilla(['token', 'create', '--device', 'near', '--state', state]);
  t.is(done.code, 0, done.stderr);
  t.true(done.stdout.includes(`${ready.https.url} works on this machine only`));
  t.regex(done.stdout, /set names \(or\s+enroll\.url\) and host/);
  t.is((await local.stop()).code, 0);
});

async function tokenText(device: string): Promise<string> {
  const done = await flotilla(['token', 'create', '--device', device, '--state', up.ready.state]);
  if (done.code !== 0) throw new Error(done.stderr);
  return done.stdout;
}

/** An empty folder, and a curl that resolves the name as the other machine does. */
function deviceFolder(t: ExecutionContext): string {
  const folder = tempFolder(t);
  const { port } = new URL(up.ready.https.url);
  mkdirSync(join(folder, 'curl'));
  writeFileSync(join(folder, 'curl/.curlrc'), `resolve = "${names}:${port}:127.0.0.1"\n`);
  return folder;
}

/** Runs the shell lines of the text, in the smallest shell, without Node.js on the path. */
function runLines(t: ExecutionContext, folder: string, text: string): Promise<Finished> {
  const lines = /^\(umask[^]*?false; \}\)$/m.exec(text)?.[0] ?? 'false';
  return runChild(t, '/bin/sh', ['-c', lines], {
    cwd: folder,
    timeoutMs: 60_000,
    env: { PATH: '/usr/bin:/bin', CURL_HOME: join(folder, 'curl') },
  });
}

function hasTools(t: ExecutionContext): boolean {
  return ['curl', 'openssl'].every((tool) => debianTool(t, tool) !== undefined);
}
