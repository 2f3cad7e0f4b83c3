import test from 'ava';
import { SecondWindow } from '../../../core/second-window.ts';
import { fakeClock } from '../../support/fake-clock.ts';

test('a window counts up to its maximum and starts again with the next second', (t) => {
  const clock = fakeClock();
  clock.advance(400);
  const window = new SecondWindow(clock);
  t.deepEqual(
    [1, 2, 3].map(() => window.take(2)),
    [true, true, false],
  );
  t.is(window.leftMs, 600);
  clock.advance(599);
  t.false(window.take(2));
  clock.advance(1);
  t.true(window.take(2));
});

test('a window reports that a new second started once per second', (t) => {
  const clock = fakeClock();
  const window = new SecondWindow(clock);
  t.true(window.advance());
  t.false(window.advance());
  clock.advance(1000);
  t.true(window.take(1));
  t.false(window.advance(), 'the new second had already started');
});
