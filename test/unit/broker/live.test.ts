import test from 'ava';
import type { Connection } from '../../../broker/contracts/session-layer.ts';
import { ConnectionExpiry, type End } from '../../../broker/enforcement/connection-expiry.ts';
import { cloneWindowMs, IncidentDetector } from '../../../broker/admission/incident-detector.ts';
import { linesPerSecondMax, RateLimitedLog } from '../../../broker/telemetry/rate-limited-log.ts';
import { IncidentHolds } from '../../../broker/admission/incident-holds.ts';
import type { ErrorCode } from '../../../core/errors/catalogue.ts';
import { identityOf } from '../../support/broker-identity.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { captureLog } from '../../support/log-capture.ts';

class FakeConnection implements Connection {
  readonly identity = identityOf('dev');
  readonly clientId = 'dev';
  readonly protocolVersion = 4;
  readonly connectedAtMs = 0;
  readonly closed: ErrorCode[] = [];
  reauthorize(): void {
    // Nothing to do.
  }
  close(code: ErrorCode): void {
    this.closed.push(code);
  }
}

test('connections end at their time, in any order, and not before', (t) => {
  const clock = fakeClock();
  const ends = new Map<Connection, End>();
  const watch = new ConnectionExpiry(clock, (connection) => ends.get(connection)!);
  const add = (inMs: number): FakeConnection => {
    const connection = new FakeConnection();
    ends.set(connection, { atMs: clock.now() + inMs, code: 'certificate-expired' });
    watch.watch(connection);
    return connection;
  };
  const late = add(3_600_000);
  const soon = add(1000);
  const gone = add(1000);
  watch.forget(gone);
  clock.advance(999);
  t.deepEqual(soon.closed, []);
  clock.advance(1);
  t.deepEqual(soon.closed, ['certificate-expired']);
  t.deepEqual(gone.closed, []);
  clock.advance(3_600_000);
  t.deepEqual(late.closed, ['certificate-expired']);
  t.is(clock.pending, 0, 'nothing to watch, no timer');
});

test('a wall clock that is set forward ends what is due within half a minute', (t) => {
  const clock = fakeClock();
  const connection = new FakeConnection();
  const atMs = clock.now() + 86_400_000;
  const watch = new ConnectionExpiry(clock, () => ({ atMs, code: 'certificate-expired' }));
  watch.watch(connection);
  clock.jump(90_000_000);
  clock.advance(30_000);
  t.is(connection.closed.length, 1);
});

test('a certificate that alternates between two addresses is a clone, told once', (t) => {
  const clock = fakeClock();
  const watch = new IncidentDetector(clock, 1000);
  const from = (remoteAddress: string): string | undefined => {
    clock.advance(1000);
    return watch.connected(identityOf('dev', { remoteAddress }))?.kind;
  };
  t.deepEqual(['10.0.0.1', '10.0.0.2', '10.0.0.1', '10.0.0.2', '10.0.0.1', '10.0.0.2'].map(from), [
    undefined,
    undefined,
    undefined,
    'clone',
    undefined,
    undefined,
  ]);
});

test('a device that moves, once or on and on, is no clone', (t) => {
  const clock = fakeClock();
  const watch = new IncidentDetector(clock, 1000);
  for (let n = 0; n < 200; n++) {
    clock.advance(60_000);
    const remoteAddress = `10.0.${n >> 8}.${n & 255}`;
    t.is(watch.connected(identityOf('dev', { remoteAddress })), undefined);
  }
  for (const remoteAddress of ['a', 'b', 'a', 'b', 'a', 'b']) {
    clock.advance(cloneWindowMs);
    t.is(watch.connected(identityOf('slow', { remoteAddress })), undefined, 'twice a day');
  }
});

test('sessions taken again and again from a living connection are an overlap, told once a window', (t) => {
  const clock = fakeClock();
  const watch = new IncidentDetector(clock, 1000);
  const dev = identityOf('dev', { remoteAddress: '10.0.0.1' });
  const taken = (): string | undefined => {
    clock.advance(1000);
    watch.taken(dev);
    return watch.connected(dev)?.kind;
  };
  watch.connected(dev);
  t.deepEqual([1, 2, 3, 4, 5].map(taken), [undefined, undefined, 'overlap', undefined, undefined]);
  clock.advance(cloneWindowMs);
  watch.connected(dev);
  t.deepEqual([1, 2, 3].map(taken), [undefined, undefined, 'overlap'], 'a new window');
  for (let n = 0; n < 10; n++) {
    clock.advance(cloneWindowMs / 2);
    t.is(taken(), undefined, 'now and then is the network');
  }
  for (let n = 0; n < 10; n++) t.is(watch.connected(dev), undefined, 'nothing was taken');
});

test('a renewed certificate begins a new count', (t) => {
  const watch = new IncidentDetector(fakeClock(), 1000);
  const found = [
    ['0a', 'x'],
    ['0a', 'y'],
    ['0b', 'x'],
    ['0b', 'y'],
    ['0b', 'x'],
  ].map(([serial, remoteAddress]) =>
    watch.connected(identityOf('dev', { serial: serial!, remoteAddress: remoteAddress! })),
  );
  t.true(found.every((one) => one === undefined));
});

test('a device that connects too often is refused until the minute is over', (t) => {
  const clock = fakeClock();
  const watch = new IncidentDetector(clock, 3);
  const dev = identityOf('dev');
  const admitted = Array.from({ length: 5 }, () => watch.admitted(dev));
  t.deepEqual(
    admitted.map(({ refuse }) => refuse),
    [false, false, false, true, true],
  );
  t.is(admitted[3]?.finding?.kind, 'flapping');
  t.is(admitted[4]?.finding, undefined, 'told once a minute');
  t.false(watch.admitted(identityOf('other')).refuse);
  clock.advance(60_000);
  t.false(watch.admitted(dev).refuse);
});

test('a restraint holds until the directory has followed and let go again', (t) => {
  const restraint = new IncidentHolds();
  const { entry } = identityOf('dev');
  const good = { standing: 'full', notAfterMs: 1 } as const;
  restraint.add('dev', 'quarantine', 'device-cloned', entry);
  t.deepEqual(restraint.apply('dev', good), { standing: 'quarantined', notAfterMs: 1 });
  t.deepEqual(restraint.apply('other', good), good);
  restraint.sync({ ...entry, group: 'x' }, 'dev');
  t.is(restraint.size, 1, 'a change that does not concern it');
  restraint.sync({ ...entry, status: 'quarantined' }, 'dev');
  restraint.sync(entry, 'dev');
  t.deepEqual(restraint.apply('dev', good), good);
  restraint.add('dev', 'suspend', 'device-cloned', entry);
  t.deepEqual(restraint.apply('dev', good), { code: 'device-cloned' });
  t.deepEqual(restraint.apply('dev', { code: 'device-revoked' }), { code: 'device-revoked' });
});

test('a restraint of what the directory restrains already ends when the directory lets go', (t) => {
  const restraint = new IncidentHolds();
  const { entry } = identityOf('dev');
  restraint.add('dev', 'quarantine', 'device-cloned', { ...entry, status: 'quarantined' });
  restraint.sync(entry, 'dev');
  t.is(restraint.size, 0);
  restraint.add('dev', 'quarantine', 'device-cloned', entry);
  restraint.sync(entry, 'dev');
  t.is(restraint.size, 1, 'the directory has not followed yet');
});

test('a flood of lines is cut, counted and told', (t) => {
  const clock = fakeClock();
  const capture = captureLog();
  const quiet = new RateLimitedLog(capture.log, clock, 3);
  for (let n = 0; n < 100; n++) quiet.write('warn', 'one', { n }, 'line');
  quiet.write('warn', 'two', {}, 'line');
  t.is(capture.lines.length, 4);
  clock.advance(1000);
  quiet.write('warn', 'one', {}, 'line');
  t.like(capture.lines[4], { msg: 'lines left out', lines: 97 });
  clock.advance(1000);
  const from = capture.lines.length;
  for (let n = 0; n < 5000; n++) quiet.write('warn', `key ${n}`, {}, 'line');
  t.is(capture.lines.length - from, linesPerSecondMax, 'ever new keys do not help');
});
