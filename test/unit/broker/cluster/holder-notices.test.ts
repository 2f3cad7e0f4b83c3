/**
 * Notices to a former holder of a partition.
 *
 * @module
 */
import test from 'ava';
import { HolderNotices } from '../../../../broker/cluster/holder-notices.ts';
import { LateWire } from '../../../../broker/cluster/late-wire.ts';
import type { PartitionHolder } from '../../../../broker/cluster/partition-assignment.ts';

test('a former holder of a partition gets one notice with the term of the new one, and nobody else does', (t) => {
  const holders = new Map<number, PartitionHolder>();
  const sent: unknown[] = [];
  let leaving = '';
  const notices = new HolderNotices({
    ...{ own: 'c', partitions: 2, holderOf: (partition) => holders.get(partition) },
    isLeaving: (node) => node === leaving,
    transport: {
      open(address, name, request) {
        sent.push([address, name, request]);
        return new LateWire();
      },
    },
  });
  const hold = (partition: number, node: string, term: number): void => {
    holders.set(partition, { node, address: `${node}:1`, term });
    notices.check();
  };
  hold(0, 'a', 1);
  hold(1, 'c', 4);
  t.deepEqual(sent, []);
  holders.delete(0);
  notices.check();
  hold(0, 'b', 2);
  notices.check();
  t.deepEqual(sent, [['a:1', 'a', { kind: 'held', partition: 0, term: 2 }]]);
  // It was held here, the same node again, and an older view of the database.
  hold(1, 'a', 5);
  hold(0, 'b', 3);
  hold(0, 'a', 1);
  t.is(sent.length, 1);
  // A node that gives its partitions.
  leaving = 'a';
  hold(0, 'b', 6);
  t.is(sent.length, 1);
});
