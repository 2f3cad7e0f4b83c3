import test from 'ava';
import { partitionCount } from '../../../../cli/cluster/node-programs.ts';

test('each broker can hold a partition, and the setting decides', (t) => {
  t.is(partitionCount(undefined, 2), 2);
  t.is(partitionCount(undefined, 5), 5);
  t.is(partitionCount(undefined, 1), 2);
  t.is(partitionCount(8, 3), 8);
  t.is(partitionCount(1, 3), 1);
});
