/** The token bucket, and the rate limits made of it. @module */
import test from 'ava';
import { RateLimiter } from '../../../core/rate-limiter.ts';
import { TokenBucket } from '../../../core/token-bucket.ts';
import { fakeClock } from '../../support/fake-clock.ts';

test('a full bucket allows its capacity at once, then the rate', (t) => {
  const bucket = new TokenBucket(2, 1 / 100, 1000);
  t.is(bucket.waitMs(1000), 0);
  t.is(bucket.take(2, 1000), 0);
  t.is(bucket.waitMs(1000), 100);
  t.is(bucket.waitMs(1040), 60);
  t.is(bucket.take(1, 1100), 0);
});

test('tokens that were not there have to be waited for', (t) => {
  const bucket = new TokenBucket(10, 1, 0);
  t.is(bucket.take(60, 0), 50);
  t.is(bucket.take(1, 20), 31);
  t.is(bucket.take(0, 51), 0);
});

test('a bucket never holds more than its capacity', (t) => {
  const bucket = new TokenBucket(3, 1, 0);
  bucket.take(3, 0);
  t.is(bucket.take(4, 1_000_000), 1);
});

test('a rate limiter keeps the keys that were used last', (t) => {
  const clock = fakeClock();
  const limiter = new RateLimiter(clock, 1, 3_600_000);
  for (let at = 0; at <= 20_000; at++) t.is(limiter.take(`key ${at}`), 0);
  t.is(limiter.wait('key 0'), 0, 'the oldest of 20,001 keys was dropped');
  t.true(limiter.wait('key 1') > 0);
  t.true(limiter.wait('key 20000') > 0);
});
