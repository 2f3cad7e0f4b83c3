import test from 'ava';
import fc from 'fast-check';
import { AgeMap } from '../../../core/age-map.ts';

type Step = readonly ['set' | 'renew' | 'delete', number] | readonly ['clear' | 'oldest', 0];

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(fc.constantFrom('set' as const, 'renew' as const, 'delete' as const), fc.nat(8)),
  fc.tuple(fc.constant('oldest' as const), fc.constant(0 as const)),
  { arbitrary: fc.tuple(fc.constant('clear' as const), fc.constant(0 as const)), weight: 1 },
);

test('whatever is set, renewed and deleted, the oldest key is the first one of a Map', (t) => {
  const run = (steps: readonly Step[]): void => {
    const map = new AgeMap<number, number>();
    const model = new Map<number, number>();
    for (const [at, [action, key]] of steps.entries()) {
      if (action === 'renew' || action === 'delete') model.delete(key);
      if (action === 'set' || action === 'renew') model.set(key, at);
      if (action === 'clear') model.clear();
      if (action === 'set') map.set(key, at);
      if (action === 'renew') map.renew(key, at);
      if (action === 'delete') map.delete(key);
      if (action === 'clear') map.clear();
      if (action === 'oldest') t.is(map.oldestKey(), model.keys().next().value);
    }
    t.deepEqual([...map], [...model]);
    t.is(map.oldestKey(), model.keys().next().value);
  };
  fc.assert(fc.property(fc.array(step, { maxLength: 400 }), run));
});

test('a map whose entries are renewed for a long time does not grow, whether or not the oldest one is asked for', (t) => {
  for (const isAsked of [false, true]) {
    const map = new AgeMap<number, number>();
    for (let key = 0; key < 10; key++) map.set(key, 0);
    const before = process.memoryUsage().heapUsed;
    for (let count = 0; count < 2_000_000; count++) {
      map.renew(count % 10, count);
      if (isAsked && count % 1000 === 0) map.oldestKey();
    }
    const grownMiB = (process.memoryUsage().heapUsed - before) / 1024 / 1024;
    // Former tables that were kept would be 77 MiB.
    t.true(grownMiB < 50, `${grownMiB} MiB`);
    t.is(map.oldestKey(), 0);
  }
});
