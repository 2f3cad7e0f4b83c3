import test from 'ava';
import { cloneWindowMs, IncidentDetector } from '../../../../broker/admission/incident-detector.ts';
import { identityOf } from '../../../support/broker-identity.ts';
import { fakeClock } from '../../../support/fake-clock.ts';

/** A claim of a broker that works alone. */
const alone = { takesOver: false, previousElsewhere: undefined };

test('a certificate that alternates between two addresses is reported as a clone, once', (t) => {
  const clock = fakeClock();
  const detector = new IncidentDetector(clock, 1000);
  const from = (remoteAddress: string): string | undefined => {
    clock.advance(1000);
    return detector.connected(identityOf('dev', { remoteAddress }), alone)?.kind;
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

test('a certificate that alternates between two brokers is a clone, and a device that moves is not', (t) => {
  const clock = fakeClock();
  const detectors = [0, 1].map(() => new IncidentDetector(clock, 1000));
  const connect = (at: 0 | 1, address: string, before?: string): string | undefined => {
    clock.advance(1000);
    const previousElsewhere =
      before === undefined ? undefined : { address: before, serial: identityOf('dev').serial };
    const dev = identityOf('dev', { remoteAddress: address });
    detectors[at]!.admitted(dev);
    return detectors[at]!.connected(dev, { ...alone, previousElsewhere })?.kind;
  };
  t.deepEqual(
    [
      connect(0, '10.0.0.1'),
      connect(1, '10.0.0.2', '10.0.0.1'),
      connect(0, '10.0.0.1', '10.0.0.2'),
      connect(1, '10.0.0.2', '10.0.0.1'),
      connect(0, '10.0.0.3', '10.0.0.2'),
    ],
    [undefined, undefined, undefined, 'clone', 'clone'],
    'each broker reports it once',
  );
  clock.advance(cloneWindowMs);
  for (let n = 0; n < 20; n++) {
    const at = n % 2 === 0 ? 0 : 1;
    t.is(connect(at, `10.0.1.${n + 1}`, `10.0.1.${n}`), undefined, 'always a new address');
  }
});

test('a device that changes its address, once or repeatedly, is not a clone', (t) => {
  const clock = fakeClock();
  const detector = new IncidentDetector(clock, 1000);
  for (let n = 0; n < 200; n++) {
    clock.advance(60_000);
    const remoteAddress = `10.0.${n >> 8}.${n & 255}`;
    t.is(detector.connected(identityOf('dev', { remoteAddress }), alone), undefined);
  }
  for (const remoteAddress of ['a', 'b', 'a', 'b', 'a', 'b']) {
    clock.advance(cloneWindowMs);
    t.is(
      detector.connected(identityOf('slow', { remoteAddress }), alone),
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
    return detector.connected(dev, { ...alone, takesOver: true })?.kind;
  };
  detector.connected(dev, alone);
  t.deepEqual([1, 2, 3, 4, 5].map(takeOver), [
    undefined,
    undefined,
    'overlap',
    undefined,
    undefined,
  ]);
  clock.advance(cloneWindowMs);
  detector.connected(dev, alone);
  t.deepEqual([1, 2, 3].map(takeOver), [undefined, undefined, 'overlap'], 'a new window');
  for (let n = 0; n < 10; n++) {
    clock.advance(cloneWindowMs / 2);
    t.is(takeOver(), undefined, 'occasional takeovers are caused by the network');
  }
  for (let n = 0; n < 10; n++)
    t.is(detector.connected(dev, alone), undefined, 'no session was taken over');
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
      alone,
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
