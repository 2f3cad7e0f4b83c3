import test from 'ava';
import { cloneWindowMs, IncidentDetector } from '../../../../broker/admission/incident-detector.ts';
import { identityOf } from '../../../support/broker-identity.ts';
import { fakeClock } from '../../../support/fake-clock.ts';

test('a certificate that alternates between two addresses is reported as a clone, once', (t) => {
  const clock = fakeClock();
  const detector = new IncidentDetector(clock, 1000);
  const from = (remoteAddress: string): string | undefined => {
    clock.advance(1000);
    return detector.connected(identityOf('dev', { remoteAddress }), false)?.kind;
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

test('a device that changes its address, once or repeatedly, is not a clone', (t) => {
  const clock = fakeClock();
  const detector = new IncidentDetector(clock, 1000);
  for (let n = 0; n < 200; n++) {
    clock.advance(60_000);
    const remoteAddress = `10.0.${n >> 8}.${n & 255}`;
    t.is(detector.connected(identityOf('dev', { remoteAddress }), false), undefined);
  }
  for (const remoteAddress of ['a', 'b', 'a', 'b', 'a', 'b']) {
    clock.advance(cloneWindowMs);
    t.is(
      detector.connected(identityOf('slow', { remoteAddress }), false),
      undefined,
      'twice a day',
    );
  }
});

test('repeated session takeovers from a live connection are reported as an overlap, once per window', (t) => {
  const clock = fakeClock();
  const detector = new IncidentDetector(clock, 1000);
  const dev = identityOf('dev', { remoteAddress: '10.0.0.1' });
  const takeOver = (): string | undefined => {
    clock.advance(1000);
    return detector.connected(dev, true)?.kind;
  };
  detector.connected(dev, false);
  t.deepEqual([1, 2, 3, 4, 5].map(takeOver), [
    undefined,
    undefined,
    'overlap',
    undefined,
    undefined,
  ]);
  clock.advance(cloneWindowMs);
  detector.connected(dev, false);
  t.deepEqual([1, 2, 3].map(takeOver), [undefined, undefined, 'overlap'], 'a new window');
  for (let n = 0; n < 10; n++) {
    clock.advance(cloneWindowMs / 2);
    t.is(takeOver(), undefined, 'occasional takeovers are caused by the network');
  }
  for (let n = 0; n < 10; n++)
    t.is(detector.connected(dev, false), undefined, 'no session was taken over');
});

test('a renewed certificate starts a new count', (t) => {
  const detector = new IncidentDetector(fakeClock(), 1000);
  const found = [
    ['0a', 'x'],
    ['0a', 'y'],
    ['0b', 'x'],
    ['0b', 'y'],
    ['0b', 'x'],
  ].map(([serial, remoteAddress]) =>
    detector.connected(
      identityOf('dev', { serial: serial!, remoteAddress: remoteAddress! }),
      false,
    ),
  );
  t.true(found.every((one) => one === undefined));
});

test('a device that connects too often is rejected until the minute ends', (t) => {
  const clock = fakeClock();
  const detector = new IncidentDetector(clock, 3);
  const dev = identityOf('dev');
  const admitted = Array.from({ length: 5 }, () => detector.admitted(dev));
  t.deepEqual(
    admitted.map(({ refuse }) => refuse),
    [false, false, false, true, true],
  );
  t.is(admitted[3]?.finding?.kind, 'flapping');
  t.is(admitted[4]?.finding, undefined, 'reported once per minute');
  t.false(detector.admitted(identityOf('other')).refuse);
  clock.advance(60_000);
  t.false(detector.admitted(dev).refuse);
});
