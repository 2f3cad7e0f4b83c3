/** Jumps of the wall clock. @module */
import test from 'ava';
import { watchClockJumps } from '../../../core/clock-jump.ts';
import { fakeClock } from '../../support/fake-clock.ts';

test('a jump of the clock is reported within a minute, once, in both directions', (t) => {
  const clock = fakeClock();
  const jumps: number[] = [];
  const stop = watchClockJumps(clock, (jumpMs) => jumps.push(jumpMs));
  clock.advance(600_000);
  t.deepEqual(jumps, []);
  for (const jumpMs of [70 * 86_400_000, -86_400_000, 10_000]) {
    clock.jump(jumpMs);
    clock.advance(60_000);
    t.deepEqual(jumps.splice(0), [jumpMs]);
  }
  stop();
  t.is(clock.pending, 0);
});

test('drift and small corrections are not jumps', (t) => {
  const clock = fakeClock();
  const stop = watchClockJumps(clock, () => t.fail());
  for (let minute = 0; minute < 60; minute++) {
    clock.jump(minute % 2 === 0 ? 1000 : -900);
    clock.advance(60_000);
  }
  stop();
  t.pass();
});
