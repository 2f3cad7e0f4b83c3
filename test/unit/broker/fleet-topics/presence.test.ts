import test from 'ava';
import {
  presenceGatheredMax,
  presenceGatherMs,
  PresencePublisher,
} from '../../../../broker/fleet-topics/presence.ts';
import type { Connection, BrokerMessage } from '../../../../broker/contracts/session-layer.ts';
import { identityOf } from '../../../support/broker-identity.ts';
import { fakeClock, type FakeClock } from '../../../support/fake-clock.ts';
import { captureLog } from '../../../support/log-capture.ts';

interface World {
  readonly clock: FakeClock;
  readonly presence: PresencePublisher;
  /** What was published, each call a list: what is on the way to the disk together. */
  readonly published: (readonly BrokerMessage[])[];
}

function world(kept: readonly { topic: string; payload: Buffer }[] = []): World {
  const clock = fakeClock();
  const published: (readonly BrokerMessage[])[] = [];
  const presence = new PresencePublisher({
    clock,
    log: captureLog().log,
    layer: {
      publish(...messages) {
        published.push(messages);
        return Promise.resolve();
      },
      connectionsOf: () => [],
      // eslint-disable-next-line @typescript-eslint/require-await -- as the layer does it
      async *retained() {
        yield* kept;
      },
    },
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
      // Nothing to do.
    },
    close() {
      // Nothing to do.
    },
  };
}

/** Each publication as its devices and what became of them. */
function told({ published }: World): string[] {
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

test('a device that comes alone is told at once', (t) => {
  const w = world();
  w.presence.connected(connection('a'));
  t.deepEqual(told(w), ['a online']);
  w.clock.advance(presenceGatherMs);
  w.presence.connected(connection('b'));
  t.deepEqual(told(w), ['a online', 'b online']);
  w.clock.advance(presenceGatherMs);
  t.is(w.clock.pending, 0, 'no timer while nobody comes');
});

test('devices that come together are told together, in order, each event of them', (t) => {
  const w = world();
  w.presence.connected(connection('a'));
  w.presence.connected(connection('b'));
  w.presence.disconnected(connection('a'), undefined);
  w.presence.clear('b');
  t.deepEqual(told(w), ['a online'], 'the others wait for the end of the moment');
  w.clock.advance(presenceGatherMs - 1);
  t.is(w.published.length, 1);
  w.clock.advance(1);
  t.deepEqual(told(w), ['a online', 'b online, a offline, b nothing']);
  const versions = w.published
    .flat()
    .filter(({ payload }) => payload.length > 0)
    .map(({ payload }) => (JSON.parse(payload.toString()) as { version: number }).version);
  t.deepEqual(
    versions,
    versions.toSorted((one, other) => one - other),
  );
});

test('whoever subscribes to presence meanwhile finds what is true at that moment', (t) => {
  const w = world();
  w.presence.connected(connection('a'));
  w.presence.connected(connection('b'));
  w.presence.asked('devices/#');
  t.is(w.published.length, 1, 'not for other topics');
  w.presence.asked('$fleet/presence/b');
  t.deepEqual(told(w), ['a online', 'b online']);
});

test('what is gathered is bounded: a full list goes out before its time', (t) => {
  const w = world();
  for (let index = 0; index <= presenceGatheredMax; index++) {
    w.presence.connected(connection(`d${index}`));
  }
  t.deepEqual(
    w.published.map(({ length }) => length),
    [1, presenceGatheredMax],
  );
});

test('an end of the broker publishes what was gathered and leaves no timer', async (t) => {
  const w = world();
  w.presence.connected(connection('a'));
  w.presence.disconnected(connection('a'), 'server-shutting-down');
  await w.presence.settled();
  t.deepEqual(told(w), ['a online', 'a offline']);
  t.is(w.clock.pending, 0);
});

test('presence that a crash left behind is corrected, and later than what it said', async (t) => {
  const left = { id: 'a', status: 'online', version: 8e15 };
  const w = world([
    { topic: '$fleet/presence/a', payload: Buffer.from(JSON.stringify(left)) },
    { topic: '$fleet/presence/b', payload: Buffer.from('{"status":"offline","version":7}') },
    { topic: '$fleet/presence/c', payload: Buffer.from('no JSON') },
    { topic: '$fleet/presence/d', payload: Buffer.from('{"status":"online","version":9}') },
  ]);
  t.is(await w.presence.correct(), 2);
  t.deepEqual(told(w), ['a offline', 'd offline'], 'all of it before anybody connects');
  const { version } = JSON.parse(w.published[0]![0]!.payload.toString()) as { version: number };
  t.is(version, 8e15 + 1);
});

test('refusals are not gathered, and bounded in a second', (t) => {
  const w = world();
  for (let count = 0; count < 500; count++) w.presence.refused('a', 'device-unknown', '10.0.0.1');
  t.is(w.published.length, 100);
  t.true(w.published.every(([message]) => message?.retain === false));
});
