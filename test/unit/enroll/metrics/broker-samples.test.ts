import test from 'ava';
import type { DeviceId } from '../../../../core/device-id.ts';
import type { BrokerSampleReport } from '../../../../core/protocol/broker-sample.ts';
import { BrokerSamples } from '../../../../enroll/metrics/broker-samples.ts';
import { fakeClock } from '../../../support/fake-clock.ts';

const b1 = 'b1' as DeviceId;
const b2 = 'b2' as DeviceId;
const report = (more: Partial<BrokerSampleReport> = {}): BrokerSampleReport => ({
  run: 'r1',
  version: '1.0.0',
  startedAtMs: 0,
  connections: 0,
  sessions: 0,
  subscriptions: 0,
  retained: 0,
  queuedMessages: 0,
  queuedBytes: 0,
  messagesIn: 0,
  messagesOut: 0,
  bytesIn: 0,
  bytesOut: 0,
  denied: 0,
  eventLoopLagMs: 0,
  ...more,
});

test('rates come from differences, and a restart of a broker is no negative rate', (t) => {
  const clock = fakeClock();
  const samples = new BrokerSamples(clock);
  samples.take(b1, report({ messagesIn: 100 }));
  clock.advance(5000);
  samples.take(b1, report({ messagesIn: 150 }));
  t.is(samples.history(5)[0]?.messagesInPerSecond, 10);
  clock.advance(5000);
  samples.take(b1, report({ run: 'r2', messagesIn: 3 }));
  t.is(samples.history(5)[0]?.messagesInPerSecond, 0);
});

test('the history is the sum of the brokers, and ends an hour ago', (t) => {
  const clock = fakeClock();
  const samples = new BrokerSamples(clock);
  for (let step = 0; step < 1000; step++) {
    samples.take(b1, report({ connections: 1, eventLoopLagMs: 3 }));
    // A broker that reports late by one step leaves no hole in the sum.
    if (step % 2 === 0) samples.take(b2, report({ connections: 10, eventLoopLagMs: 9 }));
    clock.advance(5000);
  }
  const points = samples.history(3600);
  t.true(points.length <= 720 && points.length >= 718);
  t.true(points.every(({ connections }) => connections === 11));
  t.true(points.every(({ eventLoopLagMs }) => eventLoopLagMs === 9));
  t.true(samples.history(3600, 'b1').every(({ connections }) => connections === 1));
  t.deepEqual(
    points.map(({ at }) => at),
    points.map(({ at }) => at).sort(),
  );
});

test('the number of brokers that are remembered is bounded', (t) => {
  const samples = new BrokerSamples(fakeClock());
  for (let at = 0; at < 300; at++) samples.take(`b${at}` as DeviceId, report());
  t.is(samples.names.length, 256);
  t.is(samples.latest('b0' as DeviceId), undefined);
  t.is(samples.latest('b299' as DeviceId)?.sample?.version, '1.0.0');
});
