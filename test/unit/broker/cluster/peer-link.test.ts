/** Two nodes whose connection loses packets and which are started again: nothing confirmed is lost. */
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import {
  NodePair,
  otherSide,
  pairProbeAfterMs,
  pairRecordBytes,
  type PairLimits,
  type PairRecord,
  type Side,
} from '../../../support/node-pair.ts';

type Step =
  | { readonly kind: 'publish'; readonly side: Side; readonly isNumbered: boolean }
  | { readonly kind: 'flush' | 'lose' | 'restart'; readonly side: Side }
  | { readonly kind: 'deliver' | 'commit'; readonly side: Side; readonly count: number }
  | { readonly kind: 'cut' | 'time' };

const side = fc.constantFrom<Side>('a', 'b');
const count = fc.integer({ min: 1, max: 5 });
const kindOf = <K extends string>(kind: K): fc.Arbitrary<K> => fc.constant(kind);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: kindOf('publish'), side, isNumbered: fc.boolean() }),
  },
  { weight: 6, arbitrary: fc.record({ kind: kindOf('flush'), side }) },
  { weight: 8, arbitrary: fc.record({ kind: kindOf('deliver'), side, count }) },
  { weight: 5, arbitrary: fc.record({ kind: kindOf('commit'), side, count }) },
  { weight: 2, arbitrary: fc.record({ kind: kindOf('lose'), side }) },
  { weight: 1, arbitrary: fc.record({ kind: kindOf('restart'), side }) },
  { weight: 1, arbitrary: fc.record({ kind: kindOf('cut') }) },
  { weight: 2, arbitrary: fc.record({ kind: kindOf('time') }) },
);

function run(pair: NodePair, one: Step): void {
  switch (one.kind) {
    case 'publish':
      pair[one.side].publish(one.isNumbered);
      return;
    case 'flush':
      pair[one.side].link.flush();
      return;
    case 'deliver':
      pair.deliver(one.side, one.count);
      return;
    case 'commit':
      pair[one.side].commit(one.count);
      return;
    case 'lose':
      pair[one.side].outbox.shift();
      return;
    case 'restart':
      pair[one.side].restart();
      return;
    case 'cut':
      pair.cut();
      return;
    case 'time':
      pair.nowMs += pairProbeAfterMs / 2;
      pair.a.link.tick(pair.nowMs);
      pair.b.link.tick(pair.nowMs);
  }
}

/** The runs of a node in order, and its messages in each run: strictly increasing, so that none is there twice. */
function isInOrder(records: readonly PairRecord[]): boolean {
  return records.every((record, index) => {
    const before = records[index - 1];
    return (
      before === undefined ||
      record.incarnation > before.incarnation ||
      (record.incarnation === before.incarnation && record.id > before.id)
    );
  });
}

/** @returns what is wrong; undefined if everything is as promised */
function faultOf(pair: NodePair, from: Side): string | undefined {
  const sender = pair[from];
  const received = pair[otherSide(from)].durable;
  if (!isInOrder(received.filter(({ isNumbered }) => isNumbered))) return 'order, or a duplicate';
  if (!isInOrder(received.filter(({ isNumbered }) => !isNumbered))) return 'order at QoS 0';
  for (const one of sender.published) {
    if (one.state === 'confirmed' && !one.wasDurable) return `${one.id} was confirmed too early`;
    if (one.incarnation === sender.incarnation && one.state === 'pending') {
      return `${one.id} of the current run was never confirmed`;
    }
  }
  if (sender.link.sender.parkedBytes !== 0) return 'something stays parked';
  return undefined;
}

function holds(t: ExecutionContext, limits: PairLimits | undefined, runs: number): void {
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
        const pair = new NodePair(limits);
        pair.a.link.reconnected(0);
        pair.b.link.reconnected(0);
        for (const one of steps) run(pair, one);
        pair.settle();
        const faults = [faultOf(pair, 'a'), faultOf(pair, 'b')];
        if (faults.some((fault) => fault !== undefined)) throw new Error(faults.join('; '));
      }),
      { numRuns: runs },
    ),
  );
}

test('over losses, interruptions and restarts of both sides nothing confirmed is lost, repeated or out of order', (t) => {
  holds(t, undefined, 1500);
});

test('the same with small batches, and few bytes in flight and parked', (t) => {
  const bytes = pairRecordBytes;
  holds(
    t,
    { parkedMaxBytes: 8 * bytes, inFlightMaxBytes: 3 * bytes, batchMaxBytes: 30 + 2 * bytes },
    1500,
  );
});

/** Two nodes that know each other. */
function connected(limits?: PairLimits): NodePair {
  const pair = new NodePair(limits);
  pair.a.link.reconnected(0);
  pair.b.link.reconnected(0);
  pair.settle();
  return pair;
}

test('all messages of one turn are one packet, and one acknowledgement follows the commit', (t) => {
  const pair = connected();
  const all = Array.from({ length: 10 }, (_, n) => pair.a.publish(n % 2 === 0));
  t.is(pair.a.outbox.length, 0);
  pair.a.link.flush();
  t.is(pair.a.outbox.length, 1);
  pair.deliver('a');
  pair.a.publish(true);
  pair.a.link.flush();
  pair.deliver('a');
  pair.b.link.flush();
  t.is(pair.b.outbox.length, 0, 'it is not durable yet');
  pair.b.commit();
  t.is(pair.b.outbox.length, 1);
  t.deepEqual([...new Set(pair.a.published.map(({ state }) => state))], ['pending']);
  pair.deliver('b');
  t.deepEqual([...new Set(pair.a.published.map(({ state }) => state))], ['confirmed']);
  t.is(pair.b.durable.length, all.length + 1);
});

test('a lost packet is sent again with those behind it, after one report', (t) => {
  const pair = connected();
  for (let n = 0; n < 5; n++) {
    pair.a.publish(true);
    pair.a.link.flush();
  }
  pair.a.outbox.splice(1, 1);
  pair.deliver('a');
  t.is(pair.b.outbox.length, 1);
  pair.deliver('b');
  t.is(pair.a.outbox.length, 4);
  pair.deliver('a');
  pair.b.link.flush();
  pair.b.commit();
  pair.deliver('b');
  t.true(pair.a.published.every(({ wasDurable }) => wasDurable));
  t.is(pair.b.durable.length, 5);
});

test('the last packet is asked for when its acknowledgement stays away, and a lost acknowledgement too', (t) => {
  for (const isAckLost of [false, true]) {
    const pair = connected();
    const one = pair.a.publish(true);
    pair.a.link.flush();
    if (isAckLost) pair.deliver('a');
    else pair.a.outbox = [];
    pair.b.link.flush();
    pair.b.commit();
    pair.b.outbox = [];
    pair.a.link.tick(pair.nowMs);
    t.is(pair.a.outbox.length, 0);
    pair.nowMs += pairProbeAfterMs;
    pair.a.link.tick(pair.nowMs);
    t.is(pair.a.outbox.length, 1, 'a probe');
    pair.settle();
    t.is(one.state, 'confirmed');
    t.is(pair.b.durable.length, 1);
  }
});

test('what waits for a node that does not answer is bounded: publishers pause, then messages are refused', (t) => {
  const parkedMaxBytes = 10 * pairRecordBytes;
  const pair = connected({ parkedMaxBytes, inFlightMaxBytes: 1e6, batchMaxBytes: 1e6 });
  const { sender } = pair.a.link;
  const add = (): ReturnType<typeof sender.addNumbered> =>
    sender.addNumbered({
      bytes: pairRecordBytes,
      copyTo: (target, start) => void target.fill(0, start, start + pairRecordBytes),
    });
  for (let n = 1; n <= 9; n++) {
    const confirmation = add();
    t.false(confirmation.pausesPublishers);
    pair.a.link.flush();
  }
  t.true(add().pausesPublishers);
  for (let n = 11; n <= 20; n++) {
    t.true(add().isOpen);
    pair.a.link.flush();
  }
  for (let n = 0; n < 5; n++) t.true(add().hasFailed);
  t.is(sender.parkedBytes, 2 * parkedMaxBytes);
  pair.settle();
  t.is(sender.parkedBytes, 0);
  t.false(add().pausesPublishers);
});

test('a message larger than the bound is sent alone', (t) => {
  const pair = connected({
    parkedMaxBytes: 2,
    inFlightMaxBytes: 1,
    batchMaxBytes: 1,
  });
  const one = pair.a.publish(true);
  t.is(one.state, 'pending');
  t.is(pair.a.publish(true).state, 'failed');
  pair.settle();
  t.is(one.state, 'confirmed');
});

test('a node that has lost its disk goes on behind what it had acknowledged', (t) => {
  const pair = connected();
  const first = pair.a.publish(true);
  pair.settle();
  t.is(first.state, 'confirmed');
  const second = pair.a.publish(true);
  pair.b.restart(true);
  pair.settle();
  t.is(second.state, 'confirmed');
  t.deepEqual(
    pair.b.durable.map(({ id }) => id),
    [1, 2],
  );
});

test('packets of former runs change nothing', (t) => {
  const pair = connected();
  for (let n = 0; n < 3; n++) {
    pair.a.publish(true);
    pair.a.link.flush();
  }
  const oldBatches = pair.a.outbox.splice(0);
  pair.a.restart();
  pair.settle();
  pair.a.publish(true);
  pair.settle();
  pair.a.outbox.push(...oldBatches);
  pair.settle();
  t.deepEqual(
    pair.b.durable.map(({ incarnation }) => incarnation),
    [2],
  );

  // A report of a run that ended before its commit arrives late.
  const second = pair.a.publish(true);
  pair.a.link.flush();
  pair.deliver('a');
  pair.b.link.reconnected(pair.nowMs);
  pair.deliver('b');
  pair.a.link.reconnected(pair.nowMs);
  pair.deliver('a');
  const oldReport = pair.b.outbox.splice(0);
  pair.b.restart();
  pair.deliver('b');
  pair.deliver('a');
  pair.b.outbox.push(...oldReport);
  pair.deliver('b');
  t.is(second.state, 'pending');
  pair.a.publish(true);
  pair.a.link.flush();
  pair.deliver('a');
  t.is(pair.b.outbox.length, 0, 'there is no gap');
  pair.settle();
  t.true(pair.a.published.slice(3).every(({ wasDurable }) => wasDurable));
});

test('a packet for another run of this node is not applied, and is answered by a report', (t) => {
  const pair = connected();
  pair.a.publish(true);
  pair.a.publish(false);
  pair.a.link.flush();
  pair.b.restart();
  pair.b.outbox = [];
  pair.deliver('a');
  pair.b.commit();
  t.deepEqual(pair.b.durable, []);
  t.is(pair.b.outbox.length, 2, 'a report, and a probe of its own');
  pair.deliver('b');
  pair.deliver('a');
  pair.b.commit();
  t.deepEqual(
    pair.b.durable.map(({ id }) => id),
    [1],
  );
});

test('what is parked leaves as acknowledgements make room in flight', (t) => {
  const pair = connected({
    parkedMaxBytes: 1e6,
    inFlightMaxBytes: 3 * pairRecordBytes,
    batchMaxBytes: 1e6,
  });
  for (let n = 0; n < 10; n++) {
    pair.a.publish(true);
    pair.a.publish(false);
    pair.a.link.flush();
  }
  t.is(pair.a.outbox.length, 10, 'the messages that may be lost do not wait');
  pair.deliver('a');
  t.is(pair.a.link.sender.parkedBatches, 10);
  for (let acknowledged = 3; acknowledged < 10; acknowledged += 3) {
    pair.b.link.flush();
    pair.b.commit();
    pair.deliver('b');
    t.is(pair.a.outbox.length, Math.min(3, 10 - acknowledged));
    pair.deliver('a');
  }
});

test('a closed sender confirms or fails what is parked, and refuses what comes', (t) => {
  for (const confirm of [true, false]) {
    const pair = connected();
    const sent = pair.a.publish(true);
    pair.a.link.flush();
    const open = pair.a.publish(true);
    pair.a.link.sender.close(confirm);
    t.is(sent.state, confirm ? 'confirmed' : 'failed');
    t.is(open.state, confirm ? 'confirmed' : 'failed');
    t.is(pair.a.publish(true).state, 'failed');
    t.is(pair.a.link.sender.parkedBytes, 0);
  }
});

test('messages at QoS 0 are dropped and counted while the other node is not known', (t) => {
  const pair = new NodePair();
  pair.a.publish(false);
  pair.a.publish(false);
  t.is(pair.a.link.sender.droppedMessages, 2);
  pair.a.link.reconnected(0);
  pair.settle();
  pair.a.publish(false);
  pair.b.restart();
  pair.deliver('b');
  pair.a.link.flush();
  t.is(pair.a.link.sender.droppedMessages, 3);
  pair.settle();
  t.deepEqual(pair.b.durable, []);
});
