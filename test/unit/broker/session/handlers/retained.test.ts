/** Retained messages: how they are stored, sent and deleted, and what happens without room. */
import test from 'ava';
import { startWorld } from '../../../../support/session-world.ts';
import { until } from '../../../../support/until.ts';

test('an empty retained payload deletes the retained message, and is delivered to subscribers', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ clientId: 'c' });
  await client.subscribe('r', 0);
  client.publish('r', 'x', { retain: true });
  client.publish('r', '', { retain: true });
  t.deepEqual(
    (await client.received()).map((one) => [one.payload?.length, one.retain]),
    [
      [1, false],
      [0, false],
    ],
  );
  t.is(world.layer.statistics().retained, 0);
});

test('a retained message without room is rejected with 0x97 and counted', async (t) => {
  const world = await startWorld(t, { config: { limits: { broker: { retainedMax: 1 } } } });
  const client = await world.connect({ version: 5, clientId: 'c' });
  client.publish('a', 'x', { retain: true, qos: 1 });
  t.is((await client.next('puback')).reasonCode, 0);
  client.publish('b', 'x', { retain: true, qos: 1 });
  t.is((await client.next('puback')).reasonCode, 0x97);
  t.is(world.count('dropped', 'retained-full'), 1);
});

test('thousands of retained messages are all delivered, in batches', async (t) => {
  const world = await startWorld(t);
  for (let n = 0; n < 3000; n++) {
    await world.layer.publish({
      topic: `many/${n}`,
      payload: Buffer.from('x'),
      qos: 0,
      retain: true,
    });
  }
  const client = await world.connect({ clientId: 'c' });
  await client.subscribe('many/#', 0);
  await until(
    'all came',
    () => client.packets.filter((one) => one.cmd === 'publish').length === 3000,
  );
  t.pass();
});

test('one device cannot take the room for retained messages of the others, nor of the broker', async (t) => {
  const world = await startWorld(t, { config: { limits: { broker: { retainedMax: 40 } } } });
  world.authorizer.own = { ...world.authorizer.own, retainedMax: 10 };
  const greedy = await world.connect({ version: 5, clientId: 'greedy' });
  const codes: number[] = [];
  for (let n = 0; n < 12; n++) {
    greedy.publish(`devices/greedy/${n}`, 'x', { retain: true, qos: 1 });
    codes.push(Number((await greedy.next('puback')).reasonCode));
  }
  t.deepEqual(codes, [...Array.from({ length: 10 }, () => 0), 0x97, 0x97]);
  t.is(world.count('dropped', 'retained-share-full'), 2);
  // Replacing and deleting work all the time.
  greedy.publish('devices/greedy/1', 'y', { retain: true, qos: 1 });
  t.is((await greedy.next('puback')).reasonCode, 0);
  greedy.publish('devices/greedy/1', '', { retain: true, qos: 1 });
  t.is((await greedy.next('puback')).reasonCode, 0);
  greedy.publish('devices/greedy/11', 'x', { retain: true, qos: 1 });
  t.is((await greedy.next('puback')).reasonCode, 0);

  const good = await world.connect({ version: 5, clientId: 'good' });
  good.publish('devices/good/state', 'x', { retain: true, qos: 1 });
  t.is((await good.next('puback')).reasonCode, 0);
  const old = await world.connect({ identity: 'greedy', clientId: 'greedy/3.1.1' });
  old.publish('devices/greedy/20', 'x', { retain: true, qos: 1 });
  t.is((await old.next('puback')).cmd, 'puback', '3.1.1 has no reason: acknowledged, not retained');
  t.is(world.layer.statistics().retained, 11);
});

test('the messages of the broker itself have room when that of the clients is full', async (t) => {
  const world = await startWorld(t, { config: { limits: { broker: { retainedMax: 1 } } } });
  const client = await world.connect({ version: 5, clientId: 'c' });
  client.publish('a', 'x', { retain: true, qos: 1 });
  t.is((await client.next('puback')).reasonCode, 0);
  const payload = Buffer.from('x');
  await t.notThrowsAsync(
    world.layer.publish({ topic: '$fleet/presence/c', payload, qos: 1, retain: true }),
  );
  t.is(world.layer.statistics().retained, 2);
});
