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
