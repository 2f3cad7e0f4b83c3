/** QoS 2: exactly once, and an exchange that ends. */
import test from 'ava';
import { startWorld } from '../../../../support/session-world.ts';

test('QoS 2 from a client: a packet id that is not released is not published again', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe('x', 0);
  const pub = await world.connect({ clientId: 'pub', clean: false });
  pub.publish('x', 'once', { qos: 2, id: 7 });
  await pub.next('pubrec');
  pub.publish('x', 'once', { qos: 2, id: 7, dup: true });
  await pub.next('pubrec');
  await pub.cut();
  const again = await world.connect({ clientId: 'pub', clean: false });
  again.publish('x', 'once', { qos: 2, id: 7, dup: true });
  await again.next('pubrec');
  again.ack('pubrel', 7);
  await again.next('pubcomp');
  t.is((await sub.received()).length, 1);
  again.publish('x', 'new', { qos: 2, id: 7 });
  await again.next('pubrec');
  t.is((await sub.received()).length, 1);
});

test('QoS 2 to a client: PUBREC with an error ends the exchange and makes room in the window', async (t) => {
  const world = await startWorld(t);
  const sub = await world.connect({
    version: 5,
    clientId: 'sub',
    properties: { receiveMaximum: 1 },
  });
  await sub.subscribe('x', 2);
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('x', 'one', { qos: 2 });
  pub.publish('x', 'two', { qos: 2 });
  await pub.settle();
  const first = await sub.next('publish');
  sub.ack('pubrec', first.messageId!, 0x80);
  t.is(String((await sub.next('publish')).payload), 'two');
});

test('PUBACK for a QoS 2 delivery and PUBREC for a QoS 1 delivery are protocol errors', async (t) => {
  const world = await startWorld(t);
  const pub = await world.connect({ clientId: 'pub' });
  for (const [qos, cmd] of [
    [2, 'puback'],
    [1, 'pubrec'],
    [2, 'pubcomp'],
  ] as const) {
    const sub = await world.connect({ version: 5, clientId: 'sub' });
    await sub.subscribe('x', qos);
    pub.publish('x', 'm', { qos: 2 });
    const got = await sub.next('publish');
    sub.ack(cmd, got.messageId!);
    t.is((await sub.next('disconnect')).reasonCode, 0x82);
    await sub.end();
  }
});
