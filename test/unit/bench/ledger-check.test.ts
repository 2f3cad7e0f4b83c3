import test from 'ava';
import {
  sharedViolationsOf,
  sumsOf,
  violationsOf,
  type StreamFacts,
} from '../../../bench/cluster/ledger-check.ts';

const stream = (
  qos: 0 | 1 | 2,
  acknowledged: readonly number[],
  received: Readonly<Record<string, readonly number[]>>,
): StreamFacts => ({
  ...{ topic: 'a/b', qos, published: 5, acknowledged: new Set(acknowledged) },
  received: new Map(Object.entries(received)),
});

const none = { lost: [], twice: [], outOfOrder: [], unknown: [] };

test('messages that arrive in order are no violation, and neither is a repeated QoS 1 message', (t) => {
  t.deepEqual(violationsOf([stream(1, [1, 2, 3], { one: [1, 2, 1, 2, 3] })]), none);
  t.deepEqual(violationsOf([stream(2, [1, 2], { one: [1, 2, 4], other: [1, 2] })]), none);
  t.deepEqual(violationsOf([stream(0, [], { one: [1, 5] })]), none);
});

test('an acknowledged message that one of several subscribers did not receive is lost', (t) => {
  t.deepEqual(violationsOf([stream(1, [1, 2], { one: [1, 2], other: [2] })]), {
    ...none,
    lost: ['other a/b 1'],
  });
});

test('a message that is not acknowledged may be lost', (t) => {
  t.deepEqual(violationsOf([stream(2, [1, 3], { one: [1, 3] })]), none);
});

test('a QoS 0 or 2 message arrives once', (t) => {
  t.deepEqual(violationsOf([stream(2, [1, 2], { one: [1, 2, 1] })]).twice, ['one a/b 1']);
  t.deepEqual(violationsOf([stream(0, [], { one: [3, 3] })]).twice, ['one a/b 3']);
});

test('a message that arrives for the first time after a later one is out of order', (t) => {
  t.deepEqual(violationsOf([stream(1, [1, 2, 3], { one: [1, 3, 2, 3] })]), {
    ...none,
    outOfOrder: ['one a/b 2 after 3'],
  });
});

test('a message that nobody published is unknown', (t) => {
  t.deepEqual(violationsOf([stream(1, [], { one: [6] })]).unknown, ['one a/b 6']);
});

test('a shared message has one receiver', (t) => {
  const fine = stream(2, [1, 2, 3], { one: [1, 3], other: [2] });
  t.deepEqual(sharedViolationsOf(fine), { lost: [], twice: [] });
  const wrong = stream(2, [1, 2, 3], { one: [1, 3], other: [3] });
  t.deepEqual(sharedViolationsOf(wrong), { lost: ['a/b 2'], twice: ['a/b 3'] });
  const again = stream(1, [1, 2], { one: [1, 2], other: [2] });
  t.deepEqual(sharedViolationsOf(again), { lost: [], twice: [] });
});

test('what is allowed is counted', (t) => {
  const streams = [
    stream(0, [], { one: [1, 2], other: [1, 2, 3, 4, 5] }),
    stream(1, [1, 2], { one: [1, 2, 2] }),
  ];
  t.deepEqual(sumsOf(streams), {
    ...{ published: 10, acknowledged: 2, deliveries: 10 },
    ...{ repeatedQos1: 1, missingQos0: 3 },
  });
});
