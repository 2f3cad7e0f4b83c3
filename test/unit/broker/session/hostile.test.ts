import test, { type ExecutionContext } from 'ava';
import { fakeClock } from '../../../support/fake-clock.ts';
import { startWorld, type World } from '../../../support/session-world.ts';
import { until } from '../../../support/until.ts';

/** The bytes of a CONNECT: protocol name, level, flags, keep alive, then `rest`. */
function connectBytes(level: number, flags: number, rest: string, name = '00044d515454'): Buffer {
  const body = Buffer.from(
    `${name}${level.toString(16).padStart(2, '0')}${flags.toString(16).padStart(2, '0')}003c${rest}`,
    'hex',
  );
  return Buffer.concat([Buffer.from([0x10, body.length]), body]);
}

/** A healthy client that must not be affected. */
async function healthy(world: World): Promise<() => Promise<void>> {
  const client = await world.connect({ clientId: 'healthy' });
  await client.subscribe('health', 1);
  return async () => {
    client.publish('health', 'fine', { qos: 1 });
    const got = await client.next('publish');
    client.ack('puback', got.messageId!);
    await client.next('puback');
  };
}

interface Vector {
  readonly what: string;
  readonly version: 4 | 5;
  readonly bytes: string;
  /** The reason code of DISCONNECT on 5.0; on 3.1.1 the connection is closed without a packet. */
  readonly reason: number;
}

const vectors: readonly Vector[] = [
  { what: 'a remaining length of five bytes', bytes: '30ffffffff01', reason: 0x81 },
  { what: 'PUBLISH that ends before its topic', bytes: '300100', reason: 0x81 },
  { what: 'PUBLISH whose topic is longer than the packet', bytes: '3003000961', reason: 0x81 },
  { what: 'PUBLISH QoS 1 without room for a packet id', bytes: '3203000161', reason: 0x81 },
  { what: 'PUBLISH with both QoS bits', bytes: '360600016100010000', reason: 0x81 },
  { what: 'PUBLISH QoS 0 with DUP', bytes: '380400016100', reason: 0x81 },
  { what: 'PUBLISH with packet id 0', bytes: '320600016100000000', reason: 0x82 },
  { what: 'a topic that is overlong UTF-8', bytes: '30050002c08000', reason: 0x81 },
  { what: 'a topic with a UTF-16 surrogate', bytes: '30060003eda08000', reason: 0x81 },
  { what: 'a topic with truncated UTF-8', bytes: '30050002e28200', reason: 0x81 },
  { what: 'a topic with U+0000', bytes: '30060003610062' + '00', reason: 0x81 },
  { what: 'a topic name with #', bytes: '3006000361' + '2f2300', reason: 0x90 },
  { what: 'a topic name with +', bytes: '3006000361' + '2f2b00', reason: 0x90 },
  { what: 'a second CONNECT', bytes: '100d00044d515454050000000000' + '00', reason: 0x82 },
  { what: 'a packet of type 0', bytes: '0000', reason: 0x81 },
  { what: 'CONNACK from a client', bytes: '20020000', reason: 0x81 },
  { what: 'SUBACK from a client', bytes: '9003000100', reason: 0x81 },
  { what: 'PINGRESP from a client', bytes: 'd000', reason: 0x81 },
  { what: 'SUBSCRIBE with wrong flags', bytes: '8007000100000161' + '00', reason: 0x81 },
  { what: 'UNSUBSCRIBE with wrong flags', bytes: 'a0060001000001' + '61', reason: 0x81 },
  { what: 'PUBREL with wrong flags', bytes: '60020001', reason: 0x81 },
  { what: 'PINGREQ with flags', bytes: 'c100', reason: 0x81 },
  { what: 'PINGREQ with a body', bytes: 'c00100', reason: 0x81 },
  { what: 'DISCONNECT with flags', bytes: 'e100', reason: 0x81 },
  { what: 'PUBACK with packet id 0', bytes: '40020000', reason: 0x82 },
  { what: 'PUBREC with packet id 0', bytes: '50020000', reason: 0x82 },
  { what: 'PUBREL with packet id 0', bytes: '62020000', reason: 0x82 },
  { what: 'PUBCOMP with packet id 0', bytes: '70020000', reason: 0x82 },
  { what: 'PUBACK that is too short', bytes: '400100', reason: 0x81 },
].flatMap((vector) => ([4, 5] as const).map((version) => ({ ...vector, version })));

const vectors5: readonly Vector[] = [
  { what: 'PUBLISH without properties', bytes: '3003000161', reason: 0x81 },
  {
    what: 'properties that are longer than the packet',
    bytes: '3005000161' + '0901',
    reason: 0x81,
  },
  { what: 'an unknown property', bytes: '30060001610204' + '00', reason: 0x81 },
  { what: 'a property of another packet', bytes: '300900016105' + '1100000001', reason: 0x81 },
  { what: 'a topic alias in SUBSCRIBE', bytes: '820a0001032300010001' + '6100', reason: 0x81 },
  { what: 'a property twice', bytes: '30080001610401' + '000100', reason: 0x82 },
  { what: 'payload format 2', bytes: '30060001610201' + '02', reason: 0x82 },
  { what: 'a response topic with wildcards', bytes: '30080001610408' + '000123', reason: 0x82 },
  { what: 'a subscription identifier from a client', bytes: '3006000161020b01', reason: 0x82 },
  {
    what: 'a user property that is not UTF-8',
    bytes: '300b0001610726' + '0001ff000161',
    reason: 0x81,
  },
  { what: 'an empty topic without an alias', bytes: '3003000000', reason: 0x82 },
  { what: 'SUBSCRIBE without filters', bytes: '8203000100', reason: 0x82 },
  { what: 'SUBSCRIBE with packet id 0', bytes: '820700000000016100', reason: 0x82 },
  { what: 'SUBSCRIBE with QoS 3', bytes: '820700010000016103', reason: 0x82 },
  { what: 'SUBSCRIBE with reserved option bits', bytes: '8207000100000161c0', reason: 0x81 },
  { what: 'SUBSCRIBE with retain handling 3', bytes: '820700010000016130', reason: 0x82 },
  { what: 'subscription identifier 0', bytes: '82090001020b00000161' + '00', reason: 0x82 },
  { what: 'a filter with U+0000', bytes: '820700010000010000', reason: 0x81 },
  { what: 'a filter that is not UTF-8', bytes: '82070001000001ff00', reason: 0x81 },
  {
    what: 'UNSUBSCRIBE with a filter that is not UTF-8',
    bytes: 'a206000100' + '0001ff',
    reason: 0x81,
  },
  { what: 'UNSUBSCRIBE without filters', bytes: 'a203000100', reason: 0x82 },
  { what: 'UNSUBSCRIBE with packet id 0', bytes: 'a206000000000161', reason: 0x82 },
  { what: 'PUBACK with an unknown reason', bytes: '4003000177', reason: 0x81 },
  { what: 'PUBREL with an unknown reason', bytes: '6203000180', reason: 0x81 },
  { what: 'DISCONNECT with a reason of the server', bytes: 'e0018b', reason: 0x81 },
  {
    what: 'DISCONNECT with a second session expiry',
    bytes: 'e00c000a' + '11000000011100000001',
    reason: 0x82,
  },
  { what: 'a padded remaining length', bytes: 'c08000', reason: 0x81 },
].map((vector) => ({ ...vector, version: 5 }));

const vectors4: readonly Vector[] = [
  { what: 'SUBSCRIBE without filters', bytes: '82020001', reason: 0 },
  { what: 'SUBSCRIBE with reserved option bits', bytes: '8206000100016104', reason: 0 },
  { what: 'SUBSCRIBE with packet id 0', bytes: '8206000000016100', reason: 0 },
  { what: 'SUBSCRIBE with QoS 3', bytes: '8206000100016103', reason: 0 },
  { what: 'a filter with U+0000', bytes: '8206000100010000', reason: 0 },
  { what: 'a filter that is not UTF-8', bytes: '820600010001ff00', reason: 0 },
  { what: 'UNSUBSCRIBE with packet id 0', bytes: 'a2050000000161', reason: 0 },
  { what: 'UNSUBSCRIBE with a filter that is not UTF-8', bytes: 'a20500010001ff', reason: 0 },
  { what: 'UNSUBSCRIBE without filters', bytes: 'a2020001', reason: 0 },
  { what: 'an empty topic', bytes: '30020000', reason: 0 },
  { what: 'AUTH, which does not exist there', bytes: 'f000', reason: 0 },
  { what: 'DISCONNECT with a body', bytes: 'e00100', reason: 0 },
].map((vector) => ({ ...vector, version: 4 }));

for (const { what, version, bytes, reason } of [...vectors, ...vectors5, ...vectors4]) {
  const withReason = version === 5 ? ` with 0x${reason.toString(16)}` : '';
  test(`level ${version}: ${what} ends the connection${withReason}`, async (t) => {
    const world = await startWorld(t);
    const check = await healthy(world);
    const client = await world.connect({
      clientId: 'bad',
      version,
      will: { topic: 'w', payload: Buffer.from('x') },
    });
    client.write(bytes);
    if (version === 5) t.is((await client.next('disconnect')).reasonCode, reason);
    await client.end();
    await check();
    t.is(world.layer.statistics().sessions, 1);
  });
}

/** The bytes that answer a CONNECT before the connection is closed. */
async function answer(t: ExecutionContext, bytes: Buffer): Promise<string> {
  const world = await startWorld(t);
  const client = await world.raw('device-1');
  const seen: Buffer[] = [];
  client.socket.on('data', (chunk: Buffer) => seen.push(chunk));
  client.write(bytes);
  await client.end();
  t.is(world.count('refused'), 1);
  t.is(world.count('connected'), 0);
  return Buffer.concat(seen).toString('hex');
}

for (const [what, bytes, wanted] of [
  ['level 6', connectBytes(6, 2, '000161'), /^20..0084/],
  ['level 2', connectBytes(2, 2, '000161'), /^20020001$/],
  ['level 3 with the name MQTT', connectBytes(3, 2, '000161'), /^20020001$/],
  ['the bridge level of 3.1.1', connectBytes(0x84, 2, '000161'), /^20020001$/],
  ['the bridge level of 3.1', connectBytes(0x83, 2, '000161', '00064d5149736470'), /^20020001$/],
  ['the bridge level of 5.0', connectBytes(0x85, 2, '000161'), /^20..0084/],
  ['another protocol name', connectBytes(4, 2, '000161', '00044d515455'), /^$/],
  ['the reserved flag', connectBytes(4, 3, '000161'), /^$/],
  ['the reserved flag in 5.0', connectBytes(5, 3, '00000161'), /^20..0081/],
  ['will QoS 3', connectBytes(5, 0x1e, '0000016100000177000178'), /^20..0081/],
  ['will QoS without a will', connectBytes(4, 0x0a, '000161'), /^$/],
  ['will retain without a will', connectBytes(4, 0x22, '000161'), /^$/],
  ['a password without a user name on 3.1.1', connectBytes(4, 0x42, '000161000170'), /^$/],
  ['an empty client id with Clean Session 0', connectBytes(4, 0, '0000'), /^20020002$/],
  ['a client id that is not UTF-8', connectBytes(5, 2, '000001ff'), /^20..0081/],
  ['a client id with U+0000', connectBytes(5, 2, '00000100'), /^20..0081/],
  ['bytes after the last field', connectBytes(5, 2, '00000161ff'), /^20..0081/],
  ['receive maximum 0', connectBytes(5, 2, '03210000000161'), /^20..0082/],
  ['maximum packet size 0', connectBytes(5, 2, '052700000000000161'), /^20..0082/],
  ['a property twice', connectBytes(5, 2, '06210001210001000161'), /^20..0082/],
  ['authentication data without a method', connectBytes(5, 2, '04160001ff000161'), /^20..0082/],
  ['an empty will topic', connectBytes(4, 6, '00016100000000'), /^$/],
  ['a will topic with a wildcard on 3.1.1', connectBytes(4, 6, '0001610001230000'), /^$/],
  ['an empty will topic in 5.0', connectBytes(5, 6, '000001610000000000'), /^20..0090/],
  ['a will topic with a wildcard', connectBytes(5, 6, '0000016100' + '0001230000'), /^20..0090/],
  ['a will topic that is not UTF-8', connectBytes(5, 6, '0000016100' + '0001ff0000'), /^20..0081/],
  ['a user name flag without a user name', connectBytes(5, 0x82, '00000161'), /^20..0081/],
  ['a password flag without a password', connectBytes(4, 0xc2, '00016100017a'), /^$/],
  ['a user name that is not UTF-8', connectBytes(5, 0x82, '000001610001ff'), /^20..0081/],
  ['a user name that is not UTF-8 on 3.1.1', connectBytes(4, 0x82, '0001610001ff'), /^$/],
  ['a client id that is not UTF-8 on 3.1.1', connectBytes(4, 2, '0001ff'), /^$/],
  ['PUBLISH first', Buffer.from('300400016161', 'hex'), /^$/],
  ['PINGREQ first', Buffer.from('c000', 'hex'), /^$/],
  ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n'), /^$/],
  ['a declared length of 256 MB', Buffer.from('10ffffff7f', 'hex'), /^$/],
  ['a declared length over the limit before CONNECT', Buffer.from('1080800a', 'hex'), /^$/],
] as const) {
  test(`CONNECT with ${what} is refused`, async (t) => {
    t.regex(await answer(t, bytes), wanted);
  });
}

test('a packet above the size limit is rejected by its Remaining Length, before it is buffered', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ version: 5, clientId: 'c' });
  client.write('30ffffff7f');
  t.is((await client.next('disconnect')).reasonCode, 0x95);
  await client.end();
  const old = await world.connect({ clientId: 'old' });
  old.write('30ffffff7f');
  await old.end();
  const limit = await world.connect({ version: 5, clientId: 'd' });
  limit.publish('t', Buffer.alloc(1_048_576 - 20), { qos: 1 });
  t.is((await limit.next('puback')).reasonCode, 0);
});

test('a topic with 300 levels is rejected in PUBLISH, SUBSCRIBE and a will', async (t) => {
  const world = await startWorld(t);
  const deep = Array.from({ length: 300 }, () => 'a').join('/');
  const client = await world.connect({ version: 5, clientId: 'c' });
  t.deepEqual((await client.subscribe(deep, 0)).granted, [0x8f]);
  client.publish(deep, 'x', { qos: 1 });
  t.is((await client.next('disconnect')).reasonCode, 0x90);
  const will = await world.connect({
    version: 5,
    clientId: 'd',
    will: { topic: deep, payload: Buffer.alloc(0) },
  });
  t.is(will.connack?.reasonCode, 0x90);
  const old = await world.connect({ clientId: 'old' });
  t.deepEqual((await old.subscribe(deep, 0)).granted, [0x80]);
  old.publish(deep, 'x', { qos: 1 });
  await old.end();
  t.deepEqual(old.packets, []);
  const oldWill = await world.connect({
    clientId: 'old-will',
    will: { topic: deep, payload: Buffer.alloc(0) },
  });
  t.is(oldWill.connack?.returnCode, 5);
});

test('PUBREL with an unknown packet id is answered with 0x92 in 5.0, without a code on 3.1.1', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ version: 5, clientId: 'c' });
  client.ack('pubrel', 77);
  t.is((await client.next('pubcomp')).reasonCode, 0x92);
  const old = await world.connect({ clientId: 'old' });
  old.ack('pubrel', 77);
  t.is((await old.next('pubcomp')).messageId, 77);
});

test('acknowledgements with unknown packet ids are ignored; such a PUBREC is answered by PUBREL', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ version: 5, clientId: 'c' });
  client.ack('puback', 5);
  client.ack('pubcomp', 5);
  client.ack('pubrec', 5);
  t.is((await client.next('pubrel')).reasonCode, 0x92);
  await client.settle();
});

test('a will that the policy denies is rejected at CONNECT', async (t) => {
  const world = await startWorld(t);
  world.authorizer.deny.publish = (_identity, topic) => topic === 'forbidden';
  const will = { topic: 'forbidden', payload: Buffer.from('x') };
  t.is((await world.connect({ version: 5, clientId: 'a', will })).connack?.reasonCode, 0x87);
  t.is((await world.connect({ clientId: 'b', will })).connack?.returnCode, 5);
  t.is(world.count('refused', 'publish-denied'), 2);
});

test('without CONNECT in time the connection is closed, even if single bytes keep arriving', async (t) => {
  const clock = fakeClock();
  const world = await startWorld(t, { clock });
  const silent = await world.raw();
  const slow = await world.raw();
  slow.write('10');
  await until('both connections', () => [...world.layer.connections()].length === 2);
  clock.advance(5000);
  slow.write('20');
  clock.advance(5600);
  await silent.end();
  await slow.end();
  t.is(world.count('refused', 'connect-timeout'), 2);
});

test('a client id of another device is rejected, and a session that another identity uses is not taken over', async (t) => {
  const world = await startWorld(t);
  const owner = await world.connect({ identity: 'owner', clientId: 'shared-id' });
  const thief = await world.connect({ identity: 'thief', clientId: 'shared-id', version: 5 });
  t.is(thief.connack?.reasonCode, 0x85);
  await owner.settle();
  world.authorizer.deny.connect = (identity, clientId) => identity.id !== clientId;
  t.is((await world.connect({ identity: 'a', clientId: 'b' })).connack?.returnCode, 2);
});

test('a kept session of another identity is not resumed', async (t) => {
  const world = await startWorld(t);
  const owner = await world.connect({ identity: 'owner', clientId: 'id', clean: false });
  await owner.subscribe('secret', 1);
  await owner.cut();
  await until('released', () => world.count('disconnected') === 1);
  const other = await world.connect({ identity: 'other', clientId: 'id', clean: false });
  t.false(other.connack?.sessionPresent);
  t.is(world.layer.statistics().subscriptions, 0);
});

test('many packets in one chunk, and one packet in many chunks', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ clientId: 'c' });
  await client.subscribe('x', 0);
  const frame = Buffer.from('300600017868656c', 'hex');
  client.write(Buffer.concat(Array.from({ length: 2000 }, () => frame)));
  t.is((await client.received()).length, 2000);
  for (const byte of frame) {
    client.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.is((await client.received()).length, 1);
});
