import test from 'ava';
import { connect as connectTls } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import type { JsonName } from '@peculiar/x509';
import { parseDeviceId } from '../../core/device-id.ts';
import { hostileCertificate } from '../support/broker-hostile-certificate.ts';
import {
  applied,
  brokerWorld,
  certificateFacts,
  connectPacket,
  subscribe,
  untilClosed,
  type BrokerWorld,
  type TestIdentity,
} from '../support/broker-world.ts';
import { testCa } from '../support/test-ca.ts';
import { until } from '../support/until.ts';

test('an enrolled device connects and publishes on its own topic', async (t) => {
  const world = await brokerWorld(t);
  const device = world.device('sensor-1');
  const backend = await world.mqtt(world.device('backend', { role: 'service' }), {
    clientId: 'backend',
  });
  const seen: string[] = [];
  backend.on('message', (topic, payload) => seen.push(`${topic} ${payload.toString()}`));
  await backend.subscribeAsync('devices/#', { qos: 1 });
  const client = await world.mqtt(device, { clientId: 'sensor-1' });
  await client.publishAsync('devices/sensor-1/t', '21', { qos: 1 });
  await until('the backend sees it', () => seen.length > 0);
  t.deepEqual(seen, ['devices/sensor-1/t 21']);
});

/** Opens TLS, sends a CONNECT at once, and expects that the connection closes without any MQTT byte. */
async function refusedBeforeMqtt(
  world: BrokerWorld,
  identity: TestIdentity | undefined,
): Promise<string[]> {
  const from = world.codes('connection refused').length;
  const socket = await world.tls(identity);
  socket.write(connectPacket('sensor-1'));
  const received = await untilClosed(socket);
  if (received.length > 0) throw new Error(`the broker answered ${received.toString('hex')}`);
  if (world.capture.lines.some(({ msg }) => msg === 'connected')) throw new Error('connected');
  return world.codes('connection refused').slice(from);
}

test('a client without a certificate is refused before it can send MQTT', async (t) => {
  const world = await brokerWorld(t);
  t.deepEqual(await refusedBeforeMqtt(world, undefined), ['certificate-missing']);
});

test('a certificate of another CA is refused before the client can send MQTT', async (t) => {
  const world = await brokerWorld(t);
  world.device('sensor-1');
  const foreign = testCa('Foreign').issue({ profile: 'device', commonName: 'sensor-1' });
  t.deepEqual(await refusedBeforeMqtt(world, foreign), ['certificate-untrusted']);
  const line = world.capture.lines.find(({ msg }) => msg === 'connection refused');
  t.is(line?.['device'], undefined, 'its name is not trusted');
  t.regex(String(line?.['detail']), /claims sensor-1/);
});

test('an expired certificate of another CA is refused as untrusted', async (t) => {
  const world = await brokerWorld(t);
  world.device('sensor-1');
  const foreign = testCa('Foreign').issue({
    profile: 'device',
    commonName: 'sensor-1',
    notBeforeMs: Date.now() - 240_000,
    validityMs: -60_000,
  });
  t.deepEqual(await refusedBeforeMqtt(world, foreign), ['certificate-untrusted']);
});

test('a certificate that expired longer ago than the grace period is refused', async (t) => {
  const world = await brokerWorld(t);
  world.feed.graceMs = 1000;
  world.feed.disconnect();
  await until('the feed is connected', () => world.feed.connections > 0);
  const device = world.device('sensor-1', {
    notBeforeMs: Date.now() - 240_000,
    validityMs: -60_000,
  });
  await until('the directory has it', () => applied(world));
  t.deepEqual(await refusedBeforeMqtt(world, device), ['certificate-expired']);
});

test('a certificate in the grace period may only renew', async (t) => {
  const world = await brokerWorld(t);
  const device = world.device('sensor-1', {
    notBeforeMs: Date.now() - 240_000,
    validityMs: -60_000,
  });
  await until('the directory has it', () => applied(world));
  const client = await world.mqtt(device, { clientId: 'sensor-1' });
  const granted = await subscribe(client, ['$fleet/certs/sensor-1/+', 'devices/sensor-1/#']);
  t.deepEqual(granted, [0, 128]);
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
  client.publish('devices/sensor-1/t', 'x');
  await closed;
  await until('it is in the log', () => world.codes('denied by policy').includes('publish-denied'));
  t.pass();
});

test('a client with a server certificate is refused', async (t) => {
  const world = await brokerWorld(t);
  const server = world.ca.issue({ profile: 'server', commonName: 'sensor-1' });
  t.deepEqual(await refusedBeforeMqtt(world, server), ['certificate-wrong-purpose']);
});

test('a client with an expired server certificate is refused because of its purpose', async (t) => {
  const world = await brokerWorld(t);
  const server = world.ca.issue({
    profile: 'server',
    commonName: 'sensor-1',
    notBeforeMs: Date.now() - 240_000,
    validityMs: -60_000,
  });
  world.feed.set({
    id: parseDeviceId('sensor-1'),
    role: 'device',
    status: 'active',
    group: null,
    attributes: {},
    certificates: [certificateFacts(server)],
  });
  await until('the directory has it', () => applied(world));
  t.deepEqual(await refusedBeforeMqtt(world, server), ['certificate-wrong-purpose']);
});

const names: readonly [string, JsonName, string][] = [
  ['a slash', [{ CN: ['a/b'] }], 'certificate-cn-invalid'],
  ['a plus', [{ CN: ['a+b'] }], 'certificate-cn-invalid'],
  ['a hash', [{ CN: ['a#'] }], 'certificate-cn-invalid'],
  ['a dollar', [{ CN: ['$SYS'] }], 'certificate-cn-invalid'],
  ['a NUL', [{ CN: ['admin\0.evil'] }], 'certificate-cn-invalid'],
  ['a line break and another CN', [{ CN: ['dev1\nCN=admin'] }], 'certificate-cn-invalid'],
  ['two relative names', [{ CN: ['sensor-1'] }, { CN: ['admin'] }], 'certificate-cn-multiple'],
  ['two values in one', [{ CN: ['sensor-1', 'admin'] }], 'certificate-cn-multiple'],
  ['no common name', [{ O: ['sensor-1'] }], 'certificate-cn-missing'],
];
for (const [what, name, code] of names) {
  test(`a common name with ${what} is refused before the client can send MQTT`, async (t) => {
    const world = await brokerWorld(t);
    const hostile = await hostileCertificate(world.ca, name);
    t.deepEqual(await refusedBeforeMqtt(world, hostile), [code]);
  });
}

test('a valid certificate that is not in the directory is refused', async (t) => {
  const world = await brokerWorld(t);
  const unknown = world.ca.issue({ profile: 'device', commonName: 'sensor-2' });
  t.deepEqual(await refusedBeforeMqtt(world, unknown), ['device-unknown']);
  world.device('sensor-1');
  await until('the directory has it', () => applied(world));
  const stray = world.ca.issue({ profile: 'device', commonName: 'sensor-1' });
  t.deepEqual(await refusedBeforeMqtt(world, stray), ['certificate-unknown']);
});

test('suspended, revoked and retired certificates are refused, each with its own code', async (t) => {
  const world = await brokerWorld(t);
  const device = world.device('sensor-1');
  const reasons: string[] = [];
  const after = async (act: () => void): Promise<void> => {
    act();
    await until('it is applied', () => applied(world));
    reasons.push(...(await refusedBeforeMqtt(world, device)));
  };
  await after(() => world.change('sensor-1', { status: 'suspended' }));
  await after(() => world.change('sensor-1', { status: 'revoked' }));
  await after(
    () => world.change('sensor-1', { status: 'active' }) ?? world.mark('sensor-1', 'retired'),
  );
  await after(() => world.mark('sensor-1', 'revoked'));
  t.deepEqual(reasons, [
    'device-suspended',
    'device-revoked',
    'certificate-retired',
    'certificate-revoked',
  ]);
});

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a revoked certificate is refused on a resumed ${version} session`, async (t) => {
    const world = await brokerWorld(t);
    const device = world.device('sensor-1');
    await until('the directory has it', () => applied(world));
    const range = { minVersion: version, maxVersion: version };
    const ticket = await sessionOf(world, device, range);
    const again = await world.tls(device, { ...range, session: ticket });
    t.true(again.isSessionReused(), 'resumption works');
    again.destroy();

    world.mark('sensor-1', 'revoked');
    await until('it is applied', () => applied(world));
    const resumed = await world.tls(device, { ...range, session: ticket });
    t.true(resumed.isSessionReused());
    resumed.write(connectPacket('sensor-1'));
    t.is((await untilClosed(resumed)).length, 0);
    const line = world.capture.lines.findLast(({ msg }) => msg === 'connection refused');
    t.like(line, { code: 'certificate-revoked', device: 'sensor-1', stage: `${version} resumed` });
  });
}

test('a resumed session has the identity of the certificate in its ticket', async (t) => {
  const world = await brokerWorld(t);
  const device = world.device('sensor-1');
  const other = world.device('sensor-2');
  await until('the directory has it', () => applied(world));
  const ticket = await sessionOf(world, device, {});
  world.mark('sensor-1', 'revoked');
  await until('it is applied', () => applied(world));
  const resumed = await world.tls(other, { session: ticket });
  resumed.write(connectPacket('sensor-2'));
  t.is((await untilClosed(resumed)).length, 0);
  t.is(world.codes('connection refused').at(-1), 'certificate-revoked');
});

test('the client id of another device is refused, and that device stays connected', async (t) => {
  const world = await brokerWorld(t);
  const first = world.device('sensor-1');
  const second = world.device('sensor-2');
  const victim = await world.mqtt(first, { clientId: 'sensor-1' });
  await t.throwsAsync(world.mqtt(second, { clientId: 'sensor-1' }), { message: /refused/i });
  t.true(victim.connected);
  t.deepEqual(world.codes('connection refused'), ['client-id-not-allowed']);
});

test('a client id with a suffix is allowed only for roles with clientIds: prefix', async (t) => {
  const world = await brokerWorld(t);
  const device = world.device('sensor-1');
  const service = world.device('backend', { role: 'service' });
  await t.throwsAsync(world.mqtt(device, { clientId: 'sensor-1/a' }), { message: /refused/i });
  await t.notThrowsAsync(world.mqtt(service, { clientId: 'backend/a' }));
  await t.throwsAsync(world.mqtt(service, { clientId: 'backend/' }), { message: /refused/i });
});

test('connections for WebSocket pass the same admission', async (t) => {
  const world = await brokerWorld(t);
  const device = world.device('sensor-1');
  const wss = {
    protocol: 'wss',
    path: '/mqtt',
    clientId: 'sensor-1',
    wsOptions: {
      ca: world.ca.ca,
      cert: device.cert,
      key: device.key,
      servername: 'localhost',
    },
  } as const;
  const client = await world.mqtt(device, wss);
  await client.publishAsync('devices/sensor-1/t', 'x', { qos: 1 });
  client.end(true);
  world.mark('sensor-1', 'revoked');
  await until('it is applied', () => applied(world));
  await t.throwsAsync(world.mqtt(device, wss));
  t.is(world.codes('connection refused').at(-1), 'certificate-revoked');
});

test('plain HTTP and an unknown ALPN protocol are refused', async (t) => {
  const world = await brokerWorld(t);
  const { port } = world.broker.addresses.mqtts;
  const options = { host: '127.0.0.1', port, servername: 'localhost', ca: world.ca.ca };
  const socket = connectTls({ ...options, ALPNProtocols: ['h2'] });
  const error = await new Promise<Error>((resolve) => socket.once('error', resolve));
  t.regex(error.message, /alert|no_application_protocol/);
  await until('it is counted', () => world.codes('TLS handshake failed').length > 0);
  t.deepEqual(world.codes('TLS handshake failed'), ['alpn-unsupported']);
  const device = world.device('sensor-1');
  const good = await world.tls(device, { ALPNProtocols: ['x-amzn-mqtt-ca'] });
  t.is(good.alpnProtocol, 'x-amzn-mqtt-ca');
});

/** The TLS session of an admitted connection. */
async function sessionOf(
  world: BrokerWorld,
  identity: TestIdentity,
  options: object,
): Promise<Buffer> {
  const socket: TLSSocket = await world.tls(identity, options);
  const session = new Promise<Buffer>((resolve) => socket.once('session', resolve));
  socket.write(connectPacket('sensor-1'));
  socket.resume();
  const ticket = socket.getProtocol() === 'TLSv1.3' ? await session : socket.getSession()!;
  socket.destroy();
  return ticket;
}

test('TLS has authenticated encryption and elliptic curves only, and no renegotiation', async (t) => {
  const world = await brokerWorld(t);
  const device = world.device('sensor-1');
  const old = { maxVersion: 'TLSv1.2' as const };
  const cbc = 'ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA256:AES128-SHA';
  await t.throwsAsync(world.tls(device, { ...old, ciphers: cbc }));
  await t.throwsAsync(world.tls(device, { ecdhCurve: 'ffdhe2048' }));
  t.is((await world.tls(device)).getProtocol(), 'TLSv1.3');
  const socket = await world.tls(device, old);
  t.regex(socket.getCipher().name, /GCM|CHACHA20/);
  const failed = new Promise((resolve) => {
    socket.on('error', resolve);
    socket.renegotiate({ rejectUnauthorized: false }, (error) => resolve(error));
  });
  t.true((await failed) instanceof Error);
});
