import test from 'ava';
import {
  chooseBrokers,
  chooseInstance,
  chooseTarget,
  type InstanceState,
} from '../../../../cli/cluster/instance-choice.ts';

const silent = (name: string): InstanceState => ({
  ...{ name, hasBegun: true, isReady: false, isSilent: true },
});
const unready = (name: string): InstanceState => ({ ...silent(name), isSilent: false });
const ready = (name: string): InstanceState => ({ ...unready(name), isReady: true });
const standby = (name: string): InstanceState => ({ ...unready(name), hasBegun: false });

test('connections go to the instance that is ready, and stay there', (t) => {
  t.is(chooseInstance(undefined, [standby('a'), standby('b')]), undefined);
  t.is(chooseInstance(undefined, [standby('a'), ready('b')]), 'b');
  t.is(chooseInstance('b', [ready('a'), ready('b')]), 'b');
});

test('connections go to another instance when the current one ended or only the other one is ready', (t) => {
  t.is(chooseInstance('a', [standby('a'), ready('b')]), 'b');
  t.is(chooseInstance('a', [unready('a'), ready('b')]), 'b');
  t.is(chooseInstance('a', [standby('a'), standby('b')]), undefined);
});

test('an instance that is not ready keeps its connections while no other one is ready', (t) => {
  t.is(chooseInstance('a', [unready('a'), standby('b')]), 'a');
  t.is(chooseInstance('b', [unready('a'), unready('b')]), 'b');
  t.is(chooseInstance(undefined, [unready('a'), standby('b')]), 'a');
});

test('new connections go to all brokers that are ready', (t) => {
  t.deepEqual(chooseBrokers([]), []);
  t.deepEqual(chooseBrokers([standby('a'), standby('b')]), []);
  t.deepEqual(chooseBrokers([ready('a'), ready('b'), standby('c')]), ['a', 'b']);
  t.deepEqual(chooseBrokers([ready('a'), unready('b'), silent('c')]), ['a']);
});

test('while no broker is ready, new connections go to those that answer', (t) => {
  t.deepEqual(chooseBrokers([unready('a'), unready('b'), standby('c')]), ['a', 'b']);
  t.deepEqual(chooseBrokers([unready('a'), silent('b')]), ['a']);
  t.deepEqual(chooseBrokers([silent('a'), silent('b')]), []);
});

test('a new connection goes to the target with the fewest connections, in turn', (t) => {
  t.is(chooseTarget([], 0), undefined);
  t.is(chooseTarget([5], 3), 0);
  t.is(chooseTarget([0, 0, 0], 1), 1);
  t.is(chooseTarget([2, 1, 1], 0), 1);
  t.is(chooseTarget([2, 1, 1], 2), 2);
  t.is(chooseTarget([0, 1, 1], 2), 0);
});
