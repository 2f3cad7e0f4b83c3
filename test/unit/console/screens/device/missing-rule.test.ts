import test from 'ava';
import { isShared, ruleFor } from '../../../../../console/screens/device/missing-rule.ts';
import { parse } from 'yaml';

test('the rule for a denied topic opens it to each device for itself only', (t) => {
  const rule = ruleFor('pump-1', { action: 'publish', topic: 'alarms/pump-1/high' });
  t.deepEqual(parse(rule ?? ''), [
    { name: 'allow publish', allow: ['publish'], topics: ['alarms/{device}/high'] },
  ]);
  t.false(isShared('pump-1', 'alarms/pump-1/high'));
  t.true(isShared('pump-1', 'alarms/pump-10'));
});

test('quotes in a topic stay inside the rule', (t) => {
  const denied = { action: 'subscribe' as const, topic: `a'] # "x/$(id)` };
  const rule = parse(ruleFor('d1', denied) ?? '') as { topics: string[] }[];
  t.deepEqual(rule[0]?.topics, [denied.topic]);
});

test('no rule is offered for topics and actions that no rule can allow', (t) => {
  t.is(ruleFor('d1', { action: 'publish', topic: '$SYS/x' }), undefined);
  t.is(ruleFor('d1', { action: 'publish', topic: 'a/{group}' }), undefined);
  t.is(ruleFor('d1', { action: 'connect', topic: 'd1' }), undefined);
});
