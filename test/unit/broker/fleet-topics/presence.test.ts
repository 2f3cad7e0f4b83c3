import test from 'ava';
import {
  presenceCollectedMax,
  presenceCollectMs,
  PresencePublisher,
} from '../../../../broker/fleet-topics/presence.ts';
import type { Connection, BrokerMessage } from '../../../../broker/contracts/session-layer.ts';
import { identityOf } from '../../../support/broker-identity.ts';
import { fakeClock, type FakeClock } from '../../../support/fake-clock.ts';

interface World {
  readonly clock: FakeClock;
  readonly presence: PresencePublisher;
  /** The published messages: one list per call, which is one commit. */
  readonly published: (readonly BrokerMessage[])[];
}

function world(retained: readonly { topic: string; payload: Buffer }[] = []): World {
  const clock = fakeClock();
  const published: (readonly BrokerMessage[])[] = [];
  const presence = new PresencePublisher({
    clock,
    broker: 'broker-1',
    failed: () => undefined,
    layer: () => ({
      publish(...messages) {
        published.push(messages);
        return Promise.resolve();
      },
      connectionsOf: () => [],
      // eslint-disable-next-line @typescript-eslint/require-await -- the session layer has an async generator, too
      async *retained() {
        yield* retained;
      },
    }),
  });
  return { clock, presence, published };
}

function connection(id: string): Connection {
  return {
    identity: identityOf(id),
    clientId: id,
    protocolVersion: 5,
    connectedAtMs: 0,
    reauthorize() {
      // Not used in these tests.
    },
    close() {
      // Not used in these tests.
    },
  };
}

/** Each call as its devices and their new status. */
function reported({ published }: World): string[] {
  return published.map((messages) =>
    messages
      .map(({ topic, payload }) => {
        const text = payload.toString();
        const { status } = (text === '' ? { status: 'nothing' } : JSON.parse(text)) as {
          status: string;
        };
        return `${topic.slice('$fleet/presence/'.length)} ${status}`;
      })
      .join(', '),
  );
}

test('a single presence event is published at once', (t) => {
  const w = world();
  w.presence.connected(connection('a'));
  t.deepEqual(reported(w), ['a online']);
  w.clock.advance(presenceCollectMs);
  w.presence.connected(connection('b'));
  t.deepEqual(reported(w), ['a online', 'b online']);
  w.clock.advance(presenceCollectMs);
  t.is(w.clock.pending, 0, 'no timer without events');
});

test('presence events in quick succession are published together and in order', (t) => {
  const w = world();
  w.presence.connected(connection('a'));
  w.presence.connected(connection('b'));
  w.presence.disconnected(connection('a'), undefined, undefined);
  w.presence.clear('b');
  t.deepEqual(reported(w), ['a online'], 'the others are collected');
  w.clock.advance(presenceCollectMs - 1);
  t.is(w.published.length, 1);
  w.clock.advance(1);
  t.deepEqual(reported(w), ['a online', 'b online, a offline, b nothing']);
  const versions = w.published
    .flat()
    .filter(({ payload }) => payload.length > 0)
    .map(({ payload }) => (JSON.parse(payload.toString()) as { version: number }).version);
  t.deepEqual(
    versions,
    versions.toSorted((one, other) => one - other),
  );
});

test('a new subscriber to presence receives the current state', (t) => {
  const w = world();
  w.presence.connected(connection('a'));
  w.presence.connected(connection('b'));
  w.presence.retainedRequested('devices/#');
  t.is(w.published.length, 1, 'unrelated topics do not publish them');
  w.presence.retainedRequested('$fleet/presence/b');
  t.deepEqual(reported(w), ['a online', 'b online']);
});

test('the number of collected events is limited: a full list is published early', (t) => {
  const w = world();
  for (let index = 0; index <= presenceCollectedMax; index++) {
    w.presence.connected(connection(`d${index}`));
  }
  t.deepEqual(
    w.published.map(({ length }) => length),
    [1, presenceCollectedMax],
  );
});

test('a shutdown publishes the collected events and leaves no timer', async (t) => {
  const w = world();
  w.presence.connected(connection('a'));
  w.presence.disconnected(connection('a'), 'server-shutting-down', undefined);
  await w.presence.settled();
  t.deepEqual(reported(w), ['a online', 'a offline']);
  t.is(w.clock.pending, 0);
});

test('presence is corrected after a crash, with a higher version', async (t) => {
  const left = { id: 'a', status: 'online', version: 8e15 };
  const w = world([
    { topic: '$fleet/presence/a', payload: Buffer.from(JSON.stringify(left)) },
    { topic: '$fleet/presence/b', payload: Buffer.from('{"status":"offline","version":7}') },
    { topic: '$fleet/presence/c', payload: Buffer.from('no JSON') },
    { topic: '$fleet/presence/d', payload: Buffer.from('{"status":"online","version":9}') },
  ]);
  t.is(await w.presence.correct(), 2);
  t.deepEqual(reported(w), ['a offline', 'd offline'], 'published before the ports open');
  const { version } = JSON.parse(w.published[0]![0]!.payload.toString()) as { version: number };
  t.is(version, 8e15 + 1);
});

test('a device with another connection stays online, with that connection', (t) => {
  const w = world();
  w.presence.connected(connection('a'));
  w.clock.advance(presenceCollectMs);
  const other = { ...connection('a'), clientId: 'a/2' };
  t.false(w.presence.disconnected(connection('a'), 'connection-lost', other));
  w.clock.advance(presenceCollectMs);
  t.true(w.presence.disconnected(other, 'connection-lost', undefined));
  const messages = w.published
    .flat()
    .map(({ payload }) => JSON.parse(payload.toString()) as Record<string, unknown>);
  t.like(messages[0], { status: 'online', clientId: 'a', broker: 'broker-1' });
  t.like(messages[1], { status: 'online', clientId: 'a/2', broker: 'broker-1' });
  t.like(messages[2], { status: 'offline', clientId: 'a/2', reason: 'connection-lost' });
});

test('refusals are not collected, and their number per second is limited', (t) => {
  const w = world();
  for (let count = 0; count < 500; count++) w.presence.refused('a', 'device-unknown', '10.0.0.1');
  t.is(w.published.length, 100);
  t.true(w.published.every(([message]) => message?.retain === false));
});
