import { PassThrough } from 'node:stream';
import test from 'ava';
import type { NodeRow, PartitionRow } from '../../../../broker/cluster/cluster-rows.ts';
import {
  drainProgress,
  drainView,
  nodeListOf,
  nodeListSchema,
  nodeListText,
} from '../../../../cli/lib/node-list.ts';
import { Output } from '../../../../cli/lib/output.ts';

const nowMs = Date.parse('2026-03-01T12:00:00Z');

const row = (node: string, more: Partial<NodeRow> = {}): NodeRow => ({
  ...{ node, run: `run of ${node}`, address: `${node}.example:8885`, version: '1.0.0' },
  ...{
    draining: false,
    failing: false,
    isDrainAsked: false,
    seenAt: 'x',
    silentMs: 400,
    isConnected: true,
    ...more,
  },
});

const heldBy = (node: string | null, more: Partial<PartitionRow> = {}): PartitionRow => ({
  ...{ node, run: node, address: node, term: 3, storeTerm: 3, claimRun: null, claimMs: null },
  ...{ pid: node === null ? null : 77, sign: null, ...more },
});

test('the list has each node once, with its partitions and when it was seen', (t) => {
  const list = nodeListOf(
    {
      nodes: [
        row('b', { isDrainAsked: true }),
        row('a', { silentMs: 60_000, run: 'old' }),
        row('a'),
      ],
      partitions: [heldBy('a'), heldBy('b'), heldBy('a')],
      upMs: 0,
    },
    nowMs,
  );
  t.deepEqual(nodeListSchema.parse(list), {
    ...{ ok: true, partitions: 3, unheld: [] },
    nodes: [
      {
        ...{ name: 'a', address: 'a.example:8885', version: '1.0.0', state: 'alive' },
        ...{ seenAt: '2026-03-01T11:59:59.600Z', partitions: ['p0', 'p2'], taking: [] },
      },
      {
        ...{ name: 'b', address: 'b.example:8885', version: '1.0.0', state: 'draining' },
        ...{ seenAt: '2026-03-01T11:59:59.600Z', partitions: ['p1'], taking: [] },
      },
    ],
  });
});

test('a partition is not held without its lock, in a former term, or by a node that is dead', (t) => {
  const { ok, unheld, nodes } = nodeListOf(
    {
      nodes: [
        ...[row('a', { failing: true }), row('b', { isConnected: false })],
        row('c', { silentMs: 20_000 }),
      ],
      partitions: [
        heldBy('a', { pid: null }),
        heldBy('a', { storeTerm: 4 }),
        heldBy('b'),
        heldBy('c'),
        heldBy(null),
        heldBy('a'),
      ],
      upMs: 0,
    },
    nowMs,
  );
  t.false(ok);
  t.deepEqual(unheld, ['p0', 'p1', 'p2', 'p3', 'p4']);
  t.deepEqual(
    nodes.map(({ name, state }) => `${name} ${state}`),
    ['a failing', 'b dead', 'c dead'],
  );
});

test('a drain is over when the node holds nothing, and needs another node that is alive', (t) => {
  const view = (...nodes: NodeRow[]): ReturnType<typeof drainView> =>
    drainView(nodeListOf({ nodes, partitions: [heldBy('a'), heldBy('b')], upMs: 0 }, nowMs), 'a');
  t.deepEqual(view(row('a'), row('b')), { holds: ['p0'], takers: ['b'], unheld: [] });
  t.deepEqual(view(row('a'), row('b', { draining: true })), {
    holds: ['p0'],
    takers: [],
    unheld: [],
  });
  t.deepEqual(view(row('a'), row('b', { isConnected: false })), {
    holds: ['p0'],
    takers: [],
    unheld: ['p1'],
  });
  t.deepEqual(view(row('a', { silentMs: 9000 }), row('b')), {
    holds: [],
    takers: ['b'],
    unheld: ['p0'],
  });
  t.is(view(row('b')), undefined);
});

test('a partition that a node is taking must be given as well', (t) => {
  const taking = heldBy('b', { pid: null, claimRun: 'run of a' });
  const list = nodeListOf({ nodes: [row('a'), row('b')], partitions: [taking], upMs: 0 }, nowMs);
  t.deepEqual(list.nodes[0]?.taking, ['p0']);
  t.deepEqual(list.unheld, ['p0']);
  t.deepEqual(drainView(list, 'a'), { holds: ['p0'], takers: ['b'], unheld: ['p0'] });
});

test('a drain waits until other nodes have what the node held', (t) => {
  const before = { holds: ['p0', 'p1'], takers: ['b'], unheld: ['p7'] };
  t.is(drainProgress(before, before), 'holds 2 partitions: p0 p1');
  t.is(
    drainProgress({ ...before, holds: ['p0'], unheld: ['p1'] }, before),
    'holds 1 partition: p0',
  );
  t.is(
    drainProgress({ ...before, holds: [], unheld: ['p1'] }, before),
    'another node is taking p1',
  );
  t.is(drainProgress({ ...before, holds: [] }, before), undefined);
});

test('the table shows the nodes, and names partitions without a node', (t) => {
  const stdout = new PassThrough();
  const out = new Output(false, { stdout, stderr: new PassThrough() }, {});
  const nodes = [row('a'), row('b', { draining: true })];
  const text = nodeListText(
    nodeListOf({ nodes, partitions: [heldBy('a'), heldBy(null)], upMs: 0 }, nowMs),
    out,
  );
  t.deepEqual(text.split('\n'), [
    'NODE  STATE     ADDRESS         VERSION  SEEN                      PARTITIONS',
    'a     alive     a.example:8885  1.0.0    2026-03-01T11:59:59.600Z  p0',
    'b     draining  b.example:8885  1.0.0    2026-03-01T11:59:59.600Z  -',
    '',
    'partitions without a node: p1',
  ]);
  const whole = nodeListOf({ nodes, partitions: [heldBy('a')], upMs: 0 }, nowMs);
  t.regex(nodeListText(whole, out), /\n\npartitions without a node: none$/);
});
