import test from 'ava';
import fc from 'fast-check';
import { WideMap } from '../../../core/wide-map.ts';

test('a wide map has the entries of a Map, whatever is done with both', (t) => {
  const step = fc.tuple(fc.constantFrom('set', 'delete', 'clear'), fc.string({ maxLength: 2 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const wide = new WideMap<string, number>([['first', 1]]);
      const plain = new Map([['first', 1]]);
      for (const [at, [kind, key]] of steps.entries()) {
        if (kind === 'set') {
          wide.set(key, at);
          plain.set(key, at);
        } else if (kind === 'delete') {
          if (wide.delete(key) !== plain.delete(key)) return false;
        } else if (at % 50 === 0) {
          wide.clear();
          plain.clear();
        }
        if (wide.get(key) !== plain.get(key) || wide.has(key) !== plain.has(key)) return false;
      }
      const visited = new Map<string, number>();
      wide.forEach((value, key) => visited.set(key, value));
      const sorted = (map: Iterable<[string, number]>): string => JSON.stringify([...map].sort());
      return (
        wide.size === plain.size &&
        sorted(wide) === sorted(plain) &&
        sorted(visited) === sorted(plain) &&
        [...wide.keys()].length === plain.size &&
        [...wide.values()].length === plain.size
      );
    }),
  );
  t.pass();
});

test('entries may be deleted while they are visited', (t) => {
  const map = new WideMap(Array.from({ length: 1000 }, (_, n) => [`d${n}`, n] as const));
  let visited = 0;
  for (const key of map.keys()) {
    map.delete(key);
    visited++;
  }
  t.is(visited, 1000);
  t.is(map.size, 0);
});
