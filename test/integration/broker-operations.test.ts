import test from 'ava';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createCsr, parseCsr } from '../../certs/csr.ts';
import { parseDeviceId } from '../../core/device-id.ts';
import type { Denied } from '../../core/protocol/feed.ts';
import type { Issued } from '../../core/protocol/enrollment-api.ts';
import { identityFiles } from '../../core/state-folder.ts';
import {
  applied,
  brokerWorld,
  collect,
  ended,
  subscribe,
  writeIdentity,
  type BrokerWorld,
} from '../support/broker-world.ts';
import { testCa } from '../support/test-ca.ts';
import { until } from '../support/until.ts';

import { generateKeySync } from '../../certs/key.ts';

/** Issues the certificate of a renewal request, as the enrollment service does. */
function issueFor(world: BrokerWorld, csr: string, names: string[] = []): Issued {
  const { spki, commonName } = parseCsr(csr);
  const isBroker = commonName === 'broker-1';
  const issued = world.ca.issuer.issue({
    spki,
    profile: isBroker ? 'broker' : 'device',
    commonName: commonName ?? '',
    names: isBroker
      ? { dns: ['localhost'], ip: ['127.0.0.1'], uri: [] }
      : { dns: names, ip: [], uri: [] },
    validityMs: 86_400_000,
  });
  return {
    device: parseDeviceId(commonName ?? ''),
    serial: issued.serial,
    fingerprint: issued.fingerprint,
    notBefore: new Date(issued.notBeforeMs).toISOString(),
    notAfter: new Date(issued.notAfterMs).toISOString(),
    certificate: issued.pem,
    chain: issued.pem + world.ca.issuer.certificate.pem,
    ca: world.ca.ca,
  };
}

async function metric(world: BrokerWorld, line: string | RegExp): Promise<string | undefined> {
  const response = await fetch(`${world.broker.addresses.metrics.url}/metrics`);
  const text = await response.text();
  return text
    .split('\n')
    .find((one) => (typeof line === 'string' ? one.startsWith(line) : line.test(one)));
}

test('a device renews over MQTT and receives the reason of a rejection', async (t) => {
  const world = await brokerWorld(t);
  const client = await world.mqtt(world.device('sensor-1'), { clientId: 'sensor-1' });
  const seen: { topic: string; body: Record<string, unknown> }[] = [];
  client.on('message', (topic, payload) =>
    seen.push({ topic, body: JSON.parse(payload.toString()) as Record<string, unknown> }),
  );
  t.deepEqual(await subscribe(client, ['$fleet/certs/sensor-1/+'], 1), [1]);
  world.feed.respond = (_path, body) => ({
    status: 201,
    body: issueFor(world, (body as { csr: string }).csr),
  });
  const csr = createCsr({ key: generateKeySync('p256'), commonName: 'sensor-1' });
  await client.publishAsync('$fleet/certs/sensor-1/renew', csr.pem, { qos: 1 });
  await until('the response', () => seen.length === 1);
  t.is(seen[0]?.topic, '$fleet/certs/sensor-1/accepted');
  t.regex(String(seen[0]?.body['certificate']), /BEGIN CERTIFICATE/);
  t.like(world.feed.calls[0], { path: '/v1/relay/renew' });
  t.like(world.feed.calls[0]?.body, { device: 'sensor-1', remoteAddress: '127.0.0.1' });

  const again = JSON.stringify({ csr: csr.pem, proof: 'c2lnbmVk' });
  await client.publishAsync('$fleet/certs/sensor-1/renew', again, { qos: 1 });
  await until('the response to JSON', () => seen.length === 2);
  t.like(world.feed.calls[1]?.body, { proof: 'c2lnbmVk' });
  await client.publishAsync('$fleet/certs/sensor-1/renew', csr.der, { qos: 1 });
  await until('the response to DER', () => seen.length === 3);
  t.regex((world.feed.calls[2]?.body as { csr: string }).csr, /BEGIN CERTIFICATE REQUEST/);
  seen.pop();
  for (const bad of ['nonsense', '{"csr":7}', `{"csr":"${'x'.repeat(30_000)}"}`]) {
    await client.publishAsync('$fleet/certs/sensor-1/renew', bad, { qos: 1 });
  }
  await until('three rejections', () => seen.length === 5);
  t.true(seen.slice(2).every(({ topic }) => topic.endsWith('/rejected')));
  t.true(seen.slice(2).every(({ body }) => body['code'] === 'renewal-invalid'));
  world.feed.respond = () => ({
    status: 403,
    body: { type: 'x', title: 'x', status: 403, code: 'device-suspended' },
  });
  await client.publishAsync('$fleet/certs/sensor-1/renew', csr.pem, { qos: 1 });
  await until('its rejection', () => seen.length === 6);
  t.is(seen[5]?.body['code'], 'device-suspended');
  await world.feed.close();
  await client.publishAsync('$fleet/certs/sensor-1/renew', csr.pem, { qos: 1 });
  await until('the unavailable service', () => seen.length === 7);
  t.is(seen[6]?.body['code'], 'service-unreachable');
});

test('a device cannot publish on the renewal topic of another device', async (t) => {
  const world = await brokerWorld(t);
  const client = await world.mqtt(world.device('sensor-1'), { clientId: 'sensor-1' });
  client.publish('$fleet/certs/sensor-2/renew', 'x');
  await ended(client);
  t.deepEqual(world.feed.calls, []);
  t.is(world.codes('denied by policy').at(-1), 'topic-reserved');
});

test('changed files are used without a restart, and no connection is closed', async (t) => {
  const world = await brokerWorld(t);
  const device = world.device('sensor-1');
  const client = await world.mqtt(device, { clientId: 'sensor-1' });
  const shown = async (): Promise<string> => {
    const socket = await world.tls(device);
    const serial = socket.getPeerX509Certificate()!.serialNumber.toLowerCase();
    socket.destroy();
    return serial;
  };
  const names = ['localhost', '127.0.0.1'];
  const fresh = world.ca.issue({ profile: 'broker', commonName: 'broker-1', names });
  t.not(await shown(), fresh.serial);
  writeIdentity(world.state.broker.identity, fresh, world.ca.ca);
  await until('the new certificate is presented', async () => (await shown()) === fresh.serial);
  await until('the feed uses it', () => world.feed.connections === 1);

  const files = identityFiles(world.state.broker.identity);
  writeFileSync(files.chain, 'nonsense');
  await until(
    'the metric reports the failure',
    async () => (await metric(world, 'flotilla_reload_failed')) === 'flotilla_reload_failed 1',
  );
  t.is(await shown(), fresh.serial, 'the previous certificate stays in force');
  const status = await fetch(`${world.broker.addresses.metrics.url}/statusz`);
  t.is(status.status, 503);
  t.regex(await status.text(), /certificates/);
  const ready = await fetch(`${world.broker.addresses.metrics.url}/readyz`);
  t.is(ready.status, 200, 'the broker is ready');
  writeIdentity(world.state.broker.identity, fresh, world.ca.ca);
  await until(
    'the metric reports success',
    async () => (await metric(world, 'flotilla_reload_failed')) === 'flotilla_reload_failed 0',
  );

  t.deepEqual(await subscribe(client, ['news/#']), [128]);
  writeFileSync(
    world.state.policy,
    "version: 1\nroles:\n  device:\n    rules: [{ allow: [publish, subscribe], topics: ['devices/{device}/#', 'news/#'] }]\n",
  );
  await until('the new policy', async () => (await subscribe(client, ['news/#']))[0] === 0);
  t.true(client.connected);
});

test('a CA of the feed is trusted until the feed removes it, also for resumed sessions', async (t) => {
  const world = await brokerWorld(t);
  const device = world.device('sensor-1');
  await until('applied', () => applied(world));
  const socket = await world.tls(device);
  const ticket = await new Promise<Buffer>((resolve) => socket.once('session', resolve));
  socket.destroy();
  const next = testCa('Next');
  const authorities = (pem: string[]): void => {
    world.feed.sequence++;
    world.feed.send({ type: 'authorities', sequence: world.feed.sequence, pem });
  };
  authorities([world.ca.ca, next.ca]);
  const incoming = next.issue({ profile: 'device', commonName: 'sensor-2' });
  world.feed.set({
    ...world.feed.entries.get('sensor-1')!,
    id: parseDeviceId('sensor-2'),
    certificates: [
      {
        serial: incoming.serial,
        fingerprint: incoming.fingerprint,
        notBeforeMs: incoming.notBeforeMs,
        notAfterMs: incoming.notAfterMs,
        status: 'active',
      },
    ],
  });
  await until('applied', () => applied(world));
  t.true((await world.mqtt(incoming, { clientId: 'sensor-2' })).connected);
  authorities([next.ca]);
  world.device('marker');
  await until('applied', () => applied(world));
  await t.throwsAsync(world.mqtt(device, { clientId: 'sensor-1' }));
  t.is(world.codes('connection refused').at(-1), 'certificate-untrusted');
  const resumed = await world.tls(device, { session: ticket });
  t.false(resumed.isSessionReused(), 'previous tickets are invalid');
});

test('the broker renews its own certificate with a new key and uses it at once', async (t) => {
  const world = await brokerWorld(t);
  const device = world.device('sensor-1');
  const client = await world.mqtt(device, { clientId: 'sensor-1' });
  world.feed.respond = (path, body) =>
    path === '/v1/renew'
      ? { status: 201, body: issueFor(world, (body as { csr: string }).csr) }
      : { status: 404, body: {} };
  const names = ['localhost', '127.0.0.1'];
  const old = world.ca.issue({
    profile: 'broker',
    commonName: 'broker-1',
    names,
    validityMs: 60_000,
    notBeforeMs: Date.now() - 240_000,
  });
  writeIdentity(world.state.broker.identity, old, world.ca.ca);
  await world.broker.reload();
  await until('it was renewed', () =>
    world.capture.lines.some(({ msg }) => msg === 'certificate of the broker renewed'),
  );
  const socket = await world.tls(device);
  const shown = socket.getPeerX509Certificate()!;
  t.not(shown.serialNumber.toLowerCase(), old.serial);
  t.is(shown.checkHost('localhost'), 'localhost');
  t.not(
    shown.publicKey.export({ type: 'spki', format: 'pem' }),
    new X509Certificate(old.leaf).publicKey.export({ type: 'spki', format: 'pem' }),
  );
  t.true(client.connected);
  await world.restart();
  t.true((await world.mqtt(device, { clientId: 'sensor-1' })).connected);
});

test('a clone is detected, reported to operators and the service, and quarantined at once', async (t) => {
  const world = await brokerWorld(t, { config: { broker: { cloneReaction: 'quarantine' } } });
  const backend = await world.mqtt(world.device('backend', { role: 'service' }), {
    clientId: 'backend',
  });
  const events = collect(backend);
  await backend.subscribeAsync('$fleet/incidents');
  const device = world.device('sensor-1');
  const from = (localAddress: string): ReturnType<BrokerWorld['mqtt']> =>
    world.mqtt(device, { clientId: 'sensor-1', localAddress } as object);
  await from('127.0.0.1');
  await from('127.0.0.2');
  await from('127.0.0.1');
  const last = await from('127.0.0.2');
  await until('the event', () => events.length === 1);
  t.regex(events[0] ?? '', /"kind":"clone".*127\.0\.0\.1.*127\.0\.0\.2/);
  await until('it is reported to the service', () =>
    world.feed.reports.some(({ incidents }) => incidents.length > 0),
  );
  t.like(world.feed.reports.flatMap(({ incidents }) => incidents)[0], {
    id: 'sensor-1',
    kind: 'clone',
    reaction: 'quarantine',
  });
  t.deepEqual(await subscribe(last, ['devices/sensor-1/#']), [128]);
  world.change('sensor-1', { status: 'quarantined' });
  world.change('sensor-1', { status: 'active' });
  await until('applied', () => applied(world));
  t.deepEqual(await subscribe(last, ['devices/sensor-1/#']), [0], 'an operator resumed it');
});

test('connections that take the session over from each other cause an event and the configured reaction', async (t) => {
  const world = await brokerWorld(t, { config: { broker: { overlapReaction: 'quarantine' } } });
  const backend = await world.mqtt(world.device('backend', { role: 'service' }), {
    clientId: 'backend',
  });
  const events = collect(backend);
  await backend.subscribeAsync('$fleet/incidents');
  const device = world.device('sensor-1');
  const connect = (): ReturnType<BrokerWorld['mqtt']> =>
    world.mqtt(device, { clientId: 'sensor-1' });
  for (let n = 0; n < 3; n++) await connect();
  t.deepEqual(events, []);
  const last = await connect();
  await until('the event', () => events.length === 1);
  t.regex(events[0] ?? '', /"kind":"overlap".*127\.0\.0\.1.*"quarantine"/);
  t.deepEqual(await subscribe(last, ['devices/sensor-1/#']), [128]);
  await until('it is reported to the service', () =>
    world.feed.reports.some(({ incidents }) => incidents.some(({ kind }) => kind === 'overlap')),
  );
});

test('a broker that receives a suspension in a snapshot ends its hold when the operator resumes the device', async (t) => {
  const world = await brokerWorld(t, { config: { broker: { cloneReaction: 'suspend' } } });
  const device = world.device('sensor-1');
  for (const localAddress of ['127.0.0.1', '127.0.0.2', '127.0.0.1', '127.0.0.2']) {
    await world.mqtt(device, { clientId: 'sensor-1', localAddress } as object);
  }
  await until('it is reported to the service', () =>
    world.feed.reports.some(({ incidents }) => incidents.length > 0),
  );
  world.feed.disconnect();
  world.change('sensor-1', { status: 'suspended' });
  await until('the feed is connected', () => applied(world));
  world.change('sensor-1', { status: 'active' });
  await until('the operator resumed it', () => applied(world));
  t.true((await world.mqtt(device, { clientId: 'sensor-1' })).connected);
});

test('a device that connects too often is refused until the minute ends', async (t) => {
  const world = await brokerWorld(t, {
    config: { limits: { broker: { connectsPerDevicePerMinuteMax: 3 } } },
  });
  const device = world.device('sensor-1');
  const tries: boolean[] = [];
  for (let n = 0; n < 5; n++) {
    tries.push(
      await world.mqtt(device, { clientId: 'sensor-1' }).then(
        (c) => c.connected,
        () => false,
      ),
    );
  }
  t.deepEqual(tries, [true, true, true, false, false]);
  t.is(world.codes('connection refused').at(-1), 'device-flapping');
  t.true((await world.mqtt(world.device('sensor-2'), { clientId: 'sensor-2' })).connected);
});

test('a connection is closed at its maximum age', async (t) => {
  const world = await brokerWorld(t, { config: { broker: { connectionMaxAge: '1s' } } });
  const client = await world.mqtt(world.device('sensor-1'), { clientId: 'sensor-1' });
  await ended(client);
  await until('its reason', () => world.codes('connection closed').includes('connection-too-old'));
  t.pass();
});

test('a thousand slow handshakes do not prevent a device from connecting', async (t) => {
  const world = await brokerWorld(t, {
    // Long enough that a busy machine has all of them open at once.
    config: { limits: { broker: { handshakeTimeoutMs: 15_000 } } },
  });
  const device = world.device('sensor-1');
  await until('applied', () => applied(world));
  const { port } = world.broker.addresses.mqtts;
  // Each sends half of a ClientHello: a record header that announces more bytes than follow.
  const sockets = Array.from({ length: 1000 }, () => {
    const socket = connect(port, '127.0.0.1', () => socket.write(Buffer.from([22, 3, 1, 2, 0, 1])));
    socket.on('error', () => undefined);
    return socket;
  });
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  await until(
    'they are connected',
    async () =>
      Number((await metric(world, 'flotilla_tls_handshakes_half_open'))?.split(' ')[1]) > 900,
  );
  const client = await world.mqtt(device, {
    clientId: 'sensor-1',
    localAddress: '127.0.0.2',
  } as object);
  t.true(client.connected);
  await until('they are closed', () => sockets.every(({ destroyed }) => destroyed));
});

test('a client id of 64 KB and a SUBSCRIBE with 10,000 filters close only that connection', async (t) => {
  const world = await brokerWorld(t);
  const bystander = await world.mqtt(world.device('sensor-2'), { clientId: 'sensor-2' });
  const device = world.device('sensor-1');
  await t.throwsAsync(world.mqtt(device, { clientId: 'sensor-1'.padEnd(65_535, 'x') }));
  t.is(world.codes('connection refused').at(-1), 'client-id-not-allowed');
  const client = await world.mqtt(device, { clientId: 'sensor-1' });
  const filters = Array.from({ length: 10_000 }, (_, n) => `devices/sensor-1/${n}`);
  const codes = subscribe(client, filters);
  const refused = await Promise.race([
    codes.then((all) => all.filter((code) => code === 128).length >= 9_900),
    ended(client).then(() => true),
  ]);
  t.true(refused);
  await bystander.publishAsync('devices/sensor-2/x', '', { qos: 1 });
  t.true(bystander.connected);
});

test('health, readiness and metrics describe the current state', async (t) => {
  const world = await brokerWorld(t);
  const { url } = world.broker.addresses.metrics;
  await world.mqtt(world.device('sensor-1'), { clientId: 'sensor-1' });
  t.is((await fetch(`${url}/healthz`)).status, 200);
  t.is((await fetch(`${url}/readyz`)).status, 200);
  t.is((await fetch(`${url}/nothing`)).status, 404);
  t.is((await fetch(`${url}/metrics`, { method: 'POST' })).status, 405);
  t.is(await metric(world, 'flotilla_connections '), 'flotilla_connections 1');
  t.is(await metric(world, 'flotilla_feed_connected'), 'flotilla_feed_connected 1');
  t.is(
    await metric(world, /^flotilla_tls_handshakes_total\{kind="full"\}/),
    'flotilla_tls_handshakes_total{kind="full"} 1',
  );
  t.regex(
    (await metric(world, 'flotilla_fleet_certificate_expires_in_seconds_count')) ?? '',
    / 1$/,
  );
  await world.feed.close();
  await until(
    'the feed is disconnected',
    async () => (await metric(world, 'flotilla_feed_connected')) === 'flotilla_feed_connected 0',
  );
  t.is((await fetch(`${url}/readyz`)).status, 200, 'it works without the service');
});

test('denials are counted and reported to the service with the most recent ones', async (t) => {
  const world = await brokerWorld(t);
  const client = await world.mqtt(world.device('sensor-1'), { clientId: 'sensor-1' });
  await subscribe(client, ['devices/other/#']);
  await subscribe(client, ['#']);
  const reported = (): Denied[] => world.feed.reports.flatMap(({ denied }) => denied);
  await until(
    'both are reported',
    () => reported().reduce((sum, { count }) => sum + count, 0) === 2,
  );
  t.true(reported().every(({ id }) => id === 'sensor-1'));
  t.deepEqual(
    reported()
      .flatMap(({ last }) => last)
      .map(({ topic, code }) => `${topic} ${code}`),
    ['devices/other/# subscribe-denied', '# subscribe-denied'],
  );
  t.is(
    await metric(world, 'flotilla_policy_denied_total{action="subscribe"'),
    'flotilla_policy_denied_total{action="subscribe",reason="subscribe-denied"} 2',
  );
});

test('connection attempts of a revoked device are reported to the service', async (t) => {
  const world = await brokerWorld(t);
  const device = world.device('sensor-1');
  world.mark('sensor-1', 'revoked');
  await until('applied', () => applied(world));
  await t.throwsAsync(world.mqtt(device, { clientId: 'sensor-1' }));
  const reported = (): Denied[] => world.feed.reports.flatMap(({ denied }) => denied);
  await until('it is reported', () => reported().length > 0);
  t.like(reported()[0], { id: 'sensor-1', count: 1 });
  t.like(reported()[0]?.last[0], { action: 'connect', code: 'certificate-revoked' });
});
