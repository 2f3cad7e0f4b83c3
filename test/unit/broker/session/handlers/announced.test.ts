/** Subscriptions that other partitions must know: SUBACK and the retained messages wait for them. */
import test from 'ava';
import type { SessionContext } from '../../../../../broker/session/state/context.ts';
import { ReceiverConfirmation } from '../../../../../broker/session/delivery/receiver-confirmation.ts';
import { startWorld, type RawClient, type World } from '../../../../support/session-world.ts';
import { until } from '../../../../support/until.ts';

interface Announced {
  readonly world: World;
  /** What was announced. */
  readonly filters: string[];
  readonly pending: ReceiverConfirmation[];
}

/** A world in which subscriptions below `wide/` are announced. */
async function announcedWorld(t: Parameters<typeof startWorld>[0]): Promise<Announced> {
  const filters: string[] = [];
  const pending: ReceiverConfirmation[] = [];
  const world = await startWorld(t);
  // Instead of a partition.
  Object.assign(world.layer.context, {
    announce(filter: string): ReceiverConfirmation | undefined {
      if (!filter.startsWith('wide/')) return undefined;
      filters.push(filter);
      const confirmation = new ReceiverConfirmation();
      pending.push(confirmation);
      return confirmation;
    },
  } satisfies Partial<SessionContext>);
  return { world, filters, pending };
}

/** The packets in the order in which they arrived, as words. */
const shown = ({ packets }: RawClient): string[] =>
  packets.map(({ cmd, payload, retain }) =>
    cmd === 'publish' ? `${String(payload)}${retain ? ' retained' : ''}` : cmd,
  );

const subscribe = (client: RawClient, messageId: number, ...topics: string[]): void =>
  client.send({
    cmd: 'subscribe',
    messageId,
    subscriptions: topics.map((topic) => ({ topic, qos: 1 })),
  });

async function retain(world: World, topic: string, payload: string): Promise<void> {
  await world.layer.publish({ topic, payload: Buffer.from(payload), qos: 1, retain: true });
}

test('SUBACK waits for all filters of its packet, and the retained messages follow it', async (t) => {
  const { world, filters, pending } = await announcedWorld(t);
  await retain(world, 'wide/a', 'a');
  await retain(world, 'other', 'o');
  const client = await world.connect({ clientId: 'sub', clean: false });
  subscribe(client, 1, 'wide/a', 'other', 'wide/b');
  await client.settle();
  t.deepEqual(filters, ['wide/a', 'wide/b']);
  t.deepEqual(shown(client), []);
  // The subscription is in force here already; what is retained meanwhile is not missed.
  await world.layer.publish({
    topic: 'wide/a',
    payload: Buffer.from('live'),
    qos: 0,
    retain: false,
  });
  await retain(world, 'wide/b', 'b');
  await client.settle();
  t.deepEqual(shown(client), ['live', 'b']);
  pending[1]?.confirm();
  await client.settle();
  t.deepEqual(shown(client), ['live', 'b']);
  pending[0]?.confirm();
  await until('all retained messages', () => client.packets.length === 6);
  const [, , suback, ...retained] = shown(client);
  t.is(suback, 'suback');
  t.deepEqual(retained.toSorted(), ['a retained', 'b retained', 'o retained']);
});

test('without an announcement, retained messages follow SUBACK at once', async (t) => {
  const { world, filters } = await announcedWorld(t);
  await retain(world, 'other', 'o');
  const client = await world.connect({ clientId: 'sub' });
  subscribe(client, 1, 'other');
  await client.settle();
  t.deepEqual(shown(client), ['suback', 'o retained']);
  t.deepEqual(filters, []);
});

test('other clients do not wait, and nothing is sent for a subscription that was removed meanwhile', async (t) => {
  const { world, pending } = await announcedWorld(t);
  await retain(world, 'wide/a', 'a');
  await retain(world, 'wide/b', 'b');
  const client = await world.connect({ clientId: 'sub' });
  const other = await world.connect({ clientId: 'other' });
  subscribe(client, 1, 'wide/a');
  client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['wide/a'] });
  subscribe(client, 3, 'wide/b');
  await client.settle();
  subscribe(other, 1, 'free');
  await other.next('suback');
  t.deepEqual(shown(client), []);
  for (const confirmation of pending) confirmation.confirm();
  await until('all of them', () => client.packets.length === 4);
  t.deepEqual(shown(client), ['suback', 'unsuback', 'suback', 'b retained']);
});

test('a connection that closes meanwhile gets nothing, and a failed announcement closes the connection', async (t) => {
  const { world, pending } = await announcedWorld(t);
  await retain(world, 'wide/a', 'a');
  const cut = await world.connect({ clientId: 'cut' });
  subscribe(cut, 1, 'wide/a');
  await cut.settle();
  await cut.cut();
  await until('it is closed', () => world.count('disconnected') === 1);
  t.is(pending[0]?.waiters, 0);
  pending[0]?.confirm();

  const client = await world.connect({ clientId: 'sub' });
  subscribe(client, 1, 'wide/a');
  await client.settle();
  pending[1]?.fail();
  await client.end();
  t.deepEqual(shown(client), []);
  t.is(world.count('disconnected', 'delivery-unconfirmed'), 1);
});
