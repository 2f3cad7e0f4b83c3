/** The configurations of docs/other-software.md, in the real programs: a device is accepted, a revoked one is not. */
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { createCsr } from '../../certs/csr.ts';
import { generateKeySync, privateKeyPem } from '../../certs/key.ts';
import { issuedSchema } from '../../core/protocol/enrollment-api.ts';
import { runChild, spawnChild, spawnNode } from '../support/child.ts';
import { debianTool } from '../support/debian-tool.ts';
import { enrollService, type TestDevice } from '../support/enroll-service.ts';
import {
  configurationsOf,
  freePort,
  getWith,
  writeConfiguration,
  type ClientFiles,
} from '../support/server-software.ts';
import { until } from '../support/until.ts';

const configurations = configurationsOf('docs/other-software.md');
const isRoot = process.getuid?.() === 0;

/** What /etc/flotilla contains, and two devices. */
interface World {
  readonly folder: string;
  readonly good: ClientFiles;
  readonly revoked: ClientFiles;
}

let world: World;
const closing: (() => unknown)[] = [];

test.before(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-software-'));
  closing.push(() => rmSync(folder, { recursive: true, force: true }));
  const service = await enrollService({ teardown: (call) => void closing.push(call) });
  const device = await service.device('good');
  const other = await service.device('revoked');
  await service.asAdmin('POST', '/v1/devices/revoked/revoke', { reason: 'keyCompromise' });
  const bundle = await service.call({ method: 'GET', path: '/crl/all.pem' });
  writeFileSync(join(folder, 'crl.pem'), bundle.body);
  writeFileSync(join(folder, 'ca.pem'), service.ca);
  const key = generateKeySync('p256');
  const reply = await service.asAdmin('POST', '/v1/services', {
    name: 'gateway',
    role: 'server',
    csr: createCsr({ key, commonName: 'gateway' }).pem,
    names: ['localhost', '127.0.0.1'],
  });
  const { chain } = issuedSchema.parse(reply.body);
  mkdirSync(join(folder, 'server'));
  writeFileSync(join(folder, 'server', 'chain.pem'), chain);
  writeFileSync(join(folder, 'server', 'key.pem'), privateKeyPem(key), { mode: 0o600 });
  writeFileSync(join(folder, 'server', 'both.pem'), chain + privateKeyPem(key), { mode: 0o600 });
  for (const { id, credential } of [device, other]) {
    writeFileSync(join(folder, `${id}.pem`), credential.cert);
    writeFileSync(join(folder, `${id}.key.pem`), credential.key, { mode: 0o600 });
  }
  chmodSync(folder, 0o755);
  const files = ({ credential }: TestDevice): ClientFiles => ({ ...credential, ca: service.ca });
  world = { folder, good: files(device), revoked: files(other) };
});
test.after.always(async () => {
  for (const close of closing.reverse()) await close();
});

function configuration(language: string): string {
  const text = configurations.get(language);
  if (text === undefined) throw new Error(`docs/other-software.md has no block ${language}`);
  return text;
}

/** Waits until a program listens: its answer to the good device is no longer a refused connection. */
async function answerOf(port: number, files: ClientFiles): Promise<string> {
  return until('the program listens', async () => {
    const answer = await getWith(port, files);
    return answer.includes('ECONNREFUSED') ? undefined : answer;
  });
}

test('openssl accepts the whole chain of a device, and rejects a revoked one', async (t) => {
  const openssl = debianTool(t, 'openssl');
  if (openssl === undefined) return;
  const [, ...args] = configuration('sh').trim().split(' ');
  const verify = (id: string): ReturnType<typeof runChild> =>
    runChild(
      t,
      openssl,
      args.map((arg) => (arg === 'device.pem' ? `${id}.pem` : arg)),
      { cwd: world.folder },
    );
  const good = await verify('good');
  t.is(good.code, 0, good.stderr);
  t.regex((await verify('revoked')).stderr, /certificate revoked/);
});

test('nginx accepts a device, and rejects a revoked one', async (t) => {
  const program = debianTool(t, 'nginx');
  if (program === undefined) return;
  const { folder, good, revoked } = world;
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/nginx-${name};`)
    .join(' ');
  const block = configuration('nginx').replace('listen 443', `listen 127.0.0.1:${port}`);
  const main = `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr info;`;
  const path = writeConfiguration(
    folder,
    'nginx.conf',
    `${isRoot ? 'user root; ' : ''}${main}\nevents {}\nhttp { access_log off; ${temporary}\n${block}}\n`,
  );
  const child = spawnChild(t, program, ['-p', folder, '-e', 'stderr', '-c', path]);
  t.teardown(() => child.stop('SIGTERM'));
  t.is(await answerOf(port, good), '200 CN=good');
  t.regex(await getWith(port, revoked), /^400 /);
  await child.errorLine((line) => line.includes('certificate revoked'));
});

test('HAProxy accepts a device, and rejects a revoked one', async (t) => {
  const program = debianTool(t, 'haproxy');
  if (program === undefined) return;
  const { folder, good, revoked } = world;
  const port = await freePort();
  const text = configuration('haproxy').replace('bind :443', `bind 127.0.0.1:${port}`);
  const path = writeConfiguration(folder, 'haproxy.cfg', text);
  const child = spawnChild(t, program, ['-db', '-f', path]);
  t.is(await answerOf(port, good), '200 CN=good', child.stderr());
  t.regex(await getWith(port, revoked), /certificate revoked/);
});

test('Apache accepts a device, and rejects a revoked one', async (t) => {
  const program = debianTool(t, 'apache2');
  if (program === undefined) return;
  const { folder, good, revoked } = world;
  const port = await freePort();
  const web = join(folder, 'web');
  mkdirSync(web);
  writeFileSync(join(web, 'index.html'), 'welcome');
  const modules = [
    ...['mpm_event', 'authz_core', 'ssl', 'socache_shmcb', 'dir'].map(
      (name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`,
    ),
    ...[`ServerName localhost`, `PidFile ${folder}/apache.pid`, `ErrorLog ${folder}/apache.log`],
    ...[`DefaultRuntimeDir ${folder}`, `DocumentRoot ${web}`, `DirectoryIndex index.html`],
    // Apache refuses to run its workers as root.
    ...(isRoot ? ['User nobody', 'Group nogroup'] : []),
  ];
  const block = configuration('apache')
    .replace('Listen 443', `Listen 127.0.0.1:${port}`)
    .replace('*:443', `127.0.0.1:${port}`);
  const path = writeConfiguration(folder, 'apache.conf', `${modules.join('\n')}\n${block}`);
  const child = spawnChild(t, program, ['-X', '-f', path]);
  t.teardown(() => child.stop('SIGTERM'));
  t.is(await answerOf(port, good), '200 welcome', child.stderr());
  t.regex(await getWith(port, revoked), /revoked|handshake failure|ECONNRESET|socket hang up/);
  t.regex(readFileSync(join(folder, 'apache.log'), 'utf8'), /certificate revoked/);
});

test('Mosquitto accepts a device, and rejects a revoked one', async (t) => {
  const [program, publish] = [debianTool(t, 'mosquitto'), debianTool(t, 'mosquitto_pub')];
  if (program === undefined || publish === undefined) return;
  const { folder } = world;
  const port = await freePort();
  const text = configuration('mosquitto').replace('listener 8883', `listener ${port} 127.0.0.1`);
  const path = writeConfiguration(
    folder,
    'mosquitto.conf',
    `${text}${isRoot ? 'user root\n' : ''}allow_anonymous true\n`,
  );
  const child = spawnChild(t, program, ['-c', path]);
  await child.errorLine((line) => line.includes(' running'));
  const send = async (id: string): Promise<string> => {
    const sent = await runChild(
      t,
      publish,
      [
        ...['-h', 'localhost', '-p', String(port), '--cafile', 'ca.pem', '--cert', `${id}.pem`],
        ...['--key', `${id}.key.pem`, '-i', id, '-q', '1', '-t', 'x', '-m', 'hello'],
      ],
      { cwd: folder },
    );
    return `${sent.code} ${sent.stderr}`;
  };
  t.is(await send('good'), '0 ');
  t.notRegex(await send('revoked'), /^0 /);
  await child.errorLine((line) => line.includes('certificate verify failed'));
});

test('stunnel accepts a device, and rejects a revoked one', async (t) => {
  const program = debianTool(t, 'stunnel4');
  if (program === undefined) return;
  const { folder, good, revoked } = world;
  const port = await freePort();
  const plain = createServer((socket) => {
    socket.once('data', () =>
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\nwelcome'),
    );
    socket.on('error', () => undefined);
  });
  plain.listen(0, '127.0.0.1');
  await once(plain, 'listening');
  t.teardown(() => void plain.close());
  const text = configuration('stunnel')
    .replace('accept = 8883', `accept = 127.0.0.1:${port}`)
    .replace('1883', String((plain.address() as AddressInfo).port));
  const path = writeConfiguration(folder, 'stunnel.conf', `foreground = yes\npid =\n${text}`);
  const child = spawnChild(t, program, [path]);
  t.is(await answerOf(port, good), '200 welcome', child.stderr());
  t.notRegex(await getWith(port, revoked), /^200/);
  await child.errorLine((line) => /revoked/.test(line));
});

test('Node.js accepts a device, and rejects a revoked one', async (t) => {
  const { folder, good, revoked } = world;
  const text = configuration('js').replace('listen(443,', "listen(0, '127.0.0.1',");
  const child = spawnNode(t, [writeConfiguration(folder, 'server.mjs', text)]);
  const line = await child.line((one) => one.startsWith('port '));
  const port = Number(line.slice('port '.length));
  t.is(await getWith(port, good), '200 CN=good');
  t.notRegex(await getWith(port, revoked), /^200/);
});
