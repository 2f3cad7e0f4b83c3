/**
 * Containment and overlap of filters, compared with the sets of matching names: all pairs of filters of
 * up to three levels over a small alphabet, with all names of up to five levels.
 *
 * @module
 */
import test from 'ava';
import fc from 'fast-check';
import { filterContains, filtersOverlap, topicFilterFault } from '../../../core/topic.ts';

// `z` occurs in no filter: it is the level that only a wildcard matches.
const nameLevels = ['', 'a', 'b', '$s', 'z'];
const filterLevels = ['', 'a', 'b', '$s', '+'];

const tuples = (levels: readonly string[], length: number): string[][] =>
  length === 0
    ? [[]]
    : tuples(levels, length - 1).flatMap((before) => levels.map((level) => [...before, level]));

const names = [1, 2, 3, 4, 5]
  .flatMap((length) => tuples(nameLevels, length).map((levels) => levels.join('/')))
  .filter((name) => name !== '');

const filters = [0, 1, 2, 3]
  .flatMap((length) => tuples(filterLevels, length))
  .flatMap((levels) => [levels.join('/'), [...levels, '#'].join('/')])
  .filter((filter) => topicFilterFault(filter) === undefined);

/** A second implementation of matching, level by level as in the standard. */
function matches(filter: readonly string[], name: readonly string[]): boolean {
  const [want, ...wants] = filter;
  const [have, ...haves] = name;
  if (want === '#') return true;
  if (want === undefined || have === undefined) return want === have;
  return (want === '+' || want === have) && matches(wants, haves);
}

/** The names that a filter matches, one bit per name. */
function setOf(filter: string): Uint32Array {
  const bits = new Uint32Array(Math.ceil(names.length / 32));
  const levels = filter.split('/');
  for (const [at, name] of names.entries()) {
    if (name.startsWith('$') && /^[+#]/.test(filter)) continue; // [MQTT-4.7.2-1]
    if (matches(levels, name.split('/'))) bits[at >> 5]! |= 1 << (at & 31);
  }
  return bits;
}

const sets = filters.map((filter) => ({ filter, set: setOf(filter) }));

test('the brute force covers enough filters and names', (t) => {
  t.true(filters.length > 300, String(filters.length));
  t.true(names.length > 3900, String(names.length));
  t.true(sets.every(({ set }) => set.some((bits) => bits !== 0)));
});

test('a filter contains another exactly when its set of names does', (t) => {
  const wrong: string[] = [];
  let contained = 0;
  for (const outer of sets) {
    for (const inner of sets) {
      const expected = inner.set.every((bits, at) => (bits & ~outer.set[at]!) === 0);
      if (expected) contained++;
      if (filterContains(outer.filter, inner.filter) !== expected) {
        wrong.push(`${outer.filter} ⊇ ${inner.filter} is ${expected}`);
      }
    }
  }
  t.deepEqual(wrong, []);
  t.true(contained > sets.length);
});

test('two filters overlap exactly when a name is matched by both', (t) => {
  const wrong: string[] = [];
  for (const one of sets) {
    for (const two of sets) {
      const expected = one.set.some((bits, at) => (bits & two.set[at]!) !== 0);
      if (filtersOverlap(one.filter, two.filter) !== expected) {
        wrong.push(`${one.filter} ∩ ${two.filter} is ${expected}`);
      }
    }
  }
  t.deepEqual(wrong, []);
});

const level = fc.oneof(
  fc.constantFrom('', '+', '$SYS', 'devices'),
  fc.string({ unit: fc.constantFrom('a', 'é', '$', '.'), maxLength: 3 }),
);
const anyFilter = fc
  .tuple(fc.array(level, { maxLength: 12 }), fc.boolean())
  .map(([levels, tail]) => [...levels, ...(tail ? ['#'] : [])].join('/'))
  .filter((text) => topicFilterFault(text) === undefined);

test('containment and overlap of long filters follow the laws of sets', (t) => {
  fc.assert(
    fc.property(anyFilter, anyFilter, anyFilter, (a, b, c) => {
      t.true(filterContains(a, a));
      t.true(filtersOverlap(a, a));
      t.is(filtersOverlap(a, b), filtersOverlap(b, a));
      if (filterContains(a, b) && filterContains(b, c)) t.true(filterContains(a, c));
      if (filterContains(a, b)) t.true(filtersOverlap(a, b));
      if (filterContains(a, b) && filtersOverlap(b, c)) t.true(filtersOverlap(a, c));
    }),
    { numRuns: 3000 },
  );
});

test('the containments that a policy relies on hold', (t) => {
  t.true(filterContains('devices/d1/#', 'devices/d1/commands/+'));
  t.true(filterContains('devices/d1/#', 'devices/d1'));
  t.false(filterContains('devices/d1/+', 'devices/d1/#'));
  t.false(filterContains('devices/d1/#', 'devices/+/commands'));
  t.false(filterContains('devices/d1/#', 'devices/d10/x'));
  t.false(filterContains('devices/d1/#', '#'));
  t.false(filterContains('#', '$fleet/#'));
  t.false(filterContains('+/presence/#', '$fleet/presence/x'));
  t.true(filterContains('+/#', '#'));
  t.true(filterContains('#', '+/#'));
});
