/** The limits of subscriptions: for a session, for an identity, and for all. */
import test from 'ava';
import { startWorld, type RawClient } from '../../../../support/session-world.ts';

const topics = (from: number, count: number): { topic: string }[] =>
  Array.from({ length: count }, (_, n) => ({ topic: `t/${from + n}` }));

async function granted(client: RawClient, from: number, count: number): Promise<number> {
  const suback = await client.subscribe(topics(from, count), 0);
  const codes = (suback.granted ?? []) as readonly number[];
  return codes.filter((code) => code < 0x80).length;
}

test('the subscriptions of one identity have a share, and others continue', async (t) => {
  const world = await startWorld(t, {
    config: {
      limits: { broker: { subscriptionsPerDeviceMax: 30, subscriptionsPerSessionMax: 20 } },
    },
  });
  const first = await world.connect({ version: 5, identity: 'greedy', clientId: 'greedy/1' });
  const second = await world.connect({ version: 5, identity: 'greedy', clientId: 'greedy/2' });
  t.is(await granted(first, 0, 25), 20, 'a session');
  t.is(await granted(second, 0, 20), 10, 'the identity');
  t.is((await second.subscribe(topics(15, 1), 0)).granted?.[0], 0x97);
  const other = await world.connect({ version: 5, clientId: 'other' });
  t.is(await granted(other, 0, 20), 20);
  await first.disconnect();
  t.is(await granted(second, 10, 20), 10, 'the subscriptions of a session end with it');
});

test('identities that subscribe as much as they can leave room for others', async (t) => {
  const world = await startWorld(t, {
    config: { limits: { broker: { subscriptionsTotalMax: 100 } } },
  });
  const greedy = await world.connect({ version: 5, clientId: 'greedy' });
  t.is(await granted(greedy, 0, 100), 75);
  for (const clientId of ['a', 'b', 'c']) {
    const client = await world.connect({ version: 5, clientId });
    t.is(await granted(client, 0, 1), 1);
  }
});
