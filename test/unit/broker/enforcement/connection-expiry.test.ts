import test from 'ava';
import type { Identity } from '../../../../broker/contracts/identity.ts';
import type { Connection } from '../../../../broker/contracts/session-layer.ts';
import {
  connectionEnd,
  ConnectionExpiry,
  type ConnectionEnd,
} from '../../../../broker/enforcement/connection-expiry.ts';
import type { ErrorCode } from '../../../../core/errors/catalogue.ts';
import { identityOf } from '../../../support/broker-identity.ts';
import { fakeClock } from '../../../support/fake-clock.ts';

class FakeConnection implements Connection {
  readonly identity: Identity;
  readonly clientId = 'dev';
  readonly protocolVersion = 4;
  readonly connectedAtMs = 0;
  readonly closed: ErrorCode[] = [];
  constructor(notAfterMs: number) {
    this.identity = identityOf('dev', { notAfterMs });
  }
  reauthorize(): void {
    // This test changes no permissions.
  }
  close(code: ErrorCode): void {
    this.closed.push(code);
  }
}

const directory = { graceMs: 0 };

test('connections end when they expire, in any order, and not earlier', (t) => {
  const clock = fakeClock();
  const expiry = new ConnectionExpiry(clock, directory, 0);
  const add = (inMs: number): FakeConnection => {
    const connection = new FakeConnection(clock.now() + inMs);
    expiry.watch(connection);
    return connection;
  };
  const late = add(3_600_000);
  const soon = add(1000);
  const gone = add(1000);
  expiry.forget(gone);
  clock.advance(999);
  t.deepEqual(soon.closed, []);
  clock.advance(1);
  t.deepEqual(soon.closed, ['certificate-expired']);
  t.deepEqual(gone.closed, []);
  clock.advance(3_600_000);
  t.deepEqual(late.closed, ['certificate-expired']);
  t.is(clock.pending, 0, 'no connections, no timer');
});

test('thousands of connections that expire together close in turns of the event loop', (t) => {
  const timers: (() => void)[] = [];
  const after = (_ms: number, call: () => void): (() => void) => {
    timers.push(call);
    return () => undefined;
  };
  const clock = { ...fakeClock(), after };
  const expiry = new ConnectionExpiry(clock, directory, 0);
  const connections = Array.from({ length: 1000 }, () => new FakeConnection(clock.now()));
  for (const connection of connections) expiry.watch(connection);
  const counts = [1, 2, 3, 4, 5].map(() => {
    timers.splice(0).at(-1)?.();
    return connections.filter(({ closed }) => closed.length === 1).length;
  });
  t.deepEqual(counts, [200, 400, 600, 800, 1000]);
});

test('after the wall clock is set forward, expired connections end within 30 seconds', (t) => {
  const clock = fakeClock();
  const connection = new FakeConnection(clock.now() + 86_400_000);
  const expiry = new ConnectionExpiry(clock, directory, 0);
  expiry.watch(connection);
  clock.jump(90_000_000);
  clock.advance(30_000);
  t.is(connection.closed.length, 1);
});

test('a connection ends with its certificate, after the grace period or at its maximum age', (t) => {
  const identity = identityOf('dev', { notAfterMs: 100_000 });
  const renewing = identityOf('dev', { notAfterMs: 100_000, standing: 'renewal-only' });
  const end = (of: typeof identity, maxAgeMs: number, connectedAtMs = 0): ConnectionEnd =>
    connectionEnd({ identity: of, connectedAtMs }, { graceMs: 5000, maxAgeMs });
  t.deepEqual(end(identity, 0), { atMs: 100_000, code: 'certificate-expired' });
  t.deepEqual(end(renewing, 0), { atMs: 105_000, code: 'certificate-expired' });
  t.deepEqual(end(identity, 200_000), { atMs: 100_000, code: 'certificate-expired' });
  t.deepEqual(end(identity, 10_000), { atMs: 10_000, code: 'connection-too-old' });
  const spread = [1, 500, 996].map((atMs) => end(identity, 10_000, atMs).atMs - atMs);
  t.true(spread.every((ageMs) => ageMs > 9000 && ageMs < 10_000));
  t.is(new Set(spread).size, 3, 'connections of different times have different ages');
});
