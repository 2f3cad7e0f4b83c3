import test from 'ava';
import fc from 'fast-check';
import { NameTable } from '../../../../broker/store/name-table.ts';
import { recordMaxBytes, Slab } from '../../../../broker/store/slab.ts';

test('records keep their bytes through any additions and removals, and pages are released', (t) => {
  const change = fc.record({
    bytes: fc.integer({ min: 1, max: recordMaxBytes }),
    remove: fc.option(fc.nat(), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 200 }), (changes) => {
      const slab = new Slab();
      const model = new Map<number, { bytes: number; fill: number }>();
      for (const [index, { bytes, remove }] of changes.entries()) {
        const name = slab.add(bytes);
        t.false(model.has(name));
        model.set(name, { bytes, fill: index % 251 });
        slab.at(name).fill(index % 251, 0, bytes);
        const names = [...model.keys()];
        const removed = remove === undefined ? undefined : names[remove % names.length];
        if (removed === undefined) continue;
        slab.remove(removed);
        model.delete(removed);
      }
      for (const [name, { bytes, fill }] of model) {
        const record = slab.at(name);
        t.true(record.length >= bytes && record.subarray(0, bytes).every((one) => one === fill));
      }
      for (const name of model.keys()) slab.remove(name);
      t.is(slab.bytes, 0);
    }),
    { numRuns: 30 },
  );
});

test('free slots are used again before another page is taken', (t) => {
  const slab = new Slab();
  const names = Array.from({ length: 5000 }, () => slab.add(100));
  const { bytes } = slab;
  t.true(bytes < 5000 * 104 + 2 * 262_144);
  for (const name of names.slice(0, 4000)) slab.remove(name);
  for (let n = 0; n < 4000; n++) slab.add(100);
  t.is(slab.bytes, bytes);
  t.throws(() => slab.add(recordMaxBytes + 1), { instanceOf: RangeError });
});

test('a name has a number while it is used', (t) => {
  const table = new NameTable();
  const a = table.use('a');
  t.is(table.use('a'), a);
  const b = table.use('b');
  t.not(a, b);
  t.is(table.nameOf(b), 'b');
  table.release(a);
  t.is(table.nameOf(a), 'a');
  table.release(a);
  t.is(table.size, 1);
  t.is(table.use('c'), a, 'the number of a name that is gone');
  t.is(table.nameOf(a), 'c');
});
