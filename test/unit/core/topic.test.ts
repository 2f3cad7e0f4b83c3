/** The grammar of topics and filters, and matching. @module */
import test from 'ava';
import fc from 'fast-check';
import {
  defaultTopicLimits,
  filterWithoutShare,
  splitShared,
  topicFilterFault,
  topicMatches,
  topicNameFault,
  type TopicFault,
} from '../../../core/topic.ts';

const names: readonly [string, TopicFault | undefined][] = [
  ['a', undefined],
  ['/', undefined],
  ['//', undefined],
  ['a/b/c', undefined],
  [' ', undefined],
  ['$SYS/broker', undefined],
  ['\ufeff', undefined],
  ['\u{1f600}', undefined],
  ['', 'empty'],
  ['a\0', 'nul'],
  ['\ud800', 'ill-formed'],
  ['a/\udfff/b', 'ill-formed'],
  ['+', 'wildcard'],
  ['a/#', 'wildcard'],
  ['a+b', 'wildcard'],
  ['a#', 'wildcard'],
  ['x'.repeat(defaultTopicLimits.maxBytes), undefined],
  ['x'.repeat(defaultTopicLimits.maxBytes + 1), 'too-long'],
  ['é'.repeat(defaultTopicLimits.maxBytes / 2), undefined],
  ['é'.repeat(defaultTopicLimits.maxBytes / 2) + 'x', 'too-long'],
  ['/'.repeat(defaultTopicLimits.levelsMax - 1), undefined],
  ['/'.repeat(defaultTopicLimits.levelsMax), 'too-many-levels'],
];

test('an invalid topic name is reported with its first fault', (t) => {
  for (const [name, fault] of names) t.is(topicNameFault(name), fault, JSON.stringify(name));
});

const filters: readonly [string, TopicFault | undefined][] = [
  ['a', undefined],
  ['#', undefined],
  ['+', undefined],
  ['+/+/#', undefined],
  ['/#', undefined],
  ['a/+/b', undefined],
  ['$SYS/#', undefined],
  ['', 'empty'],
  ['a\0', 'nul'],
  ['\ud800/#', 'ill-formed'],
  ['#/a', 'misplaced-wildcard'],
  ['a/#/b', 'misplaced-wildcard'],
  ['a#', 'misplaced-wildcard'],
  ['a/b#', 'misplaced-wildcard'],
  ['##', 'misplaced-wildcard'],
  ['a+', 'misplaced-wildcard'],
  ['+a', 'misplaced-wildcard'],
  ['++', 'misplaced-wildcard'],
  ['a/+b/c', 'misplaced-wildcard'],
  ['$share/group/a/#', undefined],
  ['$share/group/#', undefined],
  ['$share/group//', undefined],
  ['$share/group/a/#/b', 'misplaced-wildcard'],
  ['$share', 'shared-malformed'],
  ['$share/', 'shared-malformed'],
  ['$share//a', 'shared-malformed'],
  ['$share/group', 'shared-malformed'],
  ['$share/group/', 'shared-malformed'],
  ['$share/gr+up/a', 'shared-malformed'],
  ['$share/#/a', 'shared-malformed'],
  ['$share/+/a', 'shared-malformed'],
  ['$shared/+/a', undefined],
];

test('an invalid topic filter is reported with its first fault', (t) => {
  for (const [filter, fault] of filters) {
    t.is(topicFilterFault(filter), fault, JSON.stringify(filter));
  }
});

test('the given limits of a topic apply', (t) => {
  const limits = { maxBytes: 4, levelsMax: 2 };
  t.is(topicNameFault('abcd', limits), undefined);
  t.is(topicNameFault('abcde', limits), 'too-long');
  t.is(topicNameFault('a/b', limits), undefined);
  t.is(topicNameFault('//a', limits), 'too-many-levels');
  t.is(topicFilterFault('+/+', limits), undefined);
  t.is(topicFilterFault('+//', limits), 'too-many-levels');
});

test('a shared filter is split into group and filter', (t) => {
  t.deepEqual(splitShared('$share/g/a/b'), { group: 'g', filter: 'a/b' });
  t.deepEqual(splitShared('$share/g//'), { group: 'g', filter: '/' });
  t.deepEqual(splitShared('$share/$x/$SYS/a'), { group: '$x', filter: '$SYS/a' });
  t.is(splitShared('a/b'), undefined);
  t.is(splitShared('$shares/g/a'), undefined);
  t.is(splitShared('$share/g/'), 'malformed');
});

test('filterWithoutShare removes the group of a shared subscription, and nothing else', (t) => {
  t.is(filterWithoutShare('$share/g/a/+'), 'a/+');
  t.is(filterWithoutShare('a/+'), 'a/+');
  t.is(filterWithoutShare('$shares/g/a'), '$shares/g/a');
  t.is(filterWithoutShare('$share/g'), '$share/g');
});

// The examples of the MQTT 5.0 standard, sections 4.7.1 to 4.7.3, and edge cases.
const matches: readonly [string, string, boolean][] = [
  ['sport/tennis/player1/#', 'sport/tennis/player1', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
  ['sport/tennis/player1/#', 'sport/tennis/player2', false],
  ['sport/#', 'sport', true],
  ['sport/#', 'sports', false],
  ['sport/tennis/+', 'sport/tennis/player1', true],
  ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
  ['sport/+', 'sport', false],
  ['sport/+', 'sport/', true],
  ['+/+', '/finance', true],
  ['/+', '/finance', true],
  ['+', '/finance', false],
  ['#', 'a', true],
  ['#', '/', true],
  ['#', '$SYS/a', false],
  ['+/monitor/Clients', '$SYS/monitor/Clients', false],
  ['$SYS/#', '$SYS/a', true],
  ['$SYS/#', '$SYS', true],
  ['$SYS/monitor/+', '$SYS/monitor/Clients', true],
  ['a/#', 'a/$x', true],
  ['a/+', 'a/$x', true],
  ['ACCOUNTS', 'Accounts', false],
  ['a//b', 'a/b', false],
  ['a/+/b', 'a//b', true],
  ['+/#', 'a', true],
  ['+/+/#', 'a', false],
  ['a', 'a/', false],
  ['a/', 'a', false],
];

test('filters match topic names as in the standard', (t) => {
  for (const [filter, name, expected] of matches) {
    t.is(topicMatches(filter, name), expected, `${filter} against ${name}`);
  }
});

test('matching agrees with a regular expression made from the filter', (t) => {
  const level = fc.constantFrom('', 'a', 'b', '$s', 'ab');
  const filter = fc
    .tuple(
      fc.array(fc.oneof(level, fc.constant('+')), { minLength: 0, maxLength: 4 }),
      fc.boolean(),
    )
    .map(([levels, tail]) => [...levels, ...(tail ? ['#'] : [])].join('/'))
    .filter((text) => topicFilterFault(text) === undefined);
  const name = fc
    .array(level, { minLength: 1, maxLength: 5 })
    .map((levels) => levels.join('/'))
    .filter((text) => text !== '');
  fc.assert(
    fc.property(filter, name, (one, other) => {
      const pattern = one
        .replaceAll('$', '\\$')
        .replaceAll('+', '[^/]*')
        .replace(/^#$/, '.*')
        .replace(/\/#$/, '(/.*)?');
      const hidden = other.startsWith('$') && /^[+#]/.test(one);
      t.is(topicMatches(one, other), !hidden && new RegExp(`^${pattern}$`).test(other));
    }),
    { numRuns: 2000 },
  );
});
