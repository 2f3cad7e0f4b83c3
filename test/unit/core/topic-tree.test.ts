import test from 'ava';
import fc from 'fast-check';
import { topicMatches } from '../../../core/topic.ts';
import { TopicTree } from '../../../core/topic-tree.ts';

const level = fc.constantFrom('a', 'b', '', '$c', 'a level that is longer than most');
const topic = fc.array(level, { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/'));
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 5 }), fc.boolean())
  .map(([levels, wild]) => [...levels, ...(wild ? ['#'] : [])].join('/'));

function treeOf(names: Iterable<string>): TopicTree<string> {
  const tree = new TopicTree<string>();
  for (const name of names) tree.set(name, name);
  return tree;
}

test('a tree of topics agrees with a model for any operations', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(topic, fc.boolean()), { maxLength: 40 }),
      fc.array(filter),
      (steps, filters) => {
        const tree = new TopicTree<string>();
        const model = new Set<string>();
        for (const [name, put] of steps) {
          if (put) {
            tree.set(name, name);
            model.add(name);
          } else {
            t.is(tree.delete(name), model.delete(name) ? name : undefined);
          }
        }
        t.is(tree.size, model.size);
        t.true(tree.nodes <= 2 * tree.size, 'fewer than twice as many nodes as values');
        for (const name of model) t.is(tree.get(name), name);
        for (const one of filters) {
          const expected = [...model].filter((name) => topicMatches(one, name)).sort();
          t.deepEqual([...tree.match(one)].sort(), expected, one);
        }
        t.deepEqual(
          [...tree.walkAll()].flatMap((entry) => entry?.value ?? []).sort(),
          [...model].sort(),
        );
        for (const name of model) tree.delete(name);
        t.is(tree.nodes, 0);
      },
    ),
    { numRuns: 300 },
  );
});

test('a tree of filters finds the filters that match a topic name', (t) => {
  fc.assert(
    fc.property(fc.uniqueArray(filter, { maxLength: 30 }), fc.array(topic), (filters, names) => {
      const tree = treeOf(filters);
      for (const name of names) {
        const expected = filters.filter((one) => topicMatches(one, name)).sort();
        t.deepEqual(tree.matching(name).sort(), expected, name);
      }
    }),
    { numRuns: 300 },
  );
});

test('a topic of 32 levels needs one node, and two topics that differ at the end need three', (t) => {
  const prefix = Array.from({ length: 31 }, () => 'a').join('/');
  const tree = treeOf([`${prefix}/x`]);
  t.is(tree.nodes, 1);
  tree.set(`${prefix}/y`, 'y');
  t.is(tree.nodes, 3);
  tree.delete(`${prefix}/x`);
  t.is(tree.nodes, 1);
});

test('a walk may be interrupted by changes: what stays in the tree is visited exactly once', (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(topic, { minLength: 5, maxLength: 30 }),
      fc.array(fc.tuple(topic, fc.boolean()), { maxLength: 30 }),
      filter,
      (kept, changes, one) => {
        const tree = treeOf(kept);
        const changed = changes.filter(([name]) => !kept.includes(name));
        const visited: string[] = [];
        for (const name of tree.walk(one)) {
          if (name !== undefined && kept.includes(name)) visited.push(name);
          const [other, put] = changed.pop() ?? [];
          if (other === undefined) continue;
          if (put === true) tree.set(other, other);
          else tree.delete(other);
        }
        const expected = kept.filter((name) => topicMatches(one, name)).sort();
        t.deepEqual(visited.sort(), expected);
      },
    ),
    { numRuns: 500 },
  );
});

test('a lookup among 200,000 topics visits only what its filter can match', (t) => {
  const tree = new TopicTree<string>();
  for (let device = 0; device < 100_000; device++) {
    tree.set(`devices/d${device}/status`, 's');
    tree.set(`devices/d${device}/config`, 'c');
  }
  let steps = 0;
  for (let round = 0; round < 1000; round++) {
    steps += [...tree.walk(`devices/d${round}/+`)].length;
  }
  t.true(steps <= 4000, `${steps} steps`);
  t.is([...tree.match('devices/+/status')].length, 100_000);
  t.is([...tree.match('#')].length, 200_000);
});
