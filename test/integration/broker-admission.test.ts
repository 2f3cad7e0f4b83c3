import test from 'ava';
import { testCa } from '../support/test-ca.ts';
import { brokerWorld, connectPacket, untilClosed } from '../support/broker-world.ts';
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

test('a client without a certificate is refused before MQTT', async (t) => {
  const world = await brokerWorld(t);
  const socket = await world.tls(undefined);
  socket.write(connectPacket('sensor-1'));
  t.is((await untilClosed(socket)).length, 0);
  t.deepEqual(world.reasons('refused'), ['certificate-missing']);
});

test('a certificate of another CA is refused before MQTT', async (t) => {
  const world = await brokerWorld(t);
  world.device('sensor-1');
  const foreign = testCa('Foreign').issue({ profile: 'device', commonName: 'sensor-1' });
  const socket = await world.tls(foreign);
  socket.write(connectPacket('sensor-1'));
  t.is((await untilClosed(socket)).length, 0);
  t.deepEqual(world.reasons('refused'), ['certificate-untrusted']);
});
