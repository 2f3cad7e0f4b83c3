/** The clock of the system, which alone is not replaced in tests. @module */
import { mock } from 'node:test';
import test from 'ava';
import { systemClock } from '../../../core/clock.ts';

test.serial('now is the time of the day, monotonic time does not go back', (t) => {
  t.true(Math.abs(systemClock.now() - Date.now()) < 1000);
  const before = systemClock.monotonicMs();
  t.true(systemClock.monotonicMs() >= before);
});

test.serial('a timer fires once after its time and not when it was cancelled', (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const fired: string[] = [];
  systemClock.after(1000, () => fired.push('a'));
  const cancel = systemClock.after(1000, () => fired.push('b'));
  systemClock.after(-5, () => fired.push('past'));
  cancel();
  mock.timers.tick(1);
  t.deepEqual(fired, ['past']);
  mock.timers.tick(998);
  t.deepEqual(fired, ['past']);
  mock.timers.tick(1);
  t.deepEqual(fired, ['past', 'a']);
  cancel();
  mock.timers.tick(10_000);
  t.is(fired.length, 2);
});

test.serial('a delay longer than a timer of the platform is kept, and can be cancelled', (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const hourMs = 3_600_000;
  let fired = 0;
  systemClock.after(60 * 24 * hourMs, () => fired++);
  const cancel = systemClock.after(60 * 24 * hourMs, () => t.fail());
  // Small ticks, because mocked timers start a nested timer at the end of the tick.
  for (let hour = 0; hour < 60 * 24 - 1; hour++) mock.timers.tick(hourMs);
  t.is(fired, 0);
  cancel();
  for (let hour = 0; hour < 4; hour++) mock.timers.tick(hourMs);
  t.is(fired, 1);
});
