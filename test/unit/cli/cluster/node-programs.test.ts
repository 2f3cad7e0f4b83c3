import test from 'ava';
import { partitionCount } from '../../../../cli/cluster/node-programs.ts';

test('each broker can hold a partition', (t) => {
  t.is(partitionCount(undefined, undefined, 2), 2);
  t.is(partitionCount(undefined, undefined, 5), 5);
  t.is(partitionCount(undefined, undefined, 1), 2);
});

test('the number of partitions stays that of the database, unless a setting contradicts it', (t) => {
  t.is(partitionCount(undefined, 3, 5), 3);
  t.is(partitionCount(8, undefined, 3), 8);
  // The brokers refuse it.
  t.is(partitionCount(8, 3, 3), 8);
});
