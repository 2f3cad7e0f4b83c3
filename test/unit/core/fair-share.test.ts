/** Places that one asker cannot take alone. @module */
import test from 'ava';
import { FairShare } from '../../../core/fair-share.ts';

test('callers without a name get at most half, each name a tenth, and all together no more than the total', (t) => {
  const share = new FairShare(40);
  const taken = (name: string | undefined): number =>
    Array.from({ length: 100 }, () => share.take(name)).filter(Boolean).length;
  t.is(taken(undefined), 20);
  t.is(taken('a'), 4);
  t.deepEqual(['b', 'c', 'd', 'e', 'f'].map(taken), [4, 4, 4, 4, 0]);
  share.reset();
  t.is(taken('f'), 4);
});

test('each name gets at least one place of a small total', (t) => {
  const share = new FairShare(3);
  t.deepEqual([share.take('a'), share.take('a'), share.take(undefined)], [true, false, true]);
});
