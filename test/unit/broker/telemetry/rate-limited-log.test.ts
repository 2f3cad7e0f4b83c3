import test from 'ava';
import { FeedReporter } from '../../../../broker/feed/feed-reporter.ts';
import { PresencePublisher } from '../../../../broker/fleet-topics/presence.ts';
import { BrokerMetrics } from '../../../../broker/telemetry/broker-metrics.ts';
import { EventReporter } from '../../../../broker/telemetry/event-reporter.ts';
import {
  linesPerMinuteMax,
  linesPerSecondMax,
  RateLimitedLog,
} from '../../../../broker/telemetry/rate-limited-log.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { captureLog } from '../../../support/log-capture.ts';

test('a flood of log lines is limited, and the suppressed lines are counted and reported', (t) => {
  const clock = fakeClock();
  const capture = captureLog();
  const limited = new RateLimitedLog(capture.log, clock, 3);
  const fields = { code: 'publish-denied' };
  for (let n = 0; n < 100; n++) limited.write('warn', { device: 'one' }, fields, 'line');
  for (let n = 0; n < 5; n++) limited.write('info', { device: 'one' }, { reason: 'full' }, 'line');
  limited.write('warn', { device: 'two' }, fields, 'line');
  t.is(capture.lines.length, 4);
  clock.advance(60_000);
  t.like(capture.lines[4], {
    msg: 'log lines suppressed',
    lines: 102,
    reasons: { 'publish-denied': 97, full: 5 },
  });
  const from = capture.lines.length;
  for (let n = 0; n < 5000; n++) {
    limited.write('warn', { device: `device ${n}` }, fields, 'line');
  }
  t.is(capture.lines.length - from, linesPerSecondMax, 'new sources do not raise the total limit');
  limited.stop();
  t.like(capture.lines.at(-1), { msg: 'log lines suppressed', lines: 4800 });
  t.is(clock.pending, 0);
});

test('lines that one cause repeats leave room for the line that says why a connection is closed', (t) => {
  const clock = fakeClock();
  const capture = captureLog();
  const limited = new RateLimitedLog(capture.log, clock);
  const dropped = { device: 'one', isRepeated: true } as const;
  for (let second = 0; second < 59; second++) {
    for (let n = 0; n < 100; n++) limited.write('info', dropped, { reason: 'full' }, 'dropped');
    clock.advance(1000);
  }
  limited.write('info', dropped, { reason: 'full' }, 'dropped');
  limited.write('info', { device: 'one' }, { code: 'outbound-too-slow' }, 'closed');
  t.like(capture.lines.at(-1), { msg: 'closed', code: 'outbound-too-slow' });
  t.is(capture.lines.filter(({ msg }) => msg === 'dropped').length, 60);
  limited.stop();
  t.like(capture.lines.at(-1), { reasons: { full: 59 * 99 } });
});

test('a source has a tenth of the lines of a minute, and all unidentified clients have half', (t) => {
  const clock = fakeClock();
  const capture = captureLog();
  const limited = new RateLimitedLog(capture.log, clock, 10);
  const written = (of: (second: number) => { device: string } | { address: string }): number => {
    const from = capture.lines.length;
    for (let second = 0; second < 50; second++) {
      for (let n = 0; n < 100; n++) limited.write('warn', of(second * 100 + n), {}, 'line');
      clock.advance(1000);
    }
    clock.advance(10_000);
    const lines = capture.lines.slice(from);
    return lines.filter(({ msg }) => msg === 'line').length;
  };
  t.is(
    written(() => ({ device: 'one' })),
    linesPerMinuteMax / 10,
  );
  t.is(
    written((n) => ({ address: `2001:db8:0:1::${n.toString(16)}` })),
    linesPerMinuteMax / 10,
    'a /64 is one source',
  );
  t.is(
    written((n) => ({ address: `10.0.${n >> 8}.${n & 255}` })),
    linesPerMinuteMax / 2,
  );
  limited.stop();
});

test('the lines about faults and discarded wills that one client causes again and again are limited', (t) => {
  const clock = fakeClock();
  const { log, lines } = captureLog();
  const layer = {
    publish: () => Promise.resolve(),
    connectionsOf: () => [],
    retained: () => {
      throw new Error('not called');
    },
  };
  const { session } = new EventReporter({
    clock,
    log,
    limitedLog: new RateLimitedLog(log, clock),
    metrics: new BrokerMetrics(),
    presence: new PresencePublisher({
      clock,
      broker: 'broker-1',
      failed: () => undefined,
      layer: () => layer,
    }),
    feed: new FeedReporter({
      clock,
      log,
      run: 'r',
      refusalsMax: 10,
      send: () => Promise.resolve(),
    }),
    incidents: { connected: () => undefined },
    storeFailed: () => undefined,
  });
  for (let n = 0; n < 1000; n++) {
    session.failed?.({ device: 'greedy' }, new Error('x'), 'could not handle a packet');
    session.willDiscarded?.('dead', 'dead', 'device-revoked');
    session.failed?.({ filter: '#' }, new Error('x'), 'a plug-in failed to handle a message');
  }
  session.failed?.({ device: 'good' }, new Error('x'), 'could not read the queue');
  const count = (msg: string): number => lines.filter((line) => line['msg'] === msg).length;
  t.deepEqual(
    [
      'could not handle a packet',
      'will discarded',
      'a plug-in failed to handle a message',
      'could not read the queue',
    ].map(count),
    [10, 10, 10, 1],
  );
  clock.advance(60_000);
  t.like(lines.at(-1), { msg: 'log lines suppressed', lines: 3 * 990 });
});
