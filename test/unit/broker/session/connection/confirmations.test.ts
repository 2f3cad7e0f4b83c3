/** Acknowledgements that wait for receivers that confirm later, over real connections. */
import test from 'ava';
import { FlotillaError } from '../../../../../core/errors/flotilla-error.ts';
import { fakeClock } from '../../../../support/fake-clock.ts';
import { LateReceiver } from '../../../../support/late-receiver.ts';
import { slowStore } from '../../../../support/slow-store.ts';
import { startWorld, type RawClient, type World } from '../../../../support/session-world.ts';
import { until } from '../../../../support/until.ts';

/** What was received, without PUBLISH, as words. */
const words = (client: RawClient): string[] =>
  client.packets
    .filter(({ cmd }) => cmd !== 'publish')
    .map((packet) => `${packet.cmd} ${String(packet.messageId)}`);

const got = (late: LateReceiver, count: number): Promise<unknown> =>
  until('the receiver has got it', () => late.got.length >= count);

/** Waits until everything that may leave has arrived. */
async function arrived(client: RawClient): Promise<string[]> {
  await client.settle();
  return words(client);
}

async function lateWorld(
  t: Parameters<typeof startWorld>[0],
  options: Parameters<typeof startWorld>[1] = {},
): Promise<{ world: World; late: LateReceiver }> {
  const world = await startWorld(t, options);
  const late = new LateReceiver();
  late.listen(world, 'late/#');
  return { world, late };
}

test('PUBACK leaves when the own store has committed and all receivers have confirmed', async (t) => {
  const slow = slowStore();
  const { world, late } = await lateWorld(t, { store: slow.store });
  t.teardown(() => setImmediate(() => slow.commit()));
  const other = new LateReceiver();
  other.listen(world, 'late/both');
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('late/both', 'x', { qos: 1, id: 1 });
  await got(other, 1);
  await until('the commit was requested', () => slow.waiting() > 0);
  late.confirm();
  t.deepEqual(await arrived(pub), []);
  other.confirm();
  t.deepEqual(await arrived(pub), [], 'both have confirmed, but the store has not committed');
  slow.commit();
  t.is((await pub.next('puback')).messageId, 1);

  pub.publish('late/both', 'y', { qos: 1, id: 2 });
  await got(other, 2);
  await until('the commit was requested', () => slow.waiting() > 0);
  slow.commit();
  t.deepEqual(await arrived(pub), [], 'the store has committed, but nobody has confirmed');
  other.confirm();
  t.deepEqual(await arrived(pub), []);
  late.confirm();
  t.is((await pub.next('puback')).messageId, 2);
});

test('acknowledgements of one connection leave in order, whatever each of them waits for', async (t) => {
  const { world, late } = await lateWorld(t);
  const pub = await world.connect({ clientId: 'pub', clean: false });
  pub.publish('local', '1', { qos: 1, id: 1 });
  pub.publish('late/a', '2', { qos: 1, id: 2 });
  pub.publish('local', '3', { qos: 1, id: 3 });
  pub.publish('local', '4', { qos: 2, id: 4 });
  pub.send({ cmd: 'subscribe', messageId: 5, subscriptions: [{ topic: 's', qos: 1 }] });
  pub.publish('late/b', '6', { qos: 2, id: 6 });
  pub.send({ cmd: 'unsubscribe', messageId: 7, unsubscriptions: ['s'] });
  await got(late, 2);
  t.deepEqual(await arrived(pub), ['puback 1'], 'PINGRESP and what was first do not wait');
  pub.publish('local', '8', { qos: 1, id: 8 });
  late.pending.splice(1, 1)[0]?.confirm();
  t.deepEqual(await arrived(pub), ['puback 1'], 'the second has confirmed, the first has not');
  late.confirm();
  await until('all of them', () => pub.packets.length === 8);
  t.deepEqual(words(pub), [
    'puback 1',
    'puback 2',
    'puback 3',
    'pubrec 4',
    'suback 5',
    'pubrec 6',
    'unsuback 7',
    'puback 8',
  ]);
  pub.publish('local', '9', { qos: 1, id: 9 });
  t.deepEqual((await arrived(pub)).slice(8), ['puback 9'], 'nothing waits any more');
});

test('other connections, and messages for the publisher itself, do not wait', async (t) => {
  const { world, late } = await lateWorld(t);
  const pub = await world.connect({ clientId: 'pub', clean: false });
  const other = await world.connect({ clientId: 'other' });
  await pub.subscribe('in', 2);
  pub.publish('late/x', '1', { qos: 1, id: 1 });
  await got(late, 1);
  for (const qos of [0, 1, 2] as const) other.publish('in', String(qos), { qos, id: qos });
  await other.next('puback');
  await other.next('pubrec');
  t.deepEqual(
    (await pub.received()).map(({ payload }) => String(payload)),
    ['0', '1', '2'],
  );
  t.deepEqual(words(pub), []);
  late.confirm();
  await pub.next('puback');
});

test('QoS 2: PUBREC waits, also for the same message over the next connection', async (t) => {
  const { world, late } = await lateWorld(t);
  const first = await world.connect({ clientId: 'pub', clean: false });
  first.publish('late/x', 'x', { qos: 2, id: 1 });
  await got(late, 1);
  t.deepEqual(await arrived(first), []);
  await first.cut();
  await until('its session is offline', () => world.count('disconnected') === 1);
  t.is(late.pending[0]?.waiters, 0, 'nothing of the closed connection is kept');

  const second = await world.connect({ clientId: 'pub', clean: false });
  second.publish('late/x', 'x', { qos: 2, id: 1, dup: true });
  second.publish('local', 'y', { qos: 1, id: 2 });
  t.deepEqual(await arrived(second), []);
  t.is(late.got.length, 1, 'it is not published twice');
  late.confirm();
  await second.next('pubrec');
  await second.next('puback');
  second.ack('pubrel', 1);
  await second.next('pubcomp');
  second.publish('late/x', 'z', { qos: 2, id: 1 });
  await got(late, 2);
  late.confirm();
  await second.next('pubrec');
});

test('PUBCOMP keeps its place behind what waits', async (t) => {
  const { world, late } = await lateWorld(t);
  const pub = await world.connect({ clientId: 'pub', clean: false });
  pub.publish('local', '1', { qos: 2, id: 1 });
  await pub.next('pubrec');
  pub.publish('late/x', '2', { qos: 1, id: 2 });
  pub.ack('pubrel', 1);
  await got(late, 1);
  t.deepEqual(await arrived(pub), []);
  late.confirm();
  await until('both', () => pub.packets.length === 2);
  t.deepEqual(words(pub), ['puback 2', 'pubcomp 1']);
});

test('a receiver that never confirms pauses a publisher at its Receive Maximum, and nobody else', async (t) => {
  const { world, late } = await lateWorld(t, {
    config: { limits: { broker: { inflightInMax: 10 } } },
  });
  const pub = await world.connect({ clientId: 'pub' });
  for (let id = 1; id <= 50; id++) pub.publish('late/x', String(id), { qos: 1, id });
  pub.write('c000');
  const other = await world.connect({ clientId: 'other' });
  for (let id = 1; id <= 50; id++) other.publish('local', 'x', { qos: 1, id });
  await until('its acknowledgements', () => other.packets.length === 50);
  await got(late, 10);
  await other.settle();
  t.is(late.got.length, 10);
  t.deepEqual(pub.packets, []);
  // All of them: those that arrived in one turn are released together.
  late.confirm();
  await until('the connection is read again', () => late.got.length > 10);
  t.true(late.got.length <= 20);
  for (let acknowledged = 0; acknowledged < 50;) {
    late.confirm();
    acknowledged = await until('more', () => {
      late.confirm();
      const count = pub.packets.filter(({ cmd }) => cmd === 'puback').length;
      return count > acknowledged ? count : undefined;
    });
  }
  t.deepEqual(
    late.got,
    Array.from({ length: 50 }, (_, n) => String(n + 1)),
  );
  await pub.next('pingresp');
  t.deepEqual(
    words(pub),
    Array.from({ length: 50 }, (_, n) => `puback ${n + 1}`),
  );
});

test('acknowledgements that need no receiver count too, while they wait behind one that does', async (t) => {
  const { world, late } = await lateWorld(t, {
    config: { limits: { broker: { inflightInMax: 10 } } },
  });
  const local = new LateReceiver();
  local.listen(world, 'local');
  local.deliver = (message) => {
    local.got.push(String(message.payload));
    return false;
  };
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('late/x', 'x', { qos: 1, id: 1 });
  for (let id = 2; id <= 100; id++) pub.publish('local', 'y', { qos: 1, id });
  await got(local, 9);
  const other = await world.connect({ clientId: 'other' });
  await other.settle();
  t.is(local.got.length, 9);
  late.confirm();
  await until('all of them', () => pub.packets.length === 100);
});

test('a 5.0 client that keeps to its Receive Maximum is not closed', async (t) => {
  const { world, late } = await lateWorld(t, {
    config: { limits: { broker: { inflightInMax: 4 } } },
  });
  const pub = await world.connect({ clientId: 'pub', version: 5 });
  for (let round = 0; round < 5; round++) {
    for (let id = 1; id <= 4; id++) {
      pub.publish('late/x', 'x', { qos: id % 2 === 0 ? 1 : 2, id: round * 4 + id });
    }
    await got(late, (round + 1) * 4);
    late.confirm();
    for (let id = 1; id <= 4; id += 2) {
      const { messageId } = await pub.next('pubrec');
      pub.ack('pubrel', messageId ?? 0);
      await pub.next('puback');
      await pub.next('pubcomp');
    }
  }
  t.false(pub.ended);
});

test('a connection that the broker closes gets what is confirmed within ten seconds, then DISCONNECT', async (t) => {
  const clock = fakeClock();
  const { world, late } = await lateWorld(t, { clock });
  const confirmed = await world.connect({ clientId: 'confirmed', version: 5 });
  const unconfirmed = await world.connect({ clientId: 'unconfirmed', version: 5 });
  for (const client of [confirmed, unconfirmed]) {
    client.publish('late/x', 'x', { qos: 1, id: 1 });
    await client.settle();
    const [connection] = world.layer.connectionsOf(
      client === confirmed ? 'confirmed' : 'unconfirmed',
    );
    connection?.close('connection-too-old');
  }
  await got(late, 2);
  clock.advance(9000);
  t.deepEqual(words(confirmed), []);
  late.confirm(1);
  await confirmed.end();
  t.deepEqual(
    confirmed.packets.map(({ cmd }) => cmd),
    ['puback', 'disconnect'],
  );
  clock.advance(2000);
  await unconfirmed.end();
  t.deepEqual(
    unconfirmed.packets.map(({ cmd }) => cmd),
    ['disconnect'],
  );
  t.is(late.pending[0]?.waiters, 0);
  late.confirm();
});

test('a connection that is cut or revoked while it waits leaves nothing behind', async (t) => {
  const { world, late } = await lateWorld(t);
  const cut = await world.connect({ clientId: 'cut' });
  const revoked = await world.connect({ clientId: 'revoked' });
  const ended = await world.connect({ clientId: 'ended' });
  for (const client of [cut, revoked, ended]) {
    client.publish('late/x', 'x', { qos: 1 });
    await client.settle();
  }
  t.deepEqual(
    late.pending.map(({ waiters }) => waiters),
    [1, 1, 1],
  );
  await cut.cut();
  for (const connection of world.layer.connectionsOf('revoked')) connection.close('device-revoked');
  await revoked.end();
  await ended.disconnect();
  await until('all are closed', () => world.count('disconnected') === 3);
  t.deepEqual(
    late.pending.map(({ waiters }) => waiters),
    [0, 0, 0],
  );
  late.confirm();
  t.deepEqual([words(revoked), words(ended)], [[], []]);
});

test('what a receiver will not confirm is not acknowledged: the connection closes, and the client sends it again', async (t) => {
  const { world, late } = await lateWorld(t);
  const pub = await world.connect({ clientId: 'pub', version: 5 });
  const kept = await world.connect({ clientId: 'kept', clean: false });
  const other = await world.connect({ clientId: 'other' });
  pub.publish('late/x', 'one', { qos: 1, id: 1 });
  pub.publish('local', 'behind it', { qos: 1, id: 2 });
  kept.publish('late/x', 'two', { qos: 2, id: 1 });
  await got(late, 2);
  await pub.settle();
  late.fail();
  await Promise.all([pub.end(), kept.end()]);
  t.deepEqual(
    pub.packets.map(({ cmd, reasonCode }) => [cmd, reasonCode]),
    [['disconnect', 0x83]],
  );
  t.is(world.count('disconnected', 'delivery-unconfirmed'), 2);
  await other.settle();
  t.false(other.ended);

  const again = await world.connect({ clientId: 'kept', clean: false });
  again.publish('late/x', 'two', { qos: 2, id: 1, dup: true });
  await got(late, 3);
  t.is(late.got[2], 'two', 'the receiver did not have it, so it is published again');
  late.confirm();
  await again.next('pubrec');
  again.ack('pubrel', 1);
  await again.next('pubcomp');
});

test('a receiver that cannot take a message at all fails at once: nothing is acknowledged', async (t) => {
  const { world, late } = await lateWorld(t);
  late.fails = true;
  for (const qos of [1, 2] as const) {
    const pub = await world.connect({ clientId: `pub-${qos}`, clean: false });
    pub.publish('late/x', 'x', { qos });
    await pub.end();
    t.deepEqual(pub.packets, []);
  }
});

test('a receiver that was removed still confirms what is pending', async (t) => {
  const world = await startWorld(t);
  const late = new LateReceiver();
  const remove = late.listen(world, 'late/x');
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('late/x', '1', { qos: 1, id: 1 });
  await got(late, 1);
  remove();
  pub.publish('late/x', '2', { qos: 1, id: 2 });
  t.deepEqual(await arrived(pub), [], 'the second keeps its place behind the first');
  t.is(late.got.length, 1);
  late.confirm();
  await until('both', () => pub.packets.length === 2);
  t.deepEqual(words(pub), ['puback 1', 'puback 2']);
});

test('after a failed commit nothing leaves, also if receivers have confirmed', async (t) => {
  const slow = slowStore();
  const { world, late } = await lateWorld(t, { store: slow.store });
  t.teardown(() => setImmediate(() => slow.commit()));
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('late/x', 'x', { qos: 1, id: 1 });
  await got(late, 1);
  await until('the commit was requested', () => slow.waiting() > 0);
  late.confirm();
  slow.commit(new FlotillaError('store-write-failed'));
  await pub.end();
  t.deepEqual(pub.packets, []);
  t.is(world.count('disconnected', 'store-write-failed'), 1);
});

test('messages of the broker and of plug-ins wait for the receivers, and wills do not hold up anybody', async (t) => {
  const { world, late } = await lateWorld(t);
  let isDone = false;
  const own = world.layer
    .publish(
      { topic: 'late/presence', payload: Buffer.from('1'), qos: 1, retain: true },
      { topic: 'late/presence', payload: Buffer.from('2'), qos: 1, retain: false },
    )
    .then(() => (isDone = true));
  const published = new Promise<Error | undefined>((resolve) => {
    world.layer.core.publish({ topic: 'late/plug-in', payload: '3', qos: 1 }, resolve);
  });
  const dying = await world.connect({
    clientId: 'dying',
    will: { topic: 'late/will', payload: Buffer.from('4'), qos: 1 },
  });
  t.deepEqual(late.got, ['1', '2', '3']);
  await dying.cut();
  await got(late, 4);
  t.is(late.pending[3]?.waiters, 0);
  late.confirm(1);
  const again = await world.connect({ clientId: 'dying' });
  await again.settle();
  t.false(isDone);
  late.confirm(1);
  await own;
  late.confirm();
  t.is(await published, undefined);

  const failing = world.layer.publish({
    topic: 'late/a',
    payload: Buffer.from('5'),
    qos: 1,
    retain: false,
  });
  late.fail();
  await t.throwsAsync(failing, { code: 'delivery-unconfirmed' });
});

test('the broker closes while acknowledgements wait', async (t) => {
  const { world, late } = await lateWorld(t);
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('late/x', 'x', { qos: 1 });
  await got(late, 1);
  await world.close();
  await pub.end();
  t.deepEqual(pub.packets, []);
  t.is(late.pending[0]?.waiters, 0);
  late.confirm();
});
