/** Durations as people write them. @module */
import test from 'ava';
import fc from 'fast-check';
import { durationMaxMs, formatDuration, parseDuration } from '../../../../core/config/duration.ts';
import { isFlotillaError } from '../../../../core/errors/flotilla-error.ts';

test('a duration is an integer and a unit', (t) => {
  const good: readonly [string, number][] = [
    ['250ms', 250],
    ['0s', 0],
    ['30s', 30_000],
    ['15m', 900_000],
    ['24h', 86_400_000],
    ['90d', 7_776_000_000],
    ['007s', 7000],
    ['36525d', durationMaxMs],
  ];
  for (const [text, ms] of good) t.is(parseDuration(text), ms, text);
});

test('anything else is rejected', (t) => {
  const bad = [
    ...[
      '',
      '5',
      's',
      '-5s',
      '+5s',
      '5 s',
      ' 5s',
      '5s ',
      '5s\n',
      '1.5h',
      '1e3s',
      '0x5s',
      '5S',
      '5M',
    ],
    ...[
      '5w',
      '5y',
      '1h30m',
      '５s',
      '36526d',
      '9999999999999s',
      '99999999999999ms',
      'Infinitys',
      'NaNd',
    ],
  ];
  for (const text of bad) {
    const error = t.throws(() => parseDuration(text), undefined, text);
    t.true(isFlotillaError(error, 'duration-invalid'), text);
  }
});

test('a formatted duration uses the largest unit that divides it and is parsed to the same value', (t) => {
  t.is(formatDuration(90_000), '90s');
  t.is(formatDuration(60_000), '1m');
  t.is(formatDuration(0), '0ms');
  t.is(formatDuration(86_400_000), '1d');
  fc.assert(
    fc.property(fc.integer({ min: 0, max: durationMaxMs }), (ms) => {
      t.is(parseDuration(formatDuration(ms)), ms);
    }),
    { examples: [[durationMaxMs], [durationMaxMs - 1]] },
  );
});
