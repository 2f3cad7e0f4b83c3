import test from 'ava';
import {
  detailsOf,
  emptyCase,
  testFileOf,
  type PolicyCase,
} from '../../../../../console/screens/policy/policy-case.ts';
import { defaultPolicyText } from '../../../../../core/policy/default-policy.ts';
import { parsePolicy } from '../../../../../core/policy/policy-file.ts';
import { testPolicy } from '../../../../../core/policy/policy-test.ts';

const cases: readonly PolicyCase[] = [
  { ...emptyCase, device: 'sensor-1', topic: 'devices/sensor-1/#', action: 'subscribe' },
  { ...emptyCase, device: 'sensor-1', topic: 'devices/#', action: 'subscribe', expected: false },
  {
    ...emptyCase,
    device: 'no',
    role: 'service',
    group: 'plant: a',
    attributes: { site: '"x": {}' },
    address: '10.1.2.3',
    topic: 'devices/1/commands/a b',
    qos: 1,
    retain: false,
    payloadBytes: 10,
  },
  { ...emptyCase, device: 'unfinished' },
];

test('the rows of the policy screen are a file that flotilla policy test reads as the same rows', (t) => {
  const { cases: read } = testPolicy(parsePolicy(defaultPolicyText), testFileOf(cases));
  t.deepEqual(
    read.map(({ identity, question, expected }) => ({
      ...emptyCase,
      ...identity,
      ...question,
      expected,
    })),
    cases.slice(0, 3),
  );
  t.true(testFileOf(cases).includes('  - device: sensor-1\n    allow:\n      - subscribe: '));
  t.is(testFileOf([emptyCase]), '');
});

test('a row says the conditions that have no column', (t) => {
  t.deepEqual(cases.slice(1, 3).map(detailsOf), [
    '',
    'group plant: a, site="x": {}, from 10.1.2.3, QoS 1, not retained, 10 bytes',
  ]);
});
