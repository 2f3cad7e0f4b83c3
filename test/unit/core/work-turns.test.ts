import test from 'ava';
import { forEachInTurns, turnMaxMs } from '../../../core/work-turns.ts';

function busy(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

test('long work lets other work run, in order', async (t) => {
  const done: number[] = [];
  let others = 0;
  const seenBetween: number[] = [];
  const work = forEachInTurns([1, 2, 3, 4], (item) => {
    busy(turnMaxMs);
    seenBetween.push(others);
    setImmediate(() => others++);
    done.push(item);
  });
  t.is(done.length, 1, 'the first turn runs before it returns');
  await work;
  t.deepEqual(done, [1, 2, 3, 4]);
  t.true((seenBetween.at(-1) ?? 0) > 0);
});

test('it stops when a step returns false', async (t) => {
  const done: number[] = [];
  await forEachInTurns([1, 2, 3], (item) => {
    done.push(item);
    return item < 2;
  });
  t.deepEqual(done, [1, 2]);
});
