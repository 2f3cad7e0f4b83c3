import test from 'ava';
import { RetainedTrie } from '../../../../broker/store/retained-trie.ts';
import type { StoredMessage } from '../../../../broker/store/session-store.ts';
import { storedMessage } from '../../../support/store-samples.ts';

test('the cost of a wildcard lookup among 200,000 retained messages depends on its matches', (t) => {
  const trie = new RetainedTrie();
  // Code that visits all messages reads the topic of each.
  let looks = 0;
  const counted = (topic: string): StoredMessage =>
    Object.defineProperty(storedMessage(topic), 'topic', {
      enumerable: true,
      get: () => (looks++, topic),
    });
  for (let device = 0; device < 100_000; device++) {
    trie.set(counted(`devices/d${device}/status`));
    trie.set(counted(`devices/d${device}/config`));
  }
  looks = 0;
  for (let round = 0; round < 1000; round++) {
    t.is([...trie.match(`devices/d${round}/+`)].length, 2);
  }
  t.true(looks <= 2000, `${looks} looks`);
  t.is([...trie.match('devices/+/status')].length, 100_000);
  t.is([...trie.match('#')].length, 200_000);
  t.is([...trie.all()].length, 200_000);
});

test('the trie of retained messages is empty after all were deleted', (t) => {
  const trie = new RetainedTrie();
  const topics = ['a', 'a/b', 'a/b/c/d', '/', '', 'a//b'];
  for (const topic of topics) trie.set(storedMessage(topic));
  t.false(trie.delete('a/b/c'), 'an inner node is not a message');
  for (const topic of topics) t.true(trie.delete(topic), topic);
  for (const topic of topics) t.false(trie.delete(topic), topic);
  t.is(trie.count, 0);
  t.is(trie.bytes, 0);
  t.deepEqual([...trie.match('#')], []);
});
