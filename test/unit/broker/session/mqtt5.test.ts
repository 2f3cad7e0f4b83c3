import test from 'ava';
import { fakeClock } from '../../../support/fake-clock.ts';
import { startWorld } from '../../../support/session-world.ts';
import { until } from '../../../support/until.ts';

const mqtt5 = { version: 5 } as const;

test('CONNACK of 5.0 contains exactly the properties that differ from their defaults', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ ...mqtt5, clientId: 'c', keepAlive: 60 });
  t.is(client.connack?.reasonCode, 0);
  t.deepEqual(
    { ...client.connack?.properties },
    { receiveMaximum: 100, maximumPacketSize: 1_048_576, topicAliasMaximum: 16 },
  );
});

test('a client without a client id is assigned one, and 5.0 returns it in CONNACK', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ ...mqtt5, identity: 'device-9', clientId: '' });
  t.regex(String(client.connack?.properties?.assignedClientIdentifier), /^device-9\/[0-9a-f]{16}$/);
  world.authorizer.deny.connect = (identity, clientId) => clientId !== identity.id;
  const exact = await world.connect({ ...mqtt5, identity: 'device-8', clientId: '' });
  t.is(exact.connack?.properties?.assignedClientIdentifier, 'device-8');
});

test('Server Keep Alive: no keep alive, and one that is too long, are limited, and CONNACK has the limit', async (t) => {
  const world = await startWorld(t);
  const none = await world.connect({ ...mqtt5, clientId: 'a', keepAlive: 0 });
  t.is(none.connack?.properties?.serverKeepAlive, 3600);
  const long = await world.connect({ ...mqtt5, clientId: 'b', keepAlive: 50_000 });
  t.is(long.connack?.properties?.serverKeepAlive, 3600);
});

test('session expiry: CONNACK has a reduced interval, and the session is kept exactly as long as granted', async (t) => {
  const clock = fakeClock();
  const world = await startWorld(t, { clock });
  const options = { ...mqtt5, clientId: 'c', clean: false, keepAlive: 100 };
  const cut = await world.connect({
    ...options,
    properties: { sessionExpiryInterval: 4_000_000_000 },
  });
  t.is(cut.connack?.properties?.sessionExpiryInterval, 604_800);
  await cut.subscribe('x', 1);
  await cut.cut();
  await until('released', () => world.count('disconnected') === 1);
  clock.advance(604_799_000);
  const kept = await world.connect({ ...options, properties: { sessionExpiryInterval: 10 } });
  t.true(kept.connack?.sessionPresent);
  t.is(kept.connack?.properties?.sessionExpiryInterval, undefined);
  await kept.cut();
  await until('released', () => world.count('disconnected') === 2);
  clock.advance(10_001);
  const gone = await world.connect(options);
  t.false(gone.connack?.sessionPresent);
});

test('without session expiry the session ends with its connection in 5.0, with and without Clean Start', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ ...mqtt5, clientId: 'c', clean: false });
  await client.subscribe('x', 1);
  await client.cut();
  await until('released', () => world.count('disconnected') === 1);
  t.is(world.layer.statistics().sessions, 0);
  t.is(world.layer.statistics().subscriptions, 0);
});

test('DISCONNECT can change the session expiry, but not raise it from 0', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({
    ...mqtt5,
    clientId: 'c',
    properties: { sessionExpiryInterval: 100 },
  });
  client.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 0 } });
  await client.end();
  t.is(world.layer.statistics().sessions, 0);
  const zero = await world.connect({ ...mqtt5, clientId: 'd' });
  zero.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 100 } });
  t.is((await zero.next('disconnect')).reasonCode, 0x82);
});

test('properties are forwarded unchanged and in order, to 5.0 receivers only', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ ...mqtt5, clientId: 'sub' });
  const old = await world.connect({ clientId: 'old' });
  await sub.subscribe('p', 1);
  await old.subscribe('p', 1);
  const pub = await world.raw('pub');
  pub.connect({ ...mqtt5, clientId: 'pub' });
  await pub.next('connack');
  const before = sub.bytes;
  // User properties b=2, a=1, b=3: an order that a dictionary would lose.
  const properties = Buffer.from(
    '0101' +
      '03000474657874' +
      '0800057265706c79' +
      '0900020102' +
      '26000162000132' +
      '26000161000131' +
      '26000162000133',
    'hex',
  );
  const frame = Buffer.concat([
    Buffer.from([0x32, 2 + 1 + 2 + 1 + properties.length + 2]),
    Buffer.from('000170' + '0007', 'hex'),
    Buffer.from([properties.length]),
    properties,
    Buffer.from('hi'),
  ]);
  const seen: Buffer[] = [];
  sub.socket.on('data', (chunk: Buffer) => seen.push(chunk));
  pub.write(frame);
  await pub.next('puback');
  await until('the message', () => sub.bytes > before);
  const got = Buffer.concat(seen);
  t.true(got.includes(properties));
  const [forwarded] = await old.received();
  t.is(String(forwarded?.payload), 'hi');
});

test('message expiry: the interval is reduced by the waiting time, and an expired message is not delivered', async (t) => {
  const clock = fakeClock();
  const world = await startWorld(t, { clock });
  const options = {
    ...mqtt5,
    clientId: 'sub',
    clean: false,
    keepAlive: 1000,
    properties: { sessionExpiryInterval: 1000 },
  };
  const sub = await world.connect(options);
  await sub.subscribe('e/#', 1);
  await sub.cut();
  await until('released', () => world.count('disconnected') === 1);
  const pub = await world.connect({ ...mqtt5, clientId: 'pub' });
  pub.publish('e/short', 'x', { qos: 1, properties: { messageExpiryInterval: 5 } });
  pub.publish('e/long', 'x', { qos: 1, properties: { messageExpiryInterval: 100 } });
  pub.publish('e/kept', 'r', { retain: true, properties: { messageExpiryInterval: 50 } });
  pub.publish('e/gone', 'r', { retain: true, properties: { messageExpiryInterval: 5 } });
  await pub.next('puback');
  await pub.next('puback');
  await pub.settle();
  clock.advance(30_000);
  const again = await world.connect(options);
  const message = await again.next('publish');
  t.is(message.topic, 'e/long');
  t.is(message.properties?.messageExpiryInterval, 70);
  t.is(world.count('dropped', 'expired'), 1);
  const late = await world.connect({ ...mqtt5, clientId: 'late' });
  await late.subscribe('e/#', 1);
  const got = await late.received();
  t.deepEqual(
    got.map((one) => [one.topic, one.properties?.messageExpiryInterval]),
    [['e/kept', 20]],
  );
});

test('will delay: the will waits, and is not published if the client reconnects in time', async (t) => {
  const clock = fakeClock();
  const world = await startWorld(t, { clock });
  const sub = await world.connect({ ...mqtt5, clientId: 'sub' });
  await sub.subscribe('w', 1);
  const options = {
    ...mqtt5,
    clientId: 'device',
    clean: false,
    properties: { sessionExpiryInterval: 100 },
    will: { topic: 'w', payload: Buffer.from('gone'), properties: { willDelayInterval: 30 } },
  };
  await (await world.connect(options)).cut();
  await until('released', () => world.count('disconnected') === 1);
  clock.advance(29_000);
  const back = await world.connect(options);
  clock.advance(60_000);
  t.deepEqual(await sub.received(), []);
  await back.cut();
  await until('released', () => world.count('disconnected') === 2);
  clock.advance(30_001);
  t.is(String((await sub.next('publish')).payload), 'gone');
});

test('the will delay ends with the session: a Clean Start publishes the will', async (t) => {
  const clock = fakeClock();
  const world = await startWorld(t, { clock });
  const sub = await world.connect({ ...mqtt5, clientId: 'sub' });
  await sub.subscribe('w', 1);
  const options = {
    ...mqtt5,
    clientId: 'device',
    properties: { sessionExpiryInterval: 100 },
    will: { topic: 'w', payload: Buffer.from('gone'), properties: { willDelayInterval: 30 } },
  };
  await (await world.connect(options)).cut();
  await until('released', () => world.count('disconnected') === 1);
  await world.connect({ ...mqtt5, clientId: 'device', clean: true });
  t.is(String((await sub.next('publish')).payload), 'gone');
});

test('DISCONNECT with 0x04 publishes the will, with 0x00 it does not', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ ...mqtt5, clientId: 'sub' });
  await sub.subscribe('w', 0);
  const options = { ...mqtt5, clientId: 'd', will: { topic: 'w', payload: Buffer.from('gone') } };
  const withWill = await world.connect(options);
  withWill.write('e00104');
  t.is(String((await sub.next('publish')).payload), 'gone');
  const withoutWill = await world.connect(options);
  withoutWill.write('e00100');
  await withoutWill.end();
  t.deepEqual(await sub.received(), []);
});

test('topic aliases of a client: set, used, changed; 0, one that is too high and one that is not set close the connection', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ ...mqtt5, clientId: 'sub' });
  await sub.subscribe('t/#', 0);
  const pub = await world.connect({ ...mqtt5, clientId: 'pub' });
  pub.publish('t/one', '1', { properties: { topicAlias: 3 } });
  pub.publish('', '2', { properties: { topicAlias: 3 } });
  pub.publish('t/two', '3', { properties: { topicAlias: 3 } });
  pub.publish('', '4', { properties: { topicAlias: 3 } });
  await pub.settle();
  t.deepEqual(
    (await sub.received()).map((one) => [one.topic, String(one.payload), one.properties]),
    [
      ['t/one', '1', undefined],
      ['t/one', '2', undefined],
      ['t/two', '3', undefined],
      ['t/two', '4', undefined],
    ],
  );
  for (const [topicAlias, topic, reason] of [
    [0, 't/x', 0x94],
    [17, 't/x', 0x94],
    [5, '', 0x82],
  ] as const) {
    const bad = await world.connect({ ...mqtt5, clientId: `bad-${topicAlias}` });
    bad.publish(topic, 'x', { properties: { topicAlias } });
    t.is((await bad.next('disconnect')).reasonCode, reason);
    await bad.end();
  }
});

test('topic aliases to a client: never more than it accepts, each introduced before it is used', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({
    ...mqtt5,
    clientId: 'sub',
    properties: { topicAliasMaximum: 1 },
  });
  await sub.subscribe('t/#', 1);
  const pub = await world.connect({ clientId: 'pub' });
  for (const topic of ['t/a', 't/b', 't/a', 't/b']) pub.publish(topic, 'x');
  await pub.settle();
  t.deepEqual(
    (await sub.received()).map((one) => [one.topic, one.properties?.topicAlias]),
    [
      ['t/a', 1],
      ['t/b', undefined],
      ['', 1],
      ['t/b', undefined],
    ],
  );
});

test('a message has the subscription identifiers of all matching subscriptions', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ ...mqtt5, clientId: 'sub' });
  await sub.subscribe('s/+', 0, { subscriptionIdentifier: 1 });
  await sub.subscribe('s/#', 1, { subscriptionIdentifier: 268_435_455 });
  await sub.subscribe('s/x', 1);
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('s/x', 'm', { qos: 2 });
  await pub.next('pubrec');
  const got = await sub.received();
  t.is(got.length, 1);
  t.is(got[0]?.qos, 1);
  t.deepEqual([got[0]?.properties?.subscriptionIdentifier].flat().sort(), [1, 268_435_455]);
});

test('No Local: a client does not get its own messages, only those of others', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ ...mqtt5, clientId: 'c' });
  await client.subscribe([{ topic: 'n', nl: true, qos: 1 }]);
  client.publish('n', 'own');
  const other = await world.connect({ ...mqtt5, clientId: 'o' });
  other.publish('n', 'other');
  await other.settle();
  t.deepEqual(
    (await client.received()).map((one) => String(one.payload)),
    ['other'],
  );
  await client.subscribe([{ topic: 'n/#', qos: 0 }]);
  client.publish('n', 'by the other subscription', { qos: 1 });
  const got = await client.received();
  t.deepEqual(
    got.map((one) => [String(one.payload), one.qos]),
    [['by the other subscription', 0]],
  );
});

test('No Local: a retained message is not sent to the client that published it', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ ...mqtt5, clientId: 'c' });
  const other = await world.connect({ ...mqtt5, clientId: 'o' });
  client.publish('n/own', 'own', { retain: true });
  other.publish('n/other', 'other', { retain: true });
  await Promise.all([client.settle(), other.settle()]);
  await client.subscribe([{ topic: 'n/#', nl: true }]);
  t.deepEqual(
    (await client.received()).map((one) => String(one.payload)),
    ['other'],
  );
  await client.subscribe([{ topic: 'n/own' }]);
  t.is((await client.received()).length, 1);
});

test('with Retain As Published live messages keep RETAIN, without it they have none', async (t) => {
  const world = await startWorld(t);
  const keeps = await world.connect({ ...mqtt5, clientId: 'keeps' });
  const drops = await world.connect({ ...mqtt5, clientId: 'drops' });
  await keeps.subscribe([{ topic: 'r', rap: true }]);
  await drops.subscribe([{ topic: 'r', rap: false }]);
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('r', '1', { retain: true });
  pub.publish('r', '2');
  await pub.settle();
  t.deepEqual(
    (await keeps.received()).map((one) => one.retain),
    [true, false],
  );
  t.deepEqual(
    (await drops.received()).map((one) => one.retain),
    [false, false],
  );
});

test('Retain Handling 0, 1 and 2', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ ...mqtt5, clientId: 'c' });
  client.publish('h', 'kept', { retain: true });
  await client.settle();
  const count = async (rh: number): Promise<number> => {
    await client.subscribe([{ topic: 'h', rh }]);
    return (await client.received()).length;
  };
  t.is(await count(2), 0);
  t.is(await count(1), 0); // The subscription exists already.
  t.is(await count(0), 1);
  client.send({ cmd: 'unsubscribe', messageId: 77, unsubscriptions: ['h'] });
  await client.next('unsuback');
  t.is(await count(1), 1);
});

test('shared subscriptions: one member gets each message, on 3.1.1 and 5.0, and No Local is rejected', async (t) => {
  const world = await startWorld(t);
  const members = [
    await world.connect({ ...mqtt5, clientId: 'm1' }),
    await world.connect({ clientId: 'm2' }),
    await world.connect({ ...mqtt5, clientId: 'm3' }),
  ];
  for (const member of members)
    t.deepEqual((await member.subscribe('$share/g/w/#', 1)).granted, [1]);
  const alone = await world.connect({ clientId: 'alone' });
  await alone.subscribe('$share/other/w/#', 1);
  const pub = await world.connect({ clientId: 'pub' });
  for (let n = 0; n < 30; n++) pub.publish(`w/${n}`, String(n), { qos: 1 });
  await until('acknowledged', () => pub.packets.length === 30);
  const got = await Promise.all(members.map((member) => member.received()));
  t.deepEqual(
    got.map((list) => list.length),
    [10, 10, 10],
  );
  t.is(new Set(got.flat().map((one) => String(one.payload))).size, 30);
  t.is((await alone.received()).length, 30);
  const bad = await world.connect({ ...mqtt5, clientId: 'bad' });
  bad.send({
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: [{ topic: '$share/g/w', qos: 0, nl: true, rap: false, rh: 0 }],
  });
  t.is((await bad.next('disconnect')).reasonCode, 0x82);
});

test('shared subscriptions prefer connected members; if there is none, a kept session gets the message', async (t) => {
  const world = await startWorld(t);
  const away = await world.connect({ clientId: 'away', clean: false });
  await away.subscribe('$share/g/w', 1);
  await away.cut();
  await until('released', () => world.count('disconnected') === 1);
  const here = await world.connect({ clientId: 'here' });
  await here.subscribe('$share/g/w', 1);
  const pub = await world.connect({ clientId: 'pub' });
  for (let n = 0; n < 4; n++) pub.publish('w', String(n), { qos: 1 });
  await until('acknowledged', () => pub.packets.length === 4);
  t.is((await here.received()).length, 4);
  await here.disconnect();
  pub.publish('w', 'kept', { qos: 1 });
  await until('acknowledged', () => pub.packets.length === 5);
  const back = await world.connect({ clientId: 'away', clean: false });
  t.is(String((await back.next('publish')).payload), 'kept');
});

test('Receive Maximum of the client limits the messages in flight to it', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ ...mqtt5, clientId: 'sub', properties: { receiveMaximum: 3 } });
  await sub.subscribe('f', 2);
  const pub = await world.connect({ clientId: 'pub' });
  for (let n = 0; n < 10; n++) pub.publish('f', String(n), { qos: 1 });
  await until('acknowledged', () => pub.packets.length === 10);
  const first = await sub.received();
  t.deepEqual(
    first.map((one) => one.messageId),
    [1, 2, 3],
  );
  sub.ack('puback', 2);
  const [next] = await sub.received();
  t.is(String(next?.payload), '3');
  t.false([1, 3].includes(next!.messageId!));
});

test('more messages in flight than our Receive Maximum close the connection with 0x93', async (t) => {
  const world = await startWorld(t, { config: { limits: { broker: { inflightInMax: 5 } } } });
  const pub = await world.connect({ ...mqtt5, clientId: 'pub' });
  t.is(pub.connack?.properties?.receiveMaximum, 5);
  for (let n = 1; n <= 6; n++) pub.publish('x', 'x', { qos: 2, id: n });
  t.is((await pub.next('disconnect')).reasonCode, 0x93);
  await pub.end();
});

test('QoS 2 messages of an earlier connection do not count against the Receive Maximum', async (t) => {
  const world = await startWorld(t, { config: { limits: { broker: { inflightInMax: 3 } } } });
  const options = {
    ...mqtt5,
    clientId: 'pub',
    clean: false,
    properties: { sessionExpiryInterval: 100 },
  };
  const first = await world.connect(options);
  for (let n = 1; n <= 3; n++) first.publish('x', 'x', { qos: 2, id: n });
  await until('three PUBREC packets', () => first.packets.length === 3);
  await first.cut();
  const second = await world.connect(options);
  t.true(second.connack?.sessionPresent);
  for (let n = 4; n <= 6; n++) second.publish('x', 'x', { qos: 2, id: n });
  await until('three more PUBREC packets', () => second.packets.length === 3);
  for (let n = 1; n <= 3; n++) second.ack('pubrel', n);
  await until('three PUBCOMP packets', () => second.packets.length === 6);
  second.publish('x', 'x', { qos: 2, id: 7 });
  t.is((await second.next('disconnect')).reasonCode, 0x93);
});

test('Maximum Packet Size of the client: larger messages are not sent to it', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({
    ...mqtt5,
    clientId: 'sub',
    properties: { maximumPacketSize: 60 },
  });
  const other = await world.connect({ ...mqtt5, clientId: 'other' });
  await sub.subscribe('m', 1);
  await other.subscribe('m', 1);
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('m', Buffer.alloc(100), { qos: 1 });
  pub.publish('m', Buffer.alloc(100));
  pub.publish('m', 'small', { qos: 1 });
  await until('acknowledged', () => pub.packets.length === 2);
  t.deepEqual(
    (await sub.received()).map((one) => String(one.payload)),
    ['small'],
  );
  t.is((await other.received()).length, 3);
  t.is(world.count('dropped', 'too-large'), 2);
});

test('Request Problem Information 0: only CONNACK and DISCONNECT have a reason string', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({
    ...mqtt5,
    clientId: 'c',
    properties: { requestProblemInformation: false },
  });
  client.write('c001');
  client.write('00');
  const packet = await client.next('disconnect');
  t.is(packet.reasonCode, 0x81);
  t.is(packet.properties, undefined);
});

test('Request Response Information is answered with the topic prefix of the device', async (t) => {
  const world = await startWorld(t);
  const asks = await world.connect({
    ...mqtt5,
    clientId: 'device-1',
    properties: { requestResponseInformation: true },
  });
  t.is(asks.connack?.properties?.responseInformation, 'devices/device-1/');
  const silent = await world.connect({ ...mqtt5, clientId: 'device-2' });
  t.is(silent.connack?.properties?.responseInformation, undefined);
});

test('an authentication method is answered with 0x8C, AUTH with 0x82', async (t) => {
  const world = await startWorld(t);
  const asks = await world.connect({
    ...mqtt5,
    clientId: 'c',
    properties: { authenticationMethod: 'SCRAM-SHA-1' },
  });
  t.is(asks.connack?.reasonCode, 0x8c);
  await asks.end();
  const client = await world.connect({ ...mqtt5, clientId: 'c' });
  client.write('f000');
  t.is((await client.next('disconnect')).reasonCode, 0x82);
  await client.end();
});

test('Payload Format Indicator: a payload that is not UTF-8 is rejected with 0x99, in PUBLISH and in a will', async (t) => {
  const world = await startWorld(t);
  const pub = await world.connect({ ...mqtt5, clientId: 'pub' });
  const bad = Buffer.from([0xff, 0xfe]);
  pub.publish('p', bad, { qos: 1, properties: { payloadFormatIndicator: true } });
  t.is((await pub.next('puback')).reasonCode, 0x99);
  pub.publish('p', bad, { qos: 2, properties: { payloadFormatIndicator: true } });
  t.is((await pub.next('pubrec')).reasonCode, 0x99);
  pub.publish('p', 'good', { qos: 1, properties: { payloadFormatIndicator: true } });
  t.is((await pub.next('puback')).reasonCode, 0);
  const will = await world.connect({
    ...mqtt5,
    clientId: 'w',
    will: { topic: 'w', payload: bad, properties: { payloadFormatIndicator: true } },
  });
  t.is(will.connack?.reasonCode, 0x99);
});

test('a denied PUBLISH is answered with 0x87 in 5.0, and the connection stays open', async (t) => {
  const world = await startWorld(t);
  world.authorizer.deny.publish = (_identity, topic) => topic === 'no';
  const pub = await world.connect({ ...mqtt5, clientId: 'pub' });
  pub.publish('no', 'x', { qos: 1 });
  t.is((await pub.next('puback')).reasonCode, 0x87);
  pub.publish('no', 'x', { qos: 2 });
  t.is((await pub.next('pubrec')).reasonCode, 0x87);
  pub.publish('no', 'x');
  await pub.settle();
  t.is(world.count('denied', 'publish-denied'), 3);
});

test('DISCONNECT has 0x8E for a session that was taken over, 0x8B for a shutdown, 0x8D for a keep alive timeout', async (t) => {
  const clock = fakeClock();
  const world = await startWorld(t, { clock });
  const old = await world.connect({ ...mqtt5, clientId: 'c', keepAlive: 10 });
  const next = await world.connect({ ...mqtt5, clientId: 'c', keepAlive: 10 });
  t.is((await old.next('disconnect')).reasonCode, 0x8e);
  await old.end();
  clock.advance(14_000);
  t.false(next.ended);
  clock.advance(2_000);
  t.is((await next.next('disconnect')).reasonCode, 0x8d);
  const last = await world.connect({ ...mqtt5, clientId: 'c' });
  await world.layer.close();
  t.is((await last.next('disconnect')).reasonCode, 0x8b);
});

test('UNSUBACK of 5.0 distinguishes filters that were subscribed from those that were not', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ ...mqtt5, clientId: 'c' });
  await client.subscribe('a', 0);
  client.send({ cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['a', 'b', '$share/g/a'] });
  t.deepEqual((await client.next('unsuback')).granted, [0, 0x11, 0x11]);
  // The codec does not encode such filters: an empty one, then `a/#/b`.
  client.write('a2 0c 0006 00 0000 0005 612f232f62');
  t.deepEqual((await client.next('unsuback')).granted, [0x8f, 0x8f]);
});

test('SUBACK has a reason code for each filter', async (t) => {
  const world = await startWorld(t, {
    config: { limits: { broker: { subscriptionsPerSessionMax: 2 } } },
  });
  world.authorizer.deny.subscribe = (_identity, filter) => filter === 'secret';
  const filters = ['ok', 'secret', 'a/#/b', '$share/x', 'two', 'three'].map((topic) => ({ topic }));
  const client = await world.connect({ ...mqtt5, clientId: 'c' });
  t.deepEqual((await client.subscribe(filters, 1)).granted, [1, 0x87, 0x8f, 0x8f, 1, 0x97]);
  const old = await world.connect({ clientId: 'o' });
  t.deepEqual((await old.subscribe(filters, 1)).granted, [1, 0x80, 0x80, 0x80, 1, 0x80]);
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('secret', 'x');
  await pub.settle();
  t.deepEqual(await client.received(), []);
});
