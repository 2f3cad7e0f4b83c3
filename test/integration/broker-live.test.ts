import test from 'ava';
import { readFileSync } from 'node:fs';
import type { TLSSocket } from 'node:tls';
import { generate, parser, type Packet } from 'mqtt-packet';
import {
  applied,
  brokerWorld,
  collect,
  ended,
  subscribe,
  type BrokerWorld,
  type TestIdentity,
} from '../support/broker-world.ts';
import type { BrokerService } from '../../broker/broker-service.ts';
import type { PresenceMessage } from '../../broker/fleet-topics/presence.ts';
import { spawnNode } from '../support/child.ts';
import { until } from '../support/until.ts';

async function watcher(world: BrokerWorld): Promise<PresenceMessage[]> {
  const backend = await world.mqtt(world.device('backend', { role: 'service' }), {
    clientId: 'backend',
  });
  const seen: PresenceMessage[] = [];
  backend.on('message', (topic, payload) => {
    if (topic.startsWith('$fleet/presence/sensor') && payload.length > 0) {
      seen.push(JSON.parse(payload.toString()) as PresenceMessage);
    }
  });
  await backend.subscribeAsync('$fleet/presence/+', { qos: 1 });
  return seen;
}

for (const [what, act, reason] of [
  [
    'its certificate is revoked',
    (w: BrokerWorld) => w.mark('sensor-1', 'revoked'),
    'certificate-revoked',
  ],
  [
    'its device is revoked',
    (w: BrokerWorld) => w.change('sensor-1', { status: 'revoked' }),
    'device-revoked',
  ],
  [
    'its device is suspended',
    (w: BrokerWorld) => w.change('sensor-1', { status: 'suspended' }),
    'device-suspended',
  ],
  ['its device is deleted', (w: BrokerWorld) => w.feed.remove('sensor-1'), 'device-removed'],
] as const) {
  test(`a live connection is closed when ${what}`, async (t) => {
    const world = await brokerWorld(t);
    const presence = await watcher(world);
    const client = await world.mqtt(world.device('sensor-1'), {
      clientId: 'sensor-1',
      will: { topic: 'devices/sensor-1/will', payload: Buffer.from('gone'), qos: 1, retain: false },
    });
    const bystander = await world.mqtt(world.device('sensor-2'), { clientId: 'sensor-2' });
    await until('both are online', () => presence.length === 2);
    act(world);
    await ended(client);
    await until('it is offline', () => presence.some(({ status }) => status === 'offline'));
    t.like(presence.at(-1), { id: 'sensor-1', status: 'offline', reason });
    t.true(bystander.connected);
    await until('it is reported', () => applied(world));
    t.deepEqual(
      world.feed.reports.flatMap(({ closed }) => closed),
      [{ sequence: world.feed.sequence, connections: 1 }],
    );
  });
}

test('the will of a revoked device is not published, that of a disconnected device is', async (t) => {
  const world = await brokerWorld(t);
  const backend = await world.mqtt(world.device('backend', { role: 'service' }), {
    clientId: 'backend',
  });
  const seen = collect(backend);
  await backend.subscribeAsync('devices/#', { qos: 1 });
  const will = (id: string): { topic: string; payload: Buffer; qos: 1; retain: false } => ({
    topic: `devices/${id}/will`,
    payload: Buffer.from('gone'),
    qos: 1,
    retain: false,
  });
  const revoked = await world.mqtt(world.device('sensor-1'), {
    clientId: 'sensor-1',
    will: will('sensor-1'),
  });
  const lost = await world.mqtt(world.device('sensor-2'), {
    clientId: 'sensor-2',
    will: will('sensor-2'),
  });
  world.mark('sensor-1', 'revoked');
  await ended(revoked);
  lost.stream.destroy();
  await until('a will', () => seen.length > 0);
  t.deepEqual(seen, ['devices/sensor-2/will gone']);
});

test('a delayed will of a device that is revoked, suspended or deleted before it is due is not published', async (t) => {
  const world = await brokerWorld(t);
  const backend = await world.mqtt(world.device('backend', { role: 'service' }), {
    clientId: 'backend',
  });
  const seen = collect(backend);
  await backend.subscribeAsync('devices/#', { qos: 1 });
  const lose = async (id: string, act: (id: string) => void): Promise<void> => {
    const client = await world.mqtt(world.device(id), {
      clientId: id,
      protocolVersion: 5,
      properties: { sessionExpiryInterval: 100 },
      will: {
        topic: `devices/${id}/will`,
        payload: Buffer.from('gone'),
        qos: 1,
        retain: false,
        properties: { willDelayInterval: 3 },
      },
    });
    client.stream.destroy();
    await until('it is lost', () => [...codesOf(world, id)].includes('connection-lost'));
    act(id);
  };
  await lose('sensor-1', (id) => world.change(id, { status: 'revoked' }));
  await lose('sensor-2', (id) => world.change(id, { status: 'suspended' }));
  await lose('sensor-3', (id) => world.mark(id, 'revoked'));
  await lose('sensor-4', (id) => world.feed.remove(id));
  await lose('sensor-5', () => undefined);
  await until('the last will', () => seen.length > 0);
  t.deepEqual(seen, ['devices/sensor-5/will gone']);
});

/** Opens a kept session of MQTT 3.1.1. @returns whether there was one, and the connection */
async function resume(
  world: BrokerWorld,
  device: TestIdentity,
): Promise<{ present: boolean; socket: TLSSocket }> {
  const socket = await world.tls(device);
  const found: Packet[] = [];
  const packets = parser();
  packets.on('packet', (packet) => found.push(packet));
  socket.on('data', (chunk: Buffer) => packets.parse(chunk));
  socket.write(generate({ cmd: 'connect', clientId: 'sensor-1', clean: false, keepalive: 60 }));
  await until('CONNACK', () => found.length > 0);
  const [connack] = found;
  return { present: connack?.cmd === 'connack' && connack.sessionPresent, socket };
}

for (const [state, down] of [
  ['running', false],
  ['down', true],
] as const) {
  test(`a device that gets the name of one that was deleted does not find its session (the broker was ${state})`, async (t) => {
    const world = await brokerWorld(t, { config: { broker: { store: 'durable' } } });
    const stop = (): Promise<void> => world.broker.close();
    const start = (): Promise<void> => world.restart({ config: { broker: { store: 'durable' } } });
    const device = world.device('sensor-1');
    world.change('sensor-1', { createdAtMs: 1 });
    await until('the broker knows it', () => applied(world));
    const first = await resume(world, device);
    t.false(first.present);
    first.socket.destroy();
    await until('it is lost', () => codesOf(world, 'sensor-1').includes('connection-lost'));
    const again = await resume(world, device);
    t.true(again.present);
    again.socket.destroy();
    await until('it is lost again', () => {
      const codes = codesOf(world, 'sensor-1').filter((code) => code === 'connection-lost');
      return codes.length === 2;
    });
    if (down) await stop();
    world.feed.remove('sensor-1');
    const other = world.device('sensor-1');
    world.change('sensor-1', { createdAtMs: 2 });
    if (down) await start();
    await until('the broker knows the other', () => applied(world));
    t.false((await resume(world, other)).present);
  });
}

const codesOf = (world: BrokerWorld, device: string): unknown[] =>
  world.capture.lines.filter((line) => line['device'] === device).map(({ code }) => code);

test('a live connection is closed when its certificate expires', async (t) => {
  const world = await brokerWorld(t);
  const presence = await watcher(world);
  const device = world.device('sensor-1', { validityMs: 2500 });
  const client = await world.mqtt(device, { clientId: 'sensor-1' });
  await ended(client);
  t.true(Date.now() >= device.notAfterMs);
  await until('it is offline', () => presence.at(-1)?.status === 'offline');
  t.is(presence.at(-1)?.reason, 'certificate-expired');
});

test('presence describes the connection of a device, and its version orders the events', async (t) => {
  const world = await brokerWorld(t);
  const presence = await watcher(world);
  const device = world.device('sensor-1');
  const client = await world.mqtt(device, { clientId: 'sensor-1' });
  await until('online', () => presence.length === 1);
  await client.endAsync();
  await until('offline', () => presence.length === 2);
  const [online, offline] = presence;
  t.like(online, {
    id: 'sensor-1',
    status: 'online',
    clientId: 'sensor-1',
    address: '127.0.0.1',
    tlsVersion: 'TLSv1.3',
    protocolVersion: 4,
    serial: device.serial,
    certificateDaysLeft: 0,
    standing: 'full',
    broker: 'broker-1',
  });
  t.like(offline, { status: 'offline', reason: 'client-disconnected' });
  t.true(offline!.version > online!.version);
  const later = await world.mqtt(world.device('late', { role: 'service' }), { clientId: 'late' });
  const seen = collect(later);
  await subscribe(later, ['$fleet/presence/sensor-1']);
  await until('it is retained', () => seen.length > 0);
  t.true(seen[0]?.includes('"offline"'));
});

test('a device that takes over its own session does not go offline', async (t) => {
  const world = await brokerWorld(t);
  const presence = await watcher(world);
  const device = world.device('sensor-1');
  const first = await world.mqtt(device, { clientId: 'sensor-1' });
  const second = await world.mqtt(device, { clientId: 'sensor-1' });
  await ended(first);
  await second.publishAsync('devices/sensor-1/x', '', { qos: 1 });
  t.true(second.connected);
  await until('both connections are reported', () => presence.length >= 2);
  t.deepEqual([...new Set(presence.map(({ status }) => status))], ['online']);
});

test('deleting a device deletes its session, its queue, its retained messages and its presence', async (t) => {
  const world = await brokerWorld(t);
  const kept = { clientId: 'sensor-1', clean: false } as const;
  const first = await world.mqtt(world.device('sensor-1'), kept);
  await subscribe(first, ['devices/sensor-1/#'], 1);
  await first.publishAsync('devices/sensor-1/state', 'old', { qos: 1, retain: true });
  const backend = await world.mqtt(world.device('backend', { role: 'service' }), {
    clientId: 'backend',
  });
  const settings = { qos: 1, retain: true } as const;
  await backend.publishAsync('devices/sensor-1/commands/interval', '60', settings);
  world.feed.remove('sensor-1');
  await ended(first);
  await backend.publishAsync('devices/sensor-1/commands/x', 'secret', { qos: 1 });
  const seen = collect(backend);
  await subscribe(
    backend,
    ['devices/sensor-1/state', 'devices/+/commands/#', '$fleet/presence/+'],
    1,
  );
  await until('the retained messages arrived', () =>
    seen.some((line) => line.includes('interval')),
  );
  t.false(
    seen.some((line) => line.includes('state')),
    'its own retained messages are deleted',
  );
  const again = await world.mqtt(world.device('sensor-1'), kept);
  const got = collect(again);
  t.deepEqual(await subscribe(again, ['devices/sensor-1/more']), [0]);
  t.deepEqual(got, []);
  await until('it is online again', () => seen.some((line) => line.includes('sensor-1')));
  t.false(seen.some((line) => line.includes('device-removed')));
});

test('refused connections are published as events', async (t) => {
  const world = await brokerWorld(t);
  const backend = await world.mqtt(world.device('backend', { role: 'service' }), {
    clientId: 'backend',
  });
  const seen: object[] = [];
  backend.on('message', (_topic, payload) => seen.push(JSON.parse(payload.toString()) as object));
  await backend.subscribeAsync('$fleet/refused');
  await t.throwsAsync(world.mqtt(world.device('sensor-1'), { clientId: 'sensor-2' }));
  await until('the event', () => seen.length > 0);
  t.like(seen[0], { id: 'sensor-1', code: 'client-id-not-allowed', address: '127.0.0.1' });
});

test('the broker keeps running, and starts, while the enrollment service is unavailable', async (t) => {
  const world = await brokerWorld(t);
  const device = world.device('sensor-1');
  const gone = world.device('sensor-2');
  world.mark('sensor-2', 'revoked');
  await until('it is applied', () => applied(world));
  await world.feed.close();
  await world.mqtt(device, { clientId: 'sensor-1' });
  await world.restart();
  const client = await world.mqtt(device, { clientId: 'sensor-1' });
  t.true(client.connected);
  await t.throwsAsync(world.mqtt(gone, { clientId: 'sensor-2' }));
  t.is(world.codes('connection refused').at(-1), 'certificate-revoked');
});

test('without a directory all connections are refused with their own code', async (t) => {
  const world = await brokerWorld(t, { withoutFeed: true });
  const device = world.ca.issue({ profile: 'device', commonName: 'sensor-1' });
  await t.throwsAsync(world.mqtt(device, { clientId: 'sensor-1' }));
  t.deepEqual(world.codes('connection refused'), ['directory-missing']);
  const ready = await fetch(`${world.broker.addresses.metrics.url}/readyz`);
  t.is(ready.status, 503);
});

test('a feed that breaks, is invalid or repeats changes results in the same directory', async (t) => {
  const world = await brokerWorld(t);
  world.device('sensor-1');
  await until('applied', () => applied(world));
  world.feed.send({
    type: 'change',
    sequence: world.feed.sequence + 5,
    entry: world.feed.entries.get('sensor-1')!,
  });
  await until(
    'the feed reconnected',
    () => world.capture.lines.filter(({ msg }) => msg === 'feed connected').length === 2,
  );
  world.feed.send({ type: 'nonsense' });
  await until(
    'the feed reconnected again',
    () => world.capture.lines.filter(({ msg }) => msg === 'feed connected').length === 3,
  );
  world.feed.epoch = 'epoch-2';
  world.feed.sequence = 0;
  world.feed.disconnect();
  await until('the feed has another epoch', () =>
    world.capture.lines.some(({ epoch }) => epoch === 'epoch-2'),
  );
  const client = await world.mqtt(world.device('sensor-2'), { clientId: 'sensor-2' });
  t.true(client.connected);
  await until('kept', () => applied(world));
  const [head = ''] = readFileSync(world.state.broker.directory, 'utf8').split('\n');
  const kept = JSON.parse(head) as { epoch: string };
  t.is(kept.epoch, 'epoch-2');
});

test('a device that was revoked while the feed was disconnected is closed on reconnect', async (t) => {
  const world = await brokerWorld(t);
  const client = await world.mqtt(world.device('sensor-1'), { clientId: 'sensor-1' });
  await until('applied', () => applied(world));
  world.feed.disconnect();
  world.mark('sensor-1', 'revoked');
  await ended(client);
  await until('its reason', () => world.codes('connection closed').includes('certificate-revoked'));
  t.pass();
});

test('a shutdown publishes that all devices are offline and releases the ports', async (t) => {
  const world = await brokerWorld(t);
  const client = await world.mqtt(world.device('sensor-1'), { clientId: 'sensor-1' });
  await world.broker.close();
  await ended(client);
  t.true(world.codes('connection closed').includes('server-shutting-down'));
  const report = world.feed.reports.flatMap(({ presence }) => presence).at(-1);
  t.like(report, { id: 'sensor-1', connected: false, reason: 'server-shutting-down' });
});

test('after a crash presence is corrected, and the directory and the sessions are restored', async (t) => {
  const world = await brokerWorld(t, { config: { broker: { store: 'durable' } } });
  const device = world.device('sensor-1');
  const stays = world.device('sensor-2');
  const backend = world.device('backend', { role: 'service' });
  await until('applied', () => applied(world));
  await world.broker.close();
  const script = new URL('../support/broker-process.ts', import.meta.url).pathname;
  const child = spawnNode(t, [script, world.state.root, world.feed.url]);
  const addresses = JSON.parse(await child.line(() => true)) as BrokerService['addresses'];
  const failed = new Promise<never>(() => undefined);
  world.broker = {
    ...world.broker,
    addresses,
    failed,
    close: () => Promise.resolve(),
    reload: () => Promise.resolve(),
  };
  await world.mqtt(device, { clientId: 'sensor-1' });
  await world.mqtt(stays, { clientId: 'sensor-2' });
  const watching = await world.mqtt(backend, { clientId: 'backend' });
  const before = collect(watching);
  await watching.subscribeAsync('$fleet/presence/+', { qos: 1 });
  await until(
    'both are online',
    () => before.filter((line) => line.includes('sensor-')).length >= 2,
  );
  // An acknowledged message is stored, and so is everything before it.
  await watching.publishAsync('devices/x/commands/y', 'z', { qos: 1, retain: true });
  await child.stop('SIGKILL');
  await world.feed.close();
  await world.restart({ config: { broker: { store: 'durable' } } });
  await world.mqtt(stays, { clientId: 'sensor-2' });
  const again = await world.mqtt(backend, { clientId: 'backend' });
  const seen = collect(again);
  await again.subscribeAsync('$fleet/presence/+', { qos: 1 });
  const of = (id: string): PresenceMessage | undefined =>
    seen
      .filter((line) => line.startsWith(`$fleet/presence/${id} `))
      .map((line) => JSON.parse(line.slice(line.indexOf('{'))) as PresenceMessage)
      .at(-1);
  await until(
    'presence of both',
    () => of('sensor-1') !== undefined && of('sensor-2') !== undefined,
  );
  t.like(of('sensor-1'), { status: 'offline', reason: 'broker-restarted' });
  t.like(of('sensor-2'), { status: 'online' });
});
