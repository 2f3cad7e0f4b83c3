/** MQTT over WebSocket over mutual TLS: the same admission, policy and limits as on MQTTS. */
import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import { connect, type IClientOptions } from 'mqtt';
import { generate, parser, type Packet } from 'mqtt-packet';
import { WebSocket } from 'ws';
import {
  applied,
  brokerWorld,
  collect,
  connectPacket,
  ended,
  subscribe,
  untilClosed,
  type BrokerWorld,
  type TestIdentity,
} from '../support/broker-world.ts';
import { until } from '../support/until.ts';

const policy = `version: 1
roles:
  device:
    clientIds: prefix
    rules:
      - { allow: [publish, subscribe], topics: ['devices/{device}/#'] }
      - { allow: publish, topics: ['$fleet/certs/{device}/renew'] }
    limits: { subscriptionsMax: 3, payloadMaxBytes: 1000, connectionsMax: 2 }
  service:
    clientIds: prefix
    rules: [{ allow: [publish, subscribe], topics: ['devices/#', '$fleet/#'] }]
`;

function wss(world: BrokerWorld, identity: TestIdentity, more: IClientOptions): IClientOptions {
  const { cert, key } = identity;
  const tls = { ca: world.ca.ca, cert, key, servername: 'localhost' };
  return { protocol: 'wss', wsOptions: tls, ...more };
}

/** A WebSocket without MQTT.js, with the certificate of an identity. */
async function socket(
  t: ExecutionContext,
  world: BrokerWorld,
  identity: TestIdentity | undefined,
  protocols: string[] = ['mqtt'],
  headers: Record<string, string> = {},
): Promise<WebSocket> {
  const { host, port } = world.broker.addresses.wss;
  const tls = {
    ca: world.ca.ca,
    servername: 'localhost',
    headers,
    ...(identity === undefined ? {} : { cert: identity.cert, key: identity.key }),
  };
  const webSocket = new WebSocket(`wss://${host}:${port}/anything`, protocols, tls);
  t.teardown(() => webSocket.terminate());
  const opened = once(webSocket, 'open');
  await Promise.race([
    opened,
    once(webSocket, 'error').then(([error]) => {
      throw error as Error;
    }),
  ]);
  webSocket.on('error', () => undefined);
  return webSocket;
}

/** The packets that a WebSocket receives. */
function packets(webSocket: WebSocket): Packet[] {
  const found: Packet[] = [];
  const reader = parser();
  reader.on('packet', (packet) => void found.push(packet));
  webSocket.on('message', (data: Buffer) => void reader.parse(data));
  return found;
}

for (const protocolVersion of [4, 5] as const) {
  test(`protocol version ${protocolVersion} over WebSocket: each QoS, retained messages, a persistent session, a will, rejections`, async (t) => {
    const world = await brokerWorld(t, { policy });
    const device = world.device('sensor-1');
    const backend = await world.mqtt(world.device('backend', { role: 'service' }), {
      clientId: 'backend',
    });
    const seen = collect(backend);
    await backend.subscribeAsync('devices/#', { qos: 2 });
    const options = wss(world, device, {
      protocolVersion,
      clientId: 'sensor-1',
      clean: false,
      will: { topic: 'devices/sensor-1/will', payload: Buffer.from('gone'), qos: 1, retain: false },
      ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 1000 } } : {}),
    });
    const client = await world.mqtt(device, options);
    const own = collect(client);
    t.deepEqual(await subscribe(client, ['devices/sensor-1/in/#'], 2), [2]);
    for (const qos of [0, 1, 2] as const) {
      await client.publishAsync(`devices/sensor-1/out/${qos}`, 'x', { qos, retain: qos === 1 });
      await backend.publishAsync(`devices/sensor-1/in/${qos}`, 'y', { qos });
    }
    await until('all three messages', () => own.length === 3 && seen.length >= 6);
    t.deepEqual(
      own.toSorted(),
      [0, 1, 2].map((qos) => `devices/sensor-1/in/${qos} y`),
    );

    // Denials and limits of the policy.
    const notAuthorized = protocolVersion === 5 ? 0x87 : refused;
    t.deepEqual(await subscribe(client, ['devices/sensor-2/#', '#']), [
      notAuthorized,
      notAuthorized,
    ]);
    await subscribe(client, ['devices/sensor-1/a', 'devices/sensor-1/b']);
    t.deepEqual(await subscribe(client, ['devices/sensor-1/c']), [
      protocolVersion === 5 ? 0x97 : refused,
    ]);
    if (protocolVersion === 5) {
      const denied = await t.throwsAsync(
        client.publishAsync('devices/sensor-2/t', 'forged', { qos: 1 }),
      );
      t.is(Reflect.get(denied, 'code'), 0x87);
      const large = await t.throwsAsync(
        client.publishAsync('devices/sensor-1/t', Buffer.alloc(1001), { qos: 1 }),
      );
      t.is(Reflect.get(large, 'code'), 0x97);
    }

    // After a lost connection the will is published, and the session continues.
    client.stream.destroy();
    await until('the will', () => seen.includes('devices/sensor-1/will gone'));
    await backend.publishAsync('devices/sensor-1/in/later', 'waited', { qos: 1 });
    const { host, port } = world.broker.addresses.wss;
    const again = connect(`wss://${host}:${port}`, { ...options, reconnectPeriod: 0 });
    t.teardown(() => again.end(true));
    again.on('error', () => undefined);
    const later = collect(again);
    await until('the queued message', () => later.includes('devices/sensor-1/in/later waited'));
    if (protocolVersion === 4) {
      again.publish('devices/sensor-2/t', 'forged', { qos: 1 });
      await ended(again);
    }
    t.false(seen.some((line) => line.includes('forged')));
    t.true(world.codes().includes('publish-denied'));

    const other = world.mqtt(device, wss(world, device, { protocolVersion, clientId: 'other' }));
    const error = await t.throwsAsync(other);
    t.is(Reflect.get(error, 'code'), protocolVersion === 5 ? 0x85 : 2);
  });
}
const refused = 128;

test('a device that is revoked while connected over WebSocket is closed and cannot reconnect', async (t) => {
  const world = await brokerWorld(t, { policy });
  const device = world.device('sensor-1');
  const options = wss(world, device, { clientId: 'sensor-1', protocolVersion: 5 });
  const client = await world.mqtt(device, options);
  const closeCode = new Promise<number | undefined>((resolve) =>
    client.once('disconnect', ({ reasonCode }) => resolve(reasonCode)),
  );
  world.mark('sensor-1', 'revoked');
  t.is(await closeCode, 0x87);
  await ended(client);
  await t.throwsAsync(world.mqtt(device, options));
});

test('without a certificate no WebSocket opens', async (t) => {
  const world = await brokerWorld(t, { policy });
  await t.throwsAsync(socket(t, world, undefined));
  await until('it is logged', () => world.codes().includes('certificate-missing'));
});

test('without the subprotocol mqtt no WebSocket opens; among several subprotocols it is selected', async (t) => {
  const world = await brokerWorld(t, { policy });
  const device = world.device('sensor-1');
  for (const protocols of [[], ['mqttv3'], ['soap', 'wamp']]) {
    await t.throwsAsync(socket(t, world, device, protocols), { message: /400/ });
  }
  const webSocket = await socket(t, world, device, ['soap', 'mqtt']);
  t.is(webSocket.protocol, 'mqtt');
});

for (const fronts of [0, 1]) {
  test(`a page of another site opens no WebSocket, with ${fronts} fronts; pages of the own and of configured origins do`, async (t) => {
    const wssOrigins = ['https://dashboard.example.com', 'http://localhost:3000'];
    const world = await brokerWorld(t, { policy, config: { broker: { fronts, wssOrigins } } });
    const device = world.device('sensor-1');
    const { host, port } = world.broker.addresses.wss;
    const open = (headers: Record<string, string>): Promise<WebSocket> =>
      socket(t, world, device, ['mqtt'], headers);
    const own = `https://${host}:${port}`;
    const foreign = [
      'https://attacker.example',
      'null',
      'file://',
      '',
      own.replace('https', 'http'),
      own.replace('https', 'wss'),
      `https://${host}`,
      `https://${host}:${port + 1}`,
      `${own}.attacker.example`,
      `${own}, https://attacker.example`,
      'https://dashboard.example.com.attacker.example',
      'https://dashboard.example.com:444',
      'http://dashboard.example.com',
      `https://${'x'.repeat(10_000)}.example`,
    ];
    for (const origin of foreign) {
      await t.throwsAsync(open({ origin }), { message: /403/ }, origin);
    }
    // Version 8 of the protocol has another name for the header.
    const old = {
      'sec-websocket-version': '8',
      'sec-websocket-origin': 'https://attacker.example',
    };
    await t.throwsAsync(open(old), { message: /403/ });
    const count = foreign.length + 1;
    const metric = `flotilla_connections_refused_total{reason="websocket-origin-refused"} ${count}`;
    await until('all refusals are counted', async () => {
      const response = await fetch(`${world.broker.addresses.metrics.url}/metrics`);
      return (await response.text()).includes(metric);
    });
    // The log has few lines for one device, and each is short.
    const lines = world.capture.lines.filter(({ msg }) => msg === 'connection refused');
    t.true(lines.length > 0 && lines.length <= count);
    for (const line of lines) {
      t.is(line['code'], 'websocket-origin-refused');
      t.true(JSON.stringify(line).length < 1000);
    }

    for (const headers of [
      {},
      { origin: own },
      // A browser leaves the port out if it is the usual one of the scheme.
      { origin: 'https://broker.example.com', host: 'broker.example.com' },
      { origin: 'https://broker.example.com', host: 'Broker.Example.com:443' },
      { origin: 'https://[::1]:8884', host: '[::1]:8884' },
      ...wssOrigins.map((origin) => ({ origin })),
    ]) {
      const webSocket = await open(headers);
      const found = packets(webSocket);
      webSocket.send(connectPacket('sensor-1'));
      await until('CONNACK', () => found.length === 1);
      webSocket.terminate();
    }
  });
}

test('the subprotocol mqttv3.1 of older clients is accepted, after mqtt', async (t) => {
  const world = await brokerWorld(t, { policy });
  const device = world.device('sensor-1');
  const old = await socket(t, world, device, ['mqttv3.1']);
  t.is(old.protocol, 'mqttv3.1');
  const found = packets(old);
  old.send(connectPacket('sensor-1'));
  await until('CONNACK', () => found.length === 1);
  t.is((await socket(t, world, device, ['mqttv3.1', 'mqtt'])).protocol, 'mqtt');
});

test('a text frame closes the connection, before and after CONNECT, and its content is not read', async (t) => {
  const world = await brokerWorld(t, { policy });
  const device = world.device('sensor-1');
  const early = await socket(t, world, device);
  early.send(connectPacket('sensor-1').toString('latin1'));
  const [code] = (await once(early, 'close')) as [number];
  t.is(code, 1003);
  const late = await socket(t, world, device);
  const found = packets(late);
  late.send(connectPacket('sensor-1'));
  await until('CONNACK', () => found.length === 1);
  late.send(generate({ cmd: 'pingreq' }).toString('latin1'));
  const [again] = (await once(late, 'close')) as [number];
  t.is(again, 1003);
  t.deepEqual(
    found.map(({ cmd }) => cmd),
    ['connack'],
  );
});

test('packets and frames are independent: many packets per frame, many frames per packet, fragments', async (t) => {
  const world = await brokerWorld(t, { policy });
  const device = world.device('sensor-1');
  const webSocket = await socket(t, world, device);
  const found = packets(webSocket);
  const publish = (payload: string): Buffer =>
    generate({
      cmd: 'publish',
      topic: 'devices/sensor-1/x',
      payload,
      qos: 0,
      retain: false,
      dup: false,
    });
  const subscription = generate({
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: [{ topic: 'devices/sensor-1/x', qos: 0 }],
  });
  for (const byte of connectPacket('sensor-1')) webSocket.send(Buffer.from([byte]));
  webSocket.send(Buffer.concat([subscription, publish('one'), publish('two').subarray(0, 3)]));
  webSocket.send(publish('two').subarray(3, 9), { fin: false });
  webSocket.send(publish('two').subarray(9, 12), { fin: false });
  webSocket.send(Buffer.concat([publish('two').subarray(12), publish('three')]), { fin: true });
  await until('all packets', () => found.length === 5);
  t.deepEqual(
    found.map((packet) => (packet.cmd === 'publish' ? String(packet.payload) : packet.cmd)),
    ['connack', 'suback', 'one', 'two', 'three'],
  );
});

test('a frame over the limit closes the connection, and so does a packet over it in many frames', async (t) => {
  const config = { limits: { broker: { packetMaxBytes: 4096 } } };
  const world = await brokerWorld(t, { policy, config });
  const device = world.device('sensor-1');
  for (const sizes of [[5000], [2, 1000, 1000]]) {
    const webSocket = await socket(t, world, device);
    const found = packets(webSocket);
    webSocket.send(connectPacket('sensor-1'));
    await until('CONNACK', () => found.length === 1);
    const closed = once(webSocket, 'close');
    // A PUBLISH that announces 16,383 bytes.
    const declared = Buffer.concat([Buffer.from([0x30, 0xff, 0x7f]), Buffer.alloc(5000)]);
    let at = 0;
    for (const size of sizes) webSocket.send(declared.subarray(at, (at += size)));
    await closed;
    t.is(found.length, 1);
  }
});

test('requests that are not a WebSocket upgrade are rejected by HTTP', async (t) => {
  const world = await brokerWorld(t, { policy });
  const device = world.device('sensor-1');
  const { host, port } = world.broker.addresses.wss;
  for (const [bytes, wanted] of [
    ['GET / HTTP/1.1\r\nhost: localhost\r\n\r\n', /^HTTP\/1\.1 426 /],
    [connectPacket('sensor-1'), /^$/],
  ] as const) {
    const tls = await world.tls(device, { host, port });
    const chunks: Buffer[] = [];
    tls.on('data', (chunk: Buffer) => chunks.push(chunk));
    tls.write(bytes);
    await once(tls, 'close');
    t.regex(Buffer.concat(chunks).toString('latin1'), wanted);
  }
});

test('a connection counts toward the limit before its upgrade, and no longer after it closed', async (t) => {
  const world = await brokerWorld(t, { config: { limits: { broker: { connectionsMax: 2 } } } });
  const { port } = world.broker.addresses.wss;
  const first = world.device('sensor-1');
  const second = world.device('sensor-2');
  const third = world.device('sensor-3');
  await until('the directory has them', () => applied(world));
  const silent = await world.tls(first, { port });
  const upgraded = await socket(t, world, second);
  const refused = await world.tls(third, { port });
  await untilClosed(refused);
  t.deepEqual(world.codes('connection refused'), ['connections-too-many']);
  // The limit can be raised without a restart.
  world.changeSettings({ limits: { broker: { connectionsMax: 3 } } });
  const admitted = await world.mqtt(third, wss(world, third, { clientId: 'sensor-3' }));
  await admitted.endAsync();
  world.changeSettings({ limits: { broker: { connectionsMax: 2 } } });
  silent.destroy();
  upgraded.terminate();
  await until('both are closed', async () => {
    const { url } = world.broker.addresses.metrics;
    const text = await (await fetch(`${url}/metrics`)).text();
    return text.includes('\nflotilla_connections 0\n');
  });
  const client = await world.mqtt(third, wss(world, third, { clientId: 'sensor-3' }));
  t.true(client.connected);
});
