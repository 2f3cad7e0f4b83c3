import test, { type ExecutionContext } from 'ava';
import { HandshakeGate } from '../../../../broker/listeners/handshake-gate.ts';
import { HandshakeQuota } from '../../../../broker/listeners/handshake-quota.ts';
import { TlsListener } from '../../../../broker/listeners/tls-listener.ts';
import { systemClock, type Clock } from '../../../../core/clock.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { heldHandshake, type HeldHandshake } from '../../../support/held-handshake.ts';
import { testCa } from '../../../support/test-ca.ts';
import { TurnCounts } from '../../../support/turn-counts.ts';
import { until } from '../../../support/until.ts';

/** Handshakes that may be completed in one turn of the event loop: each one costs about 1 ms. */
const perTurnMax = 6;

interface ListenerBench {
  readonly places: HandshakeQuota;
  readonly failed: string[];
  /** Handshakes that were completed. */
  readonly secured: TurnCounts;
  readonly client: (from?: string) => Promise<HeldHandshake>;
}

async function listenerBench(t: ExecutionContext, clock: Clock): Promise<ListenerBench> {
  const failed: string[] = [];
  const secured = new TurnCounts();
  const limits = {
    handshakesRunningMax: 1000,
    handshakesHalfOpenMax: 1000,
    handshakesHalfOpenPerAddressMax: 1000,
    handshakesPerSecondMax: 0,
    handshakesPerAddressPerSecondMax: 0,
  };
  const events = { handshakeFailed: (_address: string, code: string) => void failed.push(code) };
  const places = new HandshakeQuota(limits, { clock, load: { busy: false }, threads: 1 });
  const gate = new HandshakeGate({ clock, places, handshakeTimeoutMs: 5000, events });
  const ca = testCa();
  const own = ca.issue({ profile: 'server', commonName: 'broker', names: ['localhost'] });
  const listener = new TlsListener(
    {
      ...{ host: '127.0.0.1', port: 0, alpn: ['mqtt'], handshakeTimeoutMs: 5000 },
      reusePort: false,
    },
    { key: own.key, chain: own.cert, authorities: [ca.root], sessionTickets: true },
    { clock, gate, events, proxies: () => [], secured: () => secured.add() },
  );
  const { port } = await listener.listen();
  t.teardown(() => listener.close());
  return {
    places,
    failed,
    secured,
    client: (from) =>
      heldHandshake(t, { port, ca: ca.ca, ...(from === undefined ? {} : { from }) }),
  };
}

test('a handshake whose last bytes arrived during a pause of the process is completed, and a stalled one is closed', async (t) => {
  const clock = fakeClock();
  const { places, failed, secured, client } = await listenerBench(t, clock);
  const { release } = await client();
  await client();
  t.is(places.halfOpen, 2);
  clock.pause(60_000);
  release();
  // The timers that are late now fire before the bytes are read.
  clock.advance(0);
  await until('the handshake is complete', () => secured.total === 1);
  t.deepEqual(failed, []);
  clock.advance(5000);
  await until('the stalled one is closed', () => places.halfOpen === 0);
  t.deepEqual(failed, ['handshake-timeout']);
});

test('handshakes of many addresses that are all finished together are worked on a few in each turn', async (t) => {
  const { failed, secured, client } = await listenerBench(t, systemClock);
  const addresses = Array.from({ length: 100 }, (_, n) => `127.0.1.${n + 1}`);
  const clients = await Promise.all(addresses.map((from) => client(from)));
  t.is(secured.total, 0);
  for (const { release } of clients) release();
  await until('all are complete', () => secured.total === clients.length);
  t.true(secured.max <= perTurnMax, secured.counts.join(' '));
  t.deepEqual(failed, []);
});

test('a device completes its handshake while many others have stalled, of its own address and of another', async (t) => {
  const { places, secured, client } = await listenerBench(t, systemClock);
  const stalled = await Promise.all(
    Array.from({ length: 40 }, (_, n) => client(n % 2 === 0 ? '127.0.0.1' : '127.0.0.2')),
  );
  for (const from of ['127.0.0.1', '127.0.0.3']) {
    const before = secured.total;
    (await client(from)).release();
    await until('it is complete', () => secured.total === before + 1);
  }
  t.is(places.halfOpen, 40);
  for (const { socket } of stalled) socket.destroy();
  await until('the broker has noticed that they are gone', () => places.halfOpen === 0);
});
