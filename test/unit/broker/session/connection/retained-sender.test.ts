/** The retained messages of new subscriptions are sent in portions that delay no other client. */
import test from 'ava';
import {
  RetainedSender,
  type RetainedReceiver,
  type RetainedSession,
} from '../../../../../broker/session/connection/retained-sender.ts';
import { fakeClock } from '../../../../support/fake-clock.ts';
import { identityOf, startWorld } from '../../../../support/session-world.ts';
import { storedMessage, subscription } from '../../../../support/store-samples.ts';
import { until } from '../../../../support/until.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A sender over `messages` retained messages that all filters match, and a count of its steps. */
function senderOver(messages: number) {
  const clock = fakeClock();
  const counter = { steps: 0 };
  function* walkRetained() {
    for (let n = 0; n < messages; n++) {
      counter.steps++;
      yield storedMessage(`r/${n}`);
    }
  }
  const authorizer = { receive: () => true };
  return {
    clock,
    counter,
    sender: new RetainedSender({ clock, store: { walkRetained }, authorizer }),
  };
}

/** A connection with subscriptions, which counts what is delivered to it. */
function receiverOf(id: string, filters: number) {
  const records = Array.from({ length: filters }, (_, n) => subscription(`r/${n}`, { qos: 0 }));
  const client = { identity: identityOf(id), closed: false, hasRoom: true };
  const delivered = { count: 0 };
  const session: RetainedSession & { subscriptions: Map<string, (typeof records)[number]> } = {
    clientId: id,
    subscriptions: new Map(records.map((record) => [record.filter, record])),
    outbound: { hasWaiting: false },
    deliver: () => (delivered.count++, false),
  };
  return { client: client satisfies RetainedReceiver, session, records, delivered };
}

test('one SUBSCRIBE with 94 filters that match 1,000 messages each does little in one turn', async (t) => {
  const { counter, sender } = senderOver(1000);
  const greedy = receiverOf('greedy', 94);
  const other = receiverOf('other', 1);
  sender.send(greedy.client, greedy.session, greedy.records);
  t.true(counter.steps <= 1000, `${counter.steps} steps at once`);
  let otherTurns = 0;
  sender.send(other.client, other.session, other.records);
  for (let turn = 0; greedy.delivered.count < 94_000; turn++) {
    counter.steps = 0;
    await nextTurn();
    t.true(counter.steps <= 4000, `${counter.steps} steps in one turn`);
    if (otherTurns === 0 && other.delivered.count === 1000) otherTurns = turn + 1;
  }
  t.true(otherTurns > 0 && otherTurns < 20, `the other one waited for ${otherTurns} turns`);
});

test('a second SUBSCRIBE in the same turn uses the budget that is left', async (t) => {
  const { counter, sender } = senderOver(100_000);
  const receivers = Array.from({ length: 50 }, (_, n) => receiverOf(`d${n}`, 10));
  for (const { client, session, records } of receivers) sender.send(client, session, records);
  t.true(counter.steps <= 4000, `${counter.steps} steps at once`);
  for (const { client } of receivers) client.closed = true;
  await nextTurn();
  const { steps } = counter;
  await nextTurn();
  t.is(counter.steps, steps, 'nothing is searched for a closed connection');
});

test('a connection without room waits, and gets the rest when it has room again', async (t) => {
  const { clock, sender } = senderOver(600);
  const slow = receiverOf('slow', 1);
  slow.client.hasRoom = false;
  sender.send(slow.client, slow.session, slow.records);
  await nextTurn();
  t.is(slow.delivered.count, 0);
  slow.client.hasRoom = true;
  clock.advance(50);
  while (slow.delivered.count < 600) await nextTurn();
  t.is(slow.delivered.count, 600);
});

test('after UNSUBSCRIBE no retained message of the filter is sent any more', async (t) => {
  const { sender } = senderOver(100_000);
  const { client, session, records, delivered } = receiverOf('d', 1);
  sender.send(client, session, records);
  session.subscriptions.clear();
  const { count } = delivered;
  await nextTurn();
  await nextTurn();
  t.is(delivered.count, count);
});

test('every retained message is sent once, while others come and go', async (t) => {
  const world = await startWorld(t);
  const publisher = await world.connect({ clientId: 'publisher' });
  for (let n = 0; n < 3000; n++) publisher.publish(`r/${n}/state`, 'x', { retain: true });
  await until('retained', () => world.layer.statistics().retained === 3000);
  const client = await world.connect({ clientId: 'c' });
  const subscribed = client.subscribe('r/+/state', 0);
  for (let n = 0; n < 500; n++) publisher.publish(`r/${n}/other`, 'x', { retain: true });
  await subscribed;
  const topics = (): (string | undefined)[] =>
    client.packets.filter(({ cmd }) => cmd === 'publish').map(({ topic }) => topic);
  await until('all came', () => topics().length === 3000);
  t.is(new Set(topics()).size, 3000);
});
