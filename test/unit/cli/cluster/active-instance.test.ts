import test from 'ava';
import { chooseInstance, type InstanceState } from '../../../../cli/cluster/active-instance.ts';

const ready = (name: string): InstanceState => ({ name, hasBegun: true, isReady: true });
const unready = (name: string): InstanceState => ({ name, hasBegun: true, isReady: false });
const standby = (name: string): InstanceState => ({ name, hasBegun: false, isReady: false });

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
