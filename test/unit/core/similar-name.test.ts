import test from 'ava';
import { similarName } from '../../../core/similar-name.ts';

test('the closest known name is found, and nothing when none is close', (t) => {
  const known = ['subscriptionsMax', 'sessionsMax', 'host', 'names'];
  t.is(similarName('subscriptonsMax', known), 'subscriptionsMax');
  t.is(similarName('hst', known), 'host');
  t.is(similarName('name', known), 'names');
  t.is(similarName('hots', known), 'host', 'two characters are exchanged');
  t.is(similarName('somethingElse', known), undefined);
  t.is(similarName('x'.repeat(10_000), known), undefined);
});
