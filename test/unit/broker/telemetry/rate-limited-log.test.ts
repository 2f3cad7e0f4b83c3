import test from 'ava';
import {
  linesPerSecondMax,
  RateLimitedLog,
} from '../../../../broker/telemetry/rate-limited-log.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { captureLog } from '../../../support/log-capture.ts';

test('a flood of log lines is limited, and the suppressed lines are counted and reported', (t) => {
  const clock = fakeClock();
  const capture = captureLog();
  const limited = new RateLimitedLog(capture.log, clock, 3);
  for (let n = 0; n < 100; n++) limited.write('warn', 'one', { n }, 'line');
  limited.write('warn', 'two', {}, 'line');
  t.is(capture.lines.length, 4);
  clock.advance(1000);
  limited.write('warn', 'one', {}, 'line');
  t.like(capture.lines[4], { msg: 'log lines suppressed', lines: 97 });
  clock.advance(1000);
  const from = capture.lines.length;
  for (let n = 0; n < 5000; n++) limited.write('warn', `key ${n}`, {}, 'line');
  t.is(capture.lines.length - from, linesPerSecondMax, 'new keys do not raise the total limit');
});
