import type { Readable } from 'node:stream';
import test from 'ava';
import { writeFileSync } from 'node:fs';
import { generate, parser, type Packet } from 'mqtt-packet';
import {
  applied,
  brokerWorld,
  collect,
  ended,
  subscribe,
  type BrokerWorld,
} from '../support/broker-world.ts';
import { until } from '../support/until.ts';

/** Waits for a marker message, so that all messages before it are delivered. */
async function marker(world: BrokerWorld, seen: string[], id = 'marker'): Promise<void> {
  const client = await world.mqtt(world.device(id), { clientId: id });
  await client.publishAsync(`devices/${id}/marker`, '', { qos: 1 });
  await until('the marker', () => seen.some((line) => line.startsWith(`devices/${id}/marker`)));
  client.end(true);
}

test('a PUBLISH outside the topics of a device closes its connection and is not delivered', async (t) => {
  const world = await brokerWorld(t);
  const backend = await world.mqtt(world.device('backend', { role: 'service' }), {
    clientId: 'backend',
  });
  const seen = collect(backend);
  await backend.subscribeAsync('devices/#', { qos: 1 });
  const client = await world.mqtt(world.device('sensor-1'), { clientId: 'sensor-1' });
  client.publish('devices/sensor-2/t', 'forged', { qos: 0 });
  await ended(client);
  await marker(world, seen);
  t.deepEqual(
    seen.filter((line) => line.includes('forged')),
    [],
  );
  const line = world.capture.lines.find(({ msg }) => msg === 'denied by policy');
  t.like(line, { device: 'sensor-1', action: 'publish', topic: 'devices/sensor-2/t' });
  t.is(line?.['code'], 'publish-denied');
});

test('plug-in hooks run after admission and policy and know the identity of a connection', async (t) => {
  const world = await brokerWorld(t);
  const asked: string[] = [];
  world.broker.aedes.authorizePublish = (client, packet, callback) => {
    const { identity } = client as unknown as { identity: { id: string; serial: string } };
    asked.push(`${identity.id} ${packet.topic}`);
    callback(packet.payload.length > 3 ? new Error('too long') : null);
  };
  const backend = await world.mqtt(world.device('backend', { role: 'service' }), {
    clientId: 'backend',
  });
  const seen = collect(backend);
  await backend.subscribeAsync('devices/#', { qos: 1 });
  const options = { clientId: 'sensor-1', protocolVersion: 5 } as const;
  const client = await world.mqtt(world.device('sensor-1'), options);
  await client.publishAsync('devices/sensor-1/t', 'yes', { qos: 1 });
  await t.throwsAsync(client.publishAsync('devices/sensor-1/t', 'no, too long', { qos: 1 }));
  await t.throwsAsync(client.publishAsync('devices/sensor-2/t', 'abc', { qos: 1 }));
  await marker(world, seen, 'm');
  t.deepEqual(seen.slice(0, -1), ['devices/sensor-1/t yes']);
  // The hook is not called for messages that the policy denies.
  t.deepEqual(
    asked.filter((line) => line.startsWith('sensor')),
    ['sensor-1 devices/sensor-1/t', 'sensor-1 devices/sensor-1/t'],
  );
  t.true(world.codes().includes('plug-in-refused'));
});

test('a plug-in reads and stores retained messages, and reads subscriptions, by aedes.persistence', async (t) => {
  const world = await brokerWorld(t);
  const persistence = Reflect.get(world.broker.aedes, 'persistence') as PluginPersistence;
  const device = await world.mqtt(world.device('sensor-1'), { clientId: 'sensor-1' });
  await device.subscribeAsync('devices/sensor-1/commands/#', { qos: 1 });
  await device.publishAsync('devices/sensor-1/status', 'online', { qos: 1, retain: true });
  const topic = 'devices/sensor-1/commands/config';
  await persistence.storeRetained({ topic, payload: 'from a plug-in', qos: 1 });
  const retained = (await persistence.createRetainedStream('devices/#').toArray()) as Retained[];
  t.deepEqual(retained.map((packet) => `${packet.topic} ${packet.payload.toString()}`).sort(), [
    'devices/sensor-1/commands/config from a plug-in',
    'devices/sensor-1/status online',
  ]);
  t.like(await persistence.subscriptionsByClient({ id: 'sensor-1' }), [
    { topic: 'devices/sensor-1/commands/#', qos: 1, nl: false },
  ]);
  t.deepEqual(await persistence.subscriptionsByClient({ id: 'sensor-2' }), []);
  const clients = persistence.getClientList('devices/sensor-1/commands/#');
  t.deepEqual(await clients.toArray(), ['sensor-1']);
  // A message that a plug-in stored reaches the next subscription like any other.
  const message = new Promise<string>((resolve) => {
    device.once('message', (received, payload) => resolve(`${received} ${payload.toString()}`));
  });
  await device.subscribeAsync(topic, { qos: 1 });
  t.is(await message, 'devices/sensor-1/commands/config from a plug-in');
  await persistence.storeRetained({ topic, payload: '' });
  t.deepEqual(await persistence.createRetainedStream('devices/+/commands/#').toArray(), []);
});

/** What docs/plug-ins.md promises; the types of Aedes leave `persistence` out. */
interface PluginPersistence {
  storeRetained(packet: { topic: string; payload: string; qos?: 0 | 1 | 2 }): Promise<void>;
  createRetainedStream(filter: string): Readable;
  subscriptionsByClient(client: { id: string }): Promise<object[]>;
  getClientList(filter: string): Readable;
}

interface Retained {
  readonly topic: string;
  readonly payload: Buffer;
}

test('with onDenied: drop the message is dropped and the connection stays open', async (t) => {
  const policy = `version: 1
onDenied: drop
roles:
  device:
    rules: [{ allow: [publish, subscribe], topics: ['devices/{device}/#'] }]
  service:
    clientIds: prefix
    rules: [{ allow: subscribe, topics: ['devices/#'] }]
`;
  const world = await brokerWorld(t, { policy });
  const backend = await world.mqtt(world.device('backend', { role: 'service' }), {
    clientId: 'backend',
  });
  const seen = collect(backend);
  await backend.subscribeAsync('devices/#', { qos: 1 });
  const client = await world.mqtt(world.device('sensor-1'), { clientId: 'sensor-1' });
  await client.publishAsync('devices/sensor-2/t', 'forged', { qos: 1 });
  await client.publishAsync('devices/sensor-1/t', 'good', { qos: 1 });
  await until('the allowed message', () => seen.length > 0);
  t.deepEqual(seen, ['devices/sensor-1/t good']);
  t.true(client.connected);
});

test('conditions are checked for every message, independent of earlier decisions on its topic', async (t) => {
  const policy = `version: 1
onDenied: drop
roles:
  device:
    rules:
      - { allow: publish, topics: ['devices/{device}/#'], payloadMinBytes: 4 }
      - { deny: publish, topics: ['devices/{device}/#'], payloadMaxBytes: 9, qos: 0 }
  service:
    rules: [{ allow: subscribe, topics: ['devices/#'] }]
`;
  const world = await brokerWorld(t, { policy });
  const backend = await world.mqtt(world.device('backend', { role: 'service' }), {
    clientId: 'backend',
  });
  const seen = collect(backend);
  await backend.subscribeAsync('devices/#', { qos: 1 });
  const client = await world.mqtt(world.device('sensor-1'), { clientId: 'sensor-1' });
  const topic = 'devices/sensor-1/t';
  await client.publishAsync(topic, 'long enough', { qos: 1 });
  await client.publishAsync(topic, 'bad', { qos: 1 });
  await client.publishAsync(topic, 'long enough', { qos: 0 });
  await client.publishAsync(topic, 'too short', { qos: 0 });
  await client.publishAsync(topic, 'the end', { qos: 1 });
  await until('the last one', () => seen.some((line) => line.endsWith('the end')));
  t.deepEqual(
    seen,
    ['long enough', 'long enough', 'the end'].map((text) => `${topic} ${text}`),
  );
});

test('no client can publish on $fleet or use $SYS', async (t) => {
  const policy = `version: 1
onDenied: drop
roles:
  device:
    rules: [{ allow: [publish, subscribe], topics: ['#', '$fleet/#', '$SYS/#', '+/#'] }]
`;
  const world = await brokerWorld(t, { policy });
  const client = await world.mqtt(world.device('sensor-1'), { clientId: 'sensor-1' });
  t.deepEqual(await subscribe(client, ['$SYS/#', '$SYS/+/new/clients']), [128, 128]);
  const seen = collect(client);
  t.deepEqual(await subscribe(client, ['$fleet/presence/+', '#']), [0, 0]);
  await client.publishAsync('$fleet/presence/sensor-2', 'forged', { qos: 1, retain: true });
  await client.publishAsync('$SYS/x/new/clients', 'sensor-1', { qos: 1 });
  await client.publishAsync('plain', 'x', { qos: 1 });
  await until('the last one', () => seen.some((line) => line.startsWith('plain')));
  t.deepEqual(
    seen.filter((line) => line.includes('forged') || line.startsWith('$SYS')),
    [],
  );
});

test('a subscription outside the topics of a device gets 0x80', async (t) => {
  const world = await brokerWorld(t);
  const client = await world.mqtt(world.device('sensor-1'), { clientId: 'sensor-1' });
  const filters = ['devices/sensor-1/#', 'devices/#', '#', '+/sensor-1/#', 'devices/+/commands/#'];
  t.deepEqual(await subscribe(client, filters), [0, 128, 128, 128, 128]);
  t.true(client.connected);
});

test('a denied filter in the same SUBSCRIBE as a granted one delivers nothing, also after a reconnect', async (t) => {
  const world = await brokerWorld(t);
  const device = world.device('sensor-1');
  const options = { clientId: 'sensor-1', clean: false } as const;
  const first = await world.mqtt(device, options);
  t.deepEqual(await subscribe(first, ['devices/sensor-1/#', 'devices/sensor-2/#'], 1), [1, 128]);
  await first.endAsync();
  const other = await world.mqtt(world.device('sensor-2'), { clientId: 'sensor-2' });
  await other.publishAsync('devices/sensor-2/secret', 'secret', { qos: 1 });
  const service = await world.mqtt(world.device('backend', { role: 'service' }), {
    clientId: 'backend',
  });
  await service.publishAsync('devices/sensor-1/commands/c', 'mine', { qos: 1 });
  const seen: string[] = [];
  const again = await world.mqtt(device, { ...options, manualConnect: false });
  again.on('message', (topic, payload) => seen.push(`${topic} ${payload.toString()}`));
  await other.publishAsync('devices/sensor-2/secret', 'secret 2', { qos: 1 });
  await service.publishAsync('devices/sensor-1/commands/d', 'last', { qos: 1 });
  await until('its own', () => seen.some((line) => line.endsWith('last')));
  t.deepEqual(
    seen.filter((line) => line.includes('secret')),
    [],
  );
});

test('a will outside the topics of a device is rejected at CONNECT', async (t) => {
  const world = await brokerWorld(t);
  const will = { topic: 'devices/sensor-2/t', payload: Buffer.from('x'), qos: 1, retain: false };
  await t.throwsAsync(
    world.mqtt(world.device('sensor-1'), {
      clientId: 'sensor-1',
      will: { ...will, qos: 1 },
    }),
  );
  t.deepEqual(world.codes('connection refused'), ['publish-denied']);
});

test('a change of the group removes a subscription of a live connection', async (t) => {
  const policy = `version: 1
roles:
  device:
    rules: [{ allow: [publish, subscribe], topics: ['groups/{group}/#', 'devices/{device}/#'] }]
`;
  const world = await brokerWorld(t, { policy });
  const client = await world.mqtt(world.device('sensor-1', { group: 'red' }), {
    clientId: 'sensor-1',
  });
  const seen = collect(client);
  t.deepEqual(await subscribe(client, ['groups/red/#', 'groups/blue/#']), [0, 128]);
  const red = await world.mqtt(world.device('red-1', { group: 'red' }), { clientId: 'red-1' });
  await red.publishAsync('groups/red/a', 'before', { qos: 1 });
  await until('the first', () => seen.length === 1);
  world.change('sensor-1', { group: 'blue' });
  await until('it is applied', () => applied(world));
  await red.publishAsync('groups/red/a', 'after', { qos: 1 });
  t.deepEqual(await subscribe(client, ['groups/blue/#', 'groups/red/#']), [0, 128]);
  await client.publishAsync('devices/sensor-1/x', '', { qos: 1 });
  t.deepEqual(seen, ['groups/red/a before']);
});

test('an attribute with a slash, a plus or a hash is never inserted into a topic', async (t) => {
  const policy = `version: 1
roles:
  device:
    rules: [{ allow: [publish, subscribe], topics: ['site/{attr.site}/#'] }]
`;
  const world = await brokerWorld(t, { policy });
  for (const [index, site] of ['a/b', '+', '#', '', '$SYS'].entries()) {
    const id = `sensor-${index}`;
    const client = await world.mqtt(world.device(id, { attributes: { site } }), { clientId: id });
    t.deepEqual(await subscribe(client, ['site/x/#', 'site/a/b/#', 'site/#']), [128, 128, 128]);
  }
});

test('a changed policy is in force after a reload, and an invalid one is not used', async (t) => {
  const world = await brokerWorld(t);
  const client = await world.mqtt(world.device('sensor-1'), { clientId: 'sensor-1' });
  t.deepEqual(await subscribe(client, ['news/#']), [128]);
  writeFileSync(
    world.state.policy,
    `version: 1
roles:
  device:
    rules: [{ allow: [publish, subscribe], topics: ['devices/{device}/#', 'news/#'] }]
`,
  );
  await world.broker.reload();
  t.deepEqual(await subscribe(client, ['news/#']), [0]);
  writeFileSync(world.state.policy, 'version: 1\nroles:\n  device:\n    rulez: []\n');
  await world.broker.reload();
  const line = world.capture.lines.findLast(({ msg }) => String(msg).startsWith('reload failed'));
  t.regex(JSON.stringify(line?.['err']), /line 4, column 5/);
  t.deepEqual(await subscribe(client, ['news/more/#']), [0]);
});

test('the window for messages to a client does not lower the Receive Maximum of the broker, a limit of the role does', async (t) => {
  const world = await brokerWorld(t, {
    config: { limits: { broker: { inflightOutMax: 20, inflightInMax: 300 } } },
    policy: `version: 1
roles:
  device:
    rules: [{ allow: publish, topics: ['devices/{device}/#'] }]
  narrow:
    limits: { inflightMax: 7 }
    rules: [{ allow: publish, topics: ['devices/{device}/#'] }]
`,
  });
  const receiveMaximum = async (id: string, role: string): Promise<unknown> => {
    const socket = await world.tls(world.device(id, { role }));
    const found: Packet[] = [];
    const packets = parser({ protocolVersion: 5 });
    packets.on('packet', (packet) => found.push(packet));
    socket.on('data', (chunk: Buffer) => packets.parse(chunk));
    socket.write(generate({ cmd: 'connect', clientId: id, protocolVersion: 5, clean: true }));
    await until('CONNACK', () => found.length > 0);
    socket.destroy();
    const [connack] = found;
    return connack?.cmd === 'connack' ? connack.properties?.receiveMaximum : undefined;
  };
  t.is(await receiveMaximum('sensor-1', 'device'), 300);
  t.is(await receiveMaximum('sensor-2', 'narrow'), 7);
});
