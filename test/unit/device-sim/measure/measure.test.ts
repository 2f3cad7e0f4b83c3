import test from 'ava';
import fc from 'fast-check';
import { Histogram } from '../../../../device-sim/measure/histogram.ts';
import {
  IntervalSet,
  missingFrom,
  sizeOfRanges,
} from '../../../../device-sim/measure/interval-set.ts';
import { Meter, reasonsMax } from '../../../../device-sim/measure/meter.ts';

test('a percentile is within 1.6 % of the exact one, at any magnitude', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 40_000_000_000 }), { minLength: 1, maxLength: 200 }),
      fc.constantFrom(0.01, 0.5, 0.95, 0.99, 1),
      (values, share) => {
        const histogram = new Histogram();
        for (const value of values) histogram.add(value);
        const sorted = values.toSorted((one, two) => one - two);
        const exact = sorted[Math.max(0, Math.ceil(share * values.length) - 1)]!;
        const found = histogram.percentile(share);
        return Math.abs(found - exact) <= Math.max(0.5, exact * 0.016);
      },
    ),
  );
  t.pass();
});

test('merged histograms of many processes equal the histogram of all values', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.integer({ min: 0, max: 10_000_000 }), { maxLength: 50 })),
      (parts) => {
        const whole = new Histogram();
        const merged = new Histogram();
        for (const part of parts) {
          const piece = new Histogram();
          for (const value of part) {
            whole.add(value);
            piece.add(value);
          }
          merged.merge(
            JSON.parse(JSON.stringify(piece.toData())) as ReturnType<Histogram['toData']>,
          );
        }
        t.deepEqual(merged.toData(), whole.toData());
      },
    ),
  );
});

test('a histogram is empty after take, and an empty histogram has percentiles of 0', (t) => {
  const histogram = new Histogram();
  histogram.add(1500);
  t.is(histogram.take().count, 1);
  t.deepEqual(histogram.percentiles(), { p50: 0, p95: 0, p99: 0, max: 0, count: 0 });
});

test('an interval set has the same content as a set, in any order of insertion', (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 60 })), (values) => {
      const intervals = new IntervalSet();
      const plain = new Set<number>();
      for (const value of values) {
        t.is(intervals.add(value), !plain.has(value));
        plain.add(value);
      }
      t.is(intervals.size, plain.size);
      for (let value = 0; value <= 61; value++) t.is(intervals.has(value), plain.has(value));
      const ranges = intervals.toRanges();
      t.is(sizeOfRanges(ranges), plain.size);
      for (let at = 2; at < ranges.length; at += 2) t.true(ranges[at]! > ranges[at - 1]!);
    }),
  );
});

test('missing numbers are exactly the wanted ones that were not received', (t) => {
  const numbers = fc.array(fc.integer({ min: 0, max: 60 }));
  fc.assert(
    fc.property(numbers, numbers, (wanted, had) => {
      const want = new IntervalSet();
      const have = new IntervalSet();
      for (const value of wanted) want.add(value);
      for (const value of had) have.add(value);
      const missing = new Set<number>();
      const ranges = missingFrom(want.toRanges(), have.toRanges());
      for (let at = 0; at < ranges.length; at += 2) {
        for (let value = ranges[at]!; value < ranges[at + 1]!; value++) missing.add(value);
      }
      t.deepEqual(
        missing,
        new Set(wanted.filter((value) => !had.includes(value)).toSorted((a, b) => a - b)),
      );
    }),
  );
});

test('a million numbers in order need one range', (t) => {
  const intervals = new IntervalSet();
  for (let value = 0; value < 1_000_000; value++) intervals.add(value);
  t.deepEqual(intervals.toRanges(), [0, 1_000_000]);
});

test('meters of several processes are merged, and no failure is lost when there are too many reasons', (t) => {
  const meter = new Meter();
  for (let reason = 0; reason < reasonsMax + 50; reason++) meter.fail(`reason ${reason}`);
  meter.count('published', 3);
  meter.time('connect', 1000);
  const sum = new Meter();
  const data = meter.take();
  sum.merge(data);
  sum.merge(data);
  t.is(sum.counter('published'), 6);
  t.is(sum.timer('connect').count, 2);
  const errors = Object.values(sum.errors()).reduce((one, two) => one + two, 0);
  t.is(errors, 2 * (reasonsMax + 50));
  t.deepEqual(meter.take(), { counters: {}, timers: {}, errors: {} });
});
