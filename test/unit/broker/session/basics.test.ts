import test from 'ava';
import { startWorld } from '../../../support/session-world.ts';
import { until } from '../../../support/until.ts';

for (const version of [3, 4, 5] as const) {
  test(`MQTT level ${version}: connect, subscribe, publish at each QoS, unsubscribe, ping, disconnect`, async (t) => {
    const world = await startWorld(t);
    const sub = await world.connect({ clientId: 'sub', version });
    const pub = await world.connect({ clientId: 'pub', version });
    t.is(version === 5 ? sub.connack?.reasonCode : sub.connack?.returnCode, 0);
    t.deepEqual((await sub.subscribe('a/+', 2)).granted, [2]);

    pub.publish('a/b', 'zero');
    pub.publish('a/b', 'one', { qos: 1 });
    const id = pub.publish('a/b', 'two', { qos: 2 });
    t.is((await pub.next('puback')).messageId, 1);
    t.is((await pub.next('pubrec')).messageId, id);
    pub.ack('pubrel', id);
    t.is((await pub.next('pubcomp')).messageId, id);

    const got = await sub.received();
    t.deepEqual(
      got.map((one) => [one.topic, String(one.payload), one.qos, one.retain, one.dup]),
      [
        ['a/b', 'zero', 0, false, false],
        ['a/b', 'one', 1, false, false],
        ['a/b', 'two', 2, false, false],
      ],
    );
    t.deepEqual(
      got.map((one) => one.messageId),
      [undefined, 1, 2],
    );
    sub.ack('puback', 1);
    sub.ack('pubrec', 2);
    t.is((await sub.next('pubrel')).messageId, 2);
    sub.ack('pubcomp', 2);

    sub.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['a/+'] });
    t.is((await sub.next('unsuback')).messageId, 9);
    pub.publish('a/b', 'unheard');
    await pub.settle();
    t.deepEqual(await sub.received(), []);
    await sub.disconnect();
    await pub.disconnect();
    await until('both are gone', () => world.count('disconnected') === 2);
    t.deepEqual(
      world.events.filter((event) => event.kind === 'disconnected').map((event) => event.code),
      [undefined, undefined],
    );
  });
}

test('a kept session gets the messages that were published while it was offline, in order', async (t) => {
  const world = await startWorld(t);
  const first = await world.connect({ clientId: 'sub', clean: false });
  t.is(first.connack?.sessionPresent, false);
  await first.subscribe('q/#', 1);
  await first.cut();
  const pub = await world.connect({ clientId: 'pub' });
  for (let n = 0; n < 500; n++) pub.publish('q/x', String(n), { qos: 1 });
  await until('all acknowledged', () => pub.packets.length === 500);
  const again = await world.connect({ clientId: 'sub', clean: false });
  t.is(again.connack?.sessionPresent, true);
  const got: string[] = [];
  while (got.length < 500) {
    const one = await again.next('publish');
    got.push(String(one.payload));
    again.ack('puback', one.messageId!);
  }
  t.deepEqual(
    got,
    Array.from({ length: 500 }, (_, n) => String(n)),
  );
});

test('a retained message is sent to a new subscription, and a will when its client is cut off', async (t) => {
  const world = await startWorld(t);
  const device = await world.connect({
    clientId: 'device',
    will: { topic: 'will/device', payload: Buffer.from('gone'), qos: 1, retain: true },
  });
  device.publish('state/device', 'on', { retain: true });
  await device.settle();
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe([{ topic: 'state/#' }, { topic: 'will/#' }]);
  const [state] = await sub.received();
  t.deepEqual([state?.topic, String(state?.payload), state?.retain], ['state/device', 'on', true]);
  await device.cut();
  const will = await sub.next('publish');
  t.deepEqual([will.topic, String(will.payload), will.retain], ['will/device', 'gone', false]);
});

test('CONNACK of 3.1 has no Session Present: the byte is reserved', async (t) => {
  const world = await startWorld(t);
  for (const version of [3, 4] as const) {
    const clientId = `c${version}`;
    await (await world.connect({ clientId, version, clean: false })).disconnect();
    const again = await world.raw(clientId);
    const seen: Buffer[] = [];
    again.socket.on('data', (chunk: Buffer) => seen.push(chunk));
    again.connect({ clientId, version, clean: false });
    await until('CONNACK', () => seen.length > 0);
    t.is(Buffer.concat(seen).toString('hex'), version === 3 ? '20020000' : '20020100');
  }
});
