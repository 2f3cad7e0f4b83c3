/** The configurations of examples/nginx, in a real nginx in front of a running Flotilla. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { runChild, spawnChild, type Child } from '../support/child.ts';
import { connectWith } from '../support/cli-client.ts';
import { startUp, type Up } from '../support/cli.ts';
import { debianTool } from '../support/debian-tool.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

const streamModule = '/usr/lib/nginx/modules/ngx_stream_module.so';

let up: Up;
test.before(async () => {
  up = await startUp();
});
test.after.always(() => up.close());

/** A port that was free a moment ago: nginx cannot choose one itself and report it. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts nginx with a configuration, after `nginx -t` has accepted it. */
async function nginx(
  t: ExecutionContext,
  program: string,
  folder: string,
  blocks: string,
): Promise<Child> {
  const path = join(folder, 'nginx.conf');
  const main = process.getuid?.() === 0 ? 'user root;\n' : '';
  writeFileSync(
    path,
    `${main}daemon off;\nworker_processes 1;\npid ${folder}/nginx.pid;\nerror_log stderr notice;\n${blocks}\n`,
  );
  const args = ['-p', folder, '-e', 'stderr', '-c', path];
  const checked = await runChild(t, program, [...args, '-t']);
  t.is(checked.code, 0, checked.stderr);
  const child = spawnChild(t, program, args, { timeoutMs: 200_000 });
  await child.errorLine((line) => line.includes('start worker process '), 60_000);
  // nginx ends its workers only when it is asked to stop.
  t.teardown(() => child.stop('SIGTERM'));
  return child;
}

test('nginx serves the CRL and OCSP over HTTP, and nothing else', async (t) => {
  const [program, openssl] = [debianTool(t, 'nginx'), debianTool(t, 'openssl')];
  if (program === undefined || openssl === undefined) return;
  const folder = tempFolder(t);
  const port = await freePort();
  const text = readFileSync('examples/nginx/flotilla-pki.conf', 'utf8')
    .replace('listen 80;', `listen 127.0.0.1:${port};`)
    .replaceAll('https://127.0.0.1:8443', up.ready.https.url)
    .replace('/etc/nginx/flotilla-root.pem', up.ready.ca.file);
  t.false(text.includes('8443') || text.includes('/etc/nginx/flotilla'));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(' ');
  await nginx(t, program, folder, `events {}\nhttp { access_log off; ${temporary}\n${text}\n}`);

  const crl = await fetch(`http://127.0.0.1:${port}/crl.pem`);
  t.is(crl.status, 200);
  writeFileSync(join(folder, 'crl.pem'), await crl.text());
  const shown = await runChild(t, openssl, [
    'crl',
    '-in',
    join(folder, 'crl.pem'),
    '-noout',
    '-issuer',
  ]);
  t.is(shown.code, 0, shown.stderr);
  t.is(
    (await fetch(`http://127.0.0.1:${port}/crl`)).headers.get('content-type'),
    'application/pkix-crl',
  );
  const issuer = await up.ask(
    z.object({ issuers: z.array(z.object({ fingerprint: z.string() })) }),
    'issuer',
    'list',
  );
  const name = issuer.issuers[0]!.fingerprint.replace('sha256:', '');
  t.is((await fetch(`http://127.0.0.1:${port}/crl/${name}.pem`)).status, 200);
  for (const path of [
    '/',
    '/v1/ca',
    '/v1/devices',
    '/crlx',
    '/ocspx',
    '/.well-known/est/cacerts',
  ]) {
    t.is((await fetch(`http://127.0.0.1:${port}${path}`)).status, 404, path);
  }

  const device = join(up.folder, 'nginx-1');
  await up.ask(z.unknown(), 'device', 'enroll', '--id', 'nginx-1', '--out', device);
  const authorities = readFileSync(join(device, 'ca.pem'), 'utf8');
  const issuerPem = authorities.slice(authorities.lastIndexOf('-----BEGIN '));
  writeFileSync(join(folder, 'issuer.pem'), issuerPem);
  const ocsp = (): ReturnType<typeof runChild> =>
    runChild(t, openssl, [
      ...['ocsp', '-issuer', join(folder, 'issuer.pem'), '-cert', join(device, 'cert.pem')],
      ...['-CAfile', join(device, 'ca.pem'), '-url', `http://127.0.0.1:${port}/ocsp`],
    ]);
  const good = await ocsp();
  t.regex(good.stdout, /cert\.pem: good/, good.stderr);
  t.regex(good.stderr, /Response verify OK/);
  await up.ask(z.unknown(), 'device', 'revoke', 'nginx-1');
  t.regex((await ocsp()).stdout, /cert\.pem: revoked/);
});

test('nginx passes TLS through to the broker and to enrollment, client certificates included', async (t) => {
  const program = debianTool(t, 'nginx');
  if (program === undefined) return;
  if (!existsSync(streamModule)) {
    if (process.env['FLOTILLA_TEST_NO_SKIP'])
      t.fail('Debian package libnginx-mod-stream is missing');
    t.log(`SKIPPED ${t.title}: the stream module is missing (Debian package libnginx-mod-stream)`);
    t.pass();
    return;
  }
  const folder = tempFolder(t);
  const [mqtts, https] = [await freePort(), await freePort()];
  const text = readFileSync('examples/nginx/flotilla-stream.conf', 'utf8')
    .replace('10.0.0.7:8883', `127.0.0.1:${up.ready.mqtts.port}`)
    .replace('10.0.0.7:8443', new URL(up.ready.https.url).host)
    .replace('0.0.0.0:8883', `127.0.0.1:${mqtts}`)
    .replace('0.0.0.0:8443', `127.0.0.1:${https}`);
  await nginx(t, program, folder, `load_module ${streamModule};\nevents {}\nstream {\n${text}\n}`);
  const device = join(up.folder, 'stream-1');
  await up.ask(
    z.unknown(),
    ...['device', 'enroll', '--id', 'stream-1', '--out', device],
    ...['--url', `https://127.0.0.1:${https}`],
  );
  const received: string[] = [];
  const client = await until('the broker accepts the device', () =>
    connectWith(t, {
      id: 'stream-1',
      folder: device,
      address: { host: '127.0.0.1', port: mqtts },
      onMessage: (topic, payload) => received.push(`${topic} ${payload}`),
    }).catch(() => undefined),
  );
  await client.subscribeAsync('devices/stream-1/#', { qos: 1 });
  await client.publishAsync('devices/stream-1/hello', 'through nginx', { qos: 1 });
  await until('the message comes back', () => received.length > 0);
  t.deepEqual(received, ['devices/stream-1/hello through nginx']);
  await client.endAsync();
});
