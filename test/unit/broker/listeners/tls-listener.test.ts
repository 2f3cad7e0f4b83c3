import test from 'ava';
import { connect as connectTcp } from 'node:net';
import { duplexPair } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { HandshakeGate } from '../../../../broker/listeners/handshake-gate.ts';
import { HandshakeQuota } from '../../../../broker/listeners/handshake-quota.ts';
import { TlsListener } from '../../../../broker/listeners/tls-listener.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { testCa } from '../../../support/test-ca.ts';
import { until } from '../../../support/until.ts';

test('a handshake whose last bytes arrived during a pause of the process is completed, and a stalled one is closed', async (t) => {
  const clock = fakeClock();
  const failed: string[] = [];
  let secured = 0;
  const limits = {
    handshakesRunningMax: 10,
    handshakesHalfOpenMax: 10,
    handshakesHalfOpenPerAddressMax: 10,
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
      ...{ host: '127.0.0.1', port: 0, alpn: ['mqtt'], handshakeTimeoutMs: 5000, proxies: [] },
      reusePort: false,
    },
    { key: own.key, chain: own.cert, authorities: [ca.root], sessionTickets: true },
    { clock, gate, events, secured: () => secured++ },
  );
  const { port } = await listener.listen();
  t.teardown(() => listener.close());

  /** A client whose bytes after the ClientHello are held back. */
  const client = async (): Promise<() => void> => {
    const [inner, outer] = duplexPair();
    const socket = connectTcp({ port, host: '127.0.0.1' });
    const held: Buffer[] = [];
    let hasHello = false;
    outer.on('data', (bytes: Buffer) => {
      if (hasHello) held.push(bytes);
      else socket.write(bytes);
      hasHello = true;
    });
    socket.on('data', (bytes) => outer.write(bytes)).on('error', () => undefined);
    const secure = connectTls({ socket: inner, ca: ca.ca, servername: 'localhost' });
    secure.on('error', () => undefined);
    t.teardown(() => {
      secure.destroy();
      socket.destroy();
    });
    await until('the server answered', () => held.length > 0);
    return () => held.forEach((one) => socket.write(one));
  };
  const release = await client();
  await client();
  t.is(places.halfOpen, 2);
  clock.pause(60_000);
  release();
  // The timers that are late now fire before the bytes are read.
  clock.advance(0);
  await until('the handshake is complete', () => secured === 1);
  t.deepEqual(failed, []);
  clock.advance(5000);
  await until('the stalled one is closed', () => places.halfOpen === 0);
  t.deepEqual(failed, ['handshake-timeout']);
});
