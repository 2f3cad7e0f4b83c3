/**
 * HAProxy and nginx in front of Flotilla, with the PROXY protocol: the configurations of docs/proxies.md. The
 * balancers connect from 127.0.0.2, clients from 127.0.0.1, so each address that Flotilla reports says whose it is.
 *
 * @module
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { connect } from 'mqtt';
import { z } from 'zod';
import { loadIdentity } from '../../core/identity-folder.ts';
import { callJson } from '../../core/protocol/https-client.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { runChild, spawnChild } from '../support/child.ts';
import { connectWith } from '../support/cli-client.ts';
import { flotilla, startUp, type Up } from '../support/cli.ts';
import { debianTool } from '../support/debian-tool.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

const streamModule = '/usr/lib/nginx/modules/ngx_stream_module.so';
const balancer = '127.0.0.2';

let up: Up;
test.before(async () => {
  process.env['FLOTILLA_PROXIES'] = `[${balancer}]`;
  up = await startUp();
});
test.after.always(() => up.close());

/** A port that was free a moment ago: the balancers cannot choose one themselves and report it. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Ports {
  readonly mqtts: number;
  readonly wss: number;
  readonly https: number;
}

/** The configuration of the documentation, with the addresses of this test. */
function configuration(name: string, ports: Ports): string {
  const page = readFileSync('docs/proxies.md', 'utf8');
  const text = page.split(`<!-- ${name} -->`)[1]?.split('```')[1];
  if (text === undefined) throw new Error(`docs/proxies.md has no ${name}`);
  return text
    .slice(text.indexOf('\n'))
    .replaceAll('10.0.0.5', balancer)
    .replaceAll('10.0.0.7:8883', `127.0.0.1:${up.ready.mqtts.port}`)
    .replaceAll('10.0.0.7:8884', `127.0.0.1:${up.ready.wss.port}`)
    .replaceAll('10.0.0.7:8443', new URL(up.ready.https.url).host)
    .replaceAll('0.0.0.0:8883', `127.0.0.1:${ports.mqtts}`)
    .replaceAll('0.0.0.0:8884', `127.0.0.1:${ports.wss}`)
    .replaceAll('0.0.0.0:8443', `127.0.0.1:${ports.https}`);
}

const auditSchema = z.object({
  lines: z.array(z.object({ action: z.string(), remoteAddress: z.string().optional() })),
});
const connectionsSchema = z.object({
  connections: z.array(z.object({ remoteAddress: z.string() })),
});

async function api<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  const { chain: cert, key, ca } = await loadIdentity(stateFolder(up.ready.state).admin);
  return callJson({ method: 'GET', url: `${up.ready.https.url}${path}`, ca, cert, key }, schema);
}

/** Enrolls a device and connects it over MQTTS and WSS, all through the balancer. */
async function useAll(t: ExecutionContext, id: string, ports: Ports): Promise<void> {
  const folder = join(up.folder, id);
  await until('the balancer accepts connections', () =>
    canConnect(ports.https).then((open) => open && canConnect(ports.mqtts)),
  );
  await up.ask(
    z.unknown(),
    ...['device', 'enroll', '--id', id, '--out', folder],
    ...['--url', `https://127.0.0.1:${ports.https}`],
  );
  const { lines } = await api(`/v1/audit?device=${id}&action=certificate-issued`, auditSchema);
  t.deepEqual(
    lines.map(({ remoteAddress }) => remoteAddress),
    ['127.0.0.1'],
  );
  const client = await connectWith(t, {
    id,
    folder,
    address: { host: '127.0.0.1', port: ports.mqtts },
  });
  const { connections } = await api(`/v1/devices/${id}/connections`, connectionsSchema);
  t.deepEqual(
    connections.map(({ remoteAddress }) => remoteAddress),
    ['127.0.0.1'],
  );
  await client.endAsync();
  const read = (name: string): Buffer => readFileSync(join(folder, name));
  const web = connect(`wss://127.0.0.1:${ports.wss}/mqtt`, {
    ...{ clientId: id, protocolVersion: 5, reconnectPeriod: 0 },
    ...{ ca: read('ca.pem'), cert: read('chain.pem'), key: read('key.pem') },
  });
  t.teardown(() => web.endAsync(true).catch(() => undefined));
  await new Promise((resolve, reject) => web.once('connect', resolve).once('error', reject));
  await web.endAsync();
  await refuseThrough(t, id, ports);
}

/** A refusal is reported with the address of the client too: in the log, the audit log and device show. */
async function refuseThrough(t: ExecutionContext, id: string, ports: Ports): Promise<void> {
  const folder = join(up.folder, id);
  await up.ask(z.unknown(), 'device', 'suspend', id);
  await t.throwsAsync(
    connectWith(t, { id, folder, address: { host: '127.0.0.1', port: ports.mqtts } }),
  );
  const logged = await up.child.errorLine(
    (line) => line.includes('"device-suspended"') && line.includes(`"${id}"`),
    60_000,
  );
  t.true(logged.includes('"remoteAddress":"127.0.0.1"'), logged);
  const refusals = await until('the audit log has the refusal', async () => {
    const { lines } = await api(`/v1/audit?device=${id}&action=access-refused`, auditSchema);
    return lines.length > 0 ? lines : undefined;
  });
  t.deepEqual(new Set(refusals.map(({ remoteAddress }) => remoteAddress)), new Set(['127.0.0.1']));
  const shown = await flotilla(['device', 'show', id, '--state', up.ready.state]);
  t.regex(shown.stdout, /refused .*device-suspended 127\.0\.0\.1/);
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

async function freePorts(): Promise<Ports> {
  return { mqtts: await freePort(), wss: await freePort(), https: await freePort() };
}

for (const version of ['send-proxy-v2', 'send-proxy'] as const) {
  test.serial(`HAProxy reports the address of the client with ${version}`, async (t) => {
    const program = debianTool(t, 'haproxy');
    if (program === undefined) return;
    const ports = await freePorts();
    const path = join(tempFolder(t), 'haproxy.cfg');
    writeFileSync(path, configuration('haproxy', ports).replaceAll('send-proxy-v2', version));
    const checked = await runChild(t, program, ['-c', '-f', path]);
    t.is(checked.code, 0, checked.stderr);
    const child = spawnChild(t, program, ['-db', '-f', path], { timeoutMs: 200_000 });
    t.teardown(() => child.stop('SIGTERM'));
    await useAll(t, `ha-${version}`, ports);
  });
}

test.serial('nginx reports the address of the client', async (t) => {
  const program = debianTool(t, 'nginx');
  if (program === undefined) return;
  if (!existsSync(streamModule)) {
    t.log(`SKIPPED ${t.title}: Debian package libnginx-mod-stream is missing`);
    t.is(process.env['FLOTILLA_TEST_NO_SKIP'], undefined);
    return;
  }
  const ports = await freePorts();
  const folder = tempFolder(t);
  const path = join(folder, 'nginx.conf');
  const main = process.getuid?.() === 0 ? 'user root;\n' : '';
  writeFileSync(
    path,
    `load_module ${streamModule};\n${main}daemon off;\nworker_processes 1;\npid ${folder}/nginx.pid;\n` +
      `error_log stderr notice;\nevents {}\n${configuration('nginx', ports)}`,
  );
  mkdirSync(join(folder, 'logs'));
  const child = spawnChild(t, program, ['-p', folder, '-e', 'stderr', '-c', path], {
    timeoutMs: 200_000,
  });
  // nginx ends its workers only when it is asked to stop.
  t.teardown(() => child.stop('SIGTERM'));
  await useAll(t, 'nginx-proxied', ports);
});

/** Sends bytes from an address, and waits until the server closes the connection. */
function send(port: number, from: string, bytes: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host: '127.0.0.1', port, localAddress: from });
    socket.on('error', (error) => {
      if ('code' in error && error.code === 'ECONNRESET') resolve();
      else reject(error);
    });
    socket.on('close', () => resolve());
    socket.resume();
    socket.write(bytes);
  });
}

for (const [code, from, bytes] of [
  ['proxy-header-refused', '127.0.0.1', 'PROXY TCP4 203.0.113.7 10.0.0.1 1 2\r\n'],
  ['proxy-header-missing', balancer, '\x16\x03\x01\x00\x01'],
  ['proxy-header-invalid', balancer, 'PROXY TCP4 nobody 10.0.0.1 1 2\r\n'],
] as const) {
  test.serial(`each port closes a connection with ${code} and logs why`, async (t) => {
    const { mqtts, wss, https } = up.ready;
    for (const port of [mqtts.port, wss.port, Number(new URL(https.url).port)]) {
      await send(port, from, bytes);
    }
    for (const service of ['broker', 'enroll']) {
      await up.child.errorLine(
        (line) =>
          line.includes(`"${code}"`) && line.includes(`"${service}"`) && line.includes(from),
        60_000,
      );
    }
    t.pass();
  });
}
