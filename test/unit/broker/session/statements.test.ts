/** Normative statements that no other test covers. */
import test from 'ava';
import { catalogue, isErrorCode } from '../../../../core/errors/catalogue.ts';
import { reasonOf } from '../../../../broker/session/wire/reasons.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { startWorld } from '../../../support/session-world.ts';
import { until } from '../../../support/until.ts';

test('U+FEFF is an ordinary character of a topic name: it is not removed', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ clientId: 'c' });
  await client.subscribe('#', 0);
  client.publish('\uFEFFa', 'x');
  t.deepEqual(
    (await client.received()).map((one) => one.topic),
    ['\uFEFFa'],
  );
});

test('topic names are compared byte by byte: with case, without normalization, with empty levels', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ clientId: 'c' });
  await client.subscribe([{ topic: 'A' }, { topic: 'é' }, { topic: '/x' }]);
  for (const topic of ['a', 'e\u0301', 'x', 'x/', 'A/', ' A']) client.publish(topic, 'no');
  for (const topic of ['A', 'é', '/x']) client.publish(topic, 'yes');
  t.deepEqual(
    (await client.received()).map((one) => one.topic),
    ['A', 'é', '/x'],
  );
});

test('DUP of a received PUBLISH is not forwarded', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe('x', 1);
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('x', 'm', { qos: 1, id: 5, dup: true });
  const got = await sub.next('publish');
  t.false(got.dup);
});

test('after PUBACK the same packet id is a new message, with or without DUP', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe('x', 1);
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('x', '1', { qos: 1, id: 5 });
  await pub.next('puback');
  pub.publish('x', '2', { qos: 1, id: 5, dup: true });
  await pub.next('puback');
  t.is((await sub.received()).length, 2);
});

test('the acknowledgements of one connection are sent in the order of its PUBLISH packets', async (t) => {
  const world = await startWorld(t);
  const kept = await world.connect({ clientId: 'kept', clean: false });
  await kept.subscribe('k', 1);
  const pub = await world.connect({ clientId: 'pub' });
  for (let id = 1; id <= 50; id++) pub.publish(id % 3 === 0 ? 'k' : 'free', 'x', { qos: 1, id });
  await until('all acknowledgements', () => pub.packets.length === 50);
  t.deepEqual(
    pub.packets.map((one) => one.messageId),
    Array.from({ length: 50 }, (_, n) => n + 1),
  );
});

test('CONNACK is sent first and once, before the messages that wait', async (t) => {
  const world = await startWorld(t);
  const first = await world.connect({ clientId: 'c', clean: false });
  await first.subscribe('x', 1);
  await first.cut();
  await world.layer.publish({ topic: 'x', payload: Buffer.from('m'), qos: 1, retain: false });
  const client = await world.raw('c');
  client.connect({ clientId: 'c', clean: false });
  client.write('c000');
  await until('three packets', () => client.packets.length === 3);
  t.is(client.packets[0]?.cmd, 'connack');
  t.is(client.packets.filter((one) => one.cmd === 'connack').length, 1);
});

test('packets after a rejected CONNECT are not handled', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe('#', 0);
  world.authorizer.deny.connect = () => true;
  const refused = await world.raw('refused');
  refused.connect({ clientId: 'refused', version: 5 });
  refused.publish('x', 'm');
  await refused.end();
  t.is(refused.packets[0]?.properties?.sessionPresent, undefined);
  t.false(refused.packets[0]?.sessionPresent);
  t.deepEqual(await sub.received(), []);
});

test('user name and password are decoded and ignored; client ids of 1 to 23 characters are accepted', async (t) => {
  const world = await startWorld(t);
  for (const clientId of ['a', '0123456789abcdefghijklm', 'ABCDEFGHIJKLMNOPQRSTUVW']) {
    const client = await world.raw('device-1');
    client.send({
      cmd: 'connect',
      clientId,
      protocolId: 'MQTT',
      protocolVersion: 4,
      clean: true,
      keepalive: 0,
      username: 'ü',
      password: Buffer.from([0, 255]),
    });
    t.is((await client.next('connack')).returnCode, 0);
  }
});

test('a second SUBSCRIBE replaces the first: its QoS applies, retained messages are sent again, nothing is lost', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ clientId: 'c' });
  client.publish('x', 'kept', { retain: true, qos: 1 });
  await client.next('puback');
  await client.subscribe('x', 1);
  t.is((await client.received()).length, 1);
  client.publish('x', 'before');
  await client.subscribe('x', 0);
  client.publish('x', 'after', { qos: 1 });
  t.deepEqual(
    (await client.received()).map((one) => [String(one.payload), one.qos, one.retain]),
    [
      ['before', 0, false],
      ['kept', 0, true],
      ['after', 0, false],
    ],
  );
  t.is(world.layer.statistics().subscriptions, 1);
});

test('UNSUBSCRIBE stops new messages and completes those in flight', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ clientId: 'c' });
  await client.subscribe([
    { topic: 'x', qos: 2 },
    { topic: 'x/#', qos: 0 },
  ]);
  client.publish('x', 'm', { qos: 2 });
  const got = await client.next('publish');
  client.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['x', 'X', 'x/+'] });
  t.is((await client.next('unsuback')).messageId, 9);
  client.publish('x', 'other');
  t.deepEqual(
    (await client.received()).map((one) => one.qos),
    [0],
  );
  client.ack('pubrec', got.messageId!);
  t.is((await client.next('pubrel')).messageId, got.messageId);
  client.ack('pubcomp', got.messageId!);
  await client.settle();
});

test('other packets are handled while the window is full', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({
    version: 5,
    clientId: 'c',
    properties: { receiveMaximum: 1 },
  });
  await client.subscribe('x', 1);
  for (let n = 0; n < 3; n++) client.publish('x', 'm', { qos: 1 });
  await client.next('puback');
  await client.next('puback');
  await client.next('puback');
  t.deepEqual((await client.subscribe('y', 2)).granted, [2]);
  client.publish('y', 'zero');
  t.deepEqual(
    (await client.received()).map((one) => String(one.payload)),
    ['m', 'zero'],
  );
});

test('a QoS 2 exchange is completed even if its message has expired', async (t) => {
  const clock = fakeClock();
  const world = await startWorld(t, { clock });
  const options = {
    version: 5 as const,
    clientId: 'sub',
    clean: false,
    keepAlive: 1000,
    properties: { sessionExpiryInterval: 1000 },
  };
  const sub = await world.connect(options);
  await sub.subscribe('x', 2);
  const pub = await world.connect({ version: 5, clientId: 'pub', keepAlive: 1000 });
  const id = pub.publish('x', 'm', { qos: 2, properties: { messageExpiryInterval: 5 } });
  await pub.next('pubrec');
  await sub.next('publish');
  clock.advance(10_000);
  pub.ack('pubrel', id);
  t.is((await pub.next('pubcomp')).reasonCode, 0);
  await sub.cut();
  await until('released', () => world.count('disconnected') === 1);
  const again = await world.connect(options);
  const got = await again.next('publish');
  t.true(got.dup);
  again.ack('pubrec', got.messageId!);
  await again.next('pubrel');
});

test('a message that one member of a shared subscription got is not sent to another one when its session ends', async (t) => {
  const world = await startWorld(t);
  const one = await world.connect({ clientId: 'one' });
  await one.subscribe('$share/g/x', 1);
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('x', 'm', { qos: 1 });
  await one.next('publish');
  const two = await world.connect({ version: 5, clientId: 'two' });
  await two.subscribe('$share/g/x', 1);
  await one.cut();
  t.deepEqual(await two.received(), []);
  pub.publish('x', 'n', { qos: 1 });
  const got = await two.next('publish');
  two.ack('puback', got.messageId!, 0x80);
  t.deepEqual(await two.received(), []);
});

test('a retained QoS 0 message replaces one at QoS 1; a message without RETAIN replaces nothing', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ clientId: 'c' });
  client.publish('r', 'first', { retain: true, qos: 1 });
  client.publish('r', 'second', { retain: true, qos: 0 });
  client.publish('r', 'third', { qos: 1 });
  await client.subscribe('r', 1);
  t.deepEqual(
    (await client.received()).map((one) => [String(one.payload), one.qos]),
    [['second', 0]],
  );
});

test('a will with RETAIN is retained, has its QoS, and is published at most once', async (t) => {
  const world = await startWorld(t);
  const device = await world.connect({
    clientId: 'd',
    clean: false,
    will: { topic: 'w', payload: Buffer.from('gone'), qos: 2, retain: true },
  });
  await device.cut();
  await until('released', () => world.count('disconnected') === 1);
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe('w', 2);
  const got = await sub.next('publish');
  t.deepEqual([got.qos, got.retain], [2, true]);
  const back = await world.connect({ clientId: 'd', clean: false });
  await back.cut();
  await until('released', () => world.count('disconnected') === 2);
  t.deepEqual(await sub.received(), []);
});

test('PUBREL packets are sent in the order of PUBREC', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ clientId: 'c', clean: false });
  await client.subscribe('x', 2);
  for (let n = 1; n <= 3; n++) client.publish('x', String(n), { qos: 2 });
  t.is((await client.received()).length, 3);
  for (const id of [3, 1, 2]) client.ack('pubrec', id);
  for (const id of [3, 1, 2]) t.is((await client.next('pubrel')).messageId, id);
});

test('a will without RETAIN is not retained', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe('w/#', 1);
  for (const version of [4, 5] as const) {
    const will = { topic: `w/${version}`, payload: Buffer.from('gone'), qos: 1 as const };
    const device = await world.connect({ version, clientId: 'd', will });
    await device.cut();
    t.false((await sub.next('publish')).retain);
  }
  t.is(world.layer.statistics().retained, 0);
});

test('the properties of a will are forwarded unchanged and in order; its expiry begins when it is published', async (t) => {
  const clock = fakeClock();
  const world = await startWorld(t, { clock });
  const sub = await world.connect({ version: 5, clientId: 'sub' });
  await sub.subscribe('w', 1);
  const device = await world.raw('d');
  device.connect({
    version: 5,
    clientId: 'd',
    properties: { sessionExpiryInterval: 100 },
    will: {
      topic: 'w',
      payload: Buffer.from('gone'),
      properties: {
        willDelayInterval: 30,
        messageExpiryInterval: 50,
        payloadFormatIndicator: true,
        contentType: 'text',
        responseTopic: 'answer',
        correlationData: Buffer.from([1, 2]),
        userProperties: { b: ['2', '3'], a: '1' },
      },
    },
  });
  await device.next('connack');
  await device.cut();
  await until('released', () => world.count('disconnected') === 1);
  const seen: Buffer[] = [];
  sub.socket.on('data', (chunk: Buffer) => seen.push(chunk));
  clock.advance(30_001);
  const { properties } = await sub.next('publish');
  t.is(properties?.['messageExpiryInterval'], 50);
  t.is(properties?.['payloadFormatIndicator'], true);
  t.is(properties?.['contentType'], 'text');
  t.is(properties?.['responseTopic'], 'answer');
  t.deepEqual(properties?.['correlationData'], Buffer.from([1, 2]));
  t.is(properties?.['willDelayInterval'], undefined);
  // b=2, b=3, a=1 as bytes: the codec returns a dictionary.
  t.true(
    Buffer.concat(seen).includes(
      Buffer.from('26000162000132' + '26000162000133' + '26000161000131', 'hex'),
    ),
  );
});

test('a client without a client id and with Clean Session 1 is assigned one on 3.1.1', async (t) => {
  const world = await startWorld(t);
  const ids: (string | undefined)[] = [];
  for (let n = 0; n < 2; n++) {
    const client = await world.connect({ identity: 'device-9', clientId: '', clean: true });
    t.is(client.connack?.returnCode, 0);
  }
  for (const { clientId } of world.layer.connections()) ids.push(clientId);
  t.is(new Set(ids).size, 2);
  t.true(ids.every((id) => id?.startsWith('device-9/')));
});

test('retained messages outlive the session that published them', async (t) => {
  const world = await startWorld(t);
  const pub = await world.connect({ clientId: 'p' });
  pub.publish('r', 'kept', { retain: true });
  await pub.disconnect();
  t.is(world.layer.statistics().retained, 1);
});

test('every code of the catalogue becomes a reason code that its packet allows', (t) => {
  const puback = [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
  const suback = [0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2];
  const onlyConnack = [0x84, 0x85, 0x86, 0x88, 0x8a];
  for (const code of Object.keys(catalogue)) {
    if (!isErrorCode(code)) continue;
    t.true(puback.includes(reasonOf(code, 'publish')), code);
    t.true(suback.includes(reasonOf(code, 'suback')), code);
    t.false(onlyConnack.includes(reasonOf(code, 'disconnect')), code);
    t.true(reasonOf(code, 'connack') >= 0x80, code);
  }
  t.is(reasonOf('packet-too-large', 'publish'), 0x97);
});

test('reason strings are left out if the packet would be larger than the client accepts', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({
    version: 5,
    clientId: 'c',
    properties: { maximumPacketSize: 40 },
  });
  client.write('c00100');
  const packet = await client.next('disconnect');
  t.is(packet.reasonCode, 0x81);
  const small = await world.raw('d');
  small.connect({
    version: 5,
    clientId: 'd',
    properties: { maximumPacketSize: 10 },
  });
  await small.end();
  t.is(small.bytes, 0);
});

test('an assigned client id is not that of an existing session', async (t) => {
  const world = await startWorld(t);
  world.authorizer.deny.connect = (identity, clientId) => clientId !== identity.id;
  await world.connect({ identity: 'd', clientId: 'd' });
  const second = await world.connect({ version: 5, identity: 'd', clientId: '' });
  t.is(second.connack?.reasonCode, 0x85);
});

test('topic aliases end with their connection', async (t) => {
  const world = await startWorld(t);
  const options = {
    version: 5 as const,
    clientId: 'c',
    clean: false,
    properties: { sessionExpiryInterval: 100 },
  };
  const client = await world.connect(options);
  client.publish('x', 'm', { properties: { topicAlias: 1 } });
  await client.settle();
  const again = await world.connect(options);
  again.publish('', 'm', { properties: { topicAlias: 1 } });
  t.is((await again.next('disconnect')).reasonCode, 0x82);
});
