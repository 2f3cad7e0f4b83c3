import test from 'ava';
import { withRule } from '../../../../../console/screens/policy/rule-insertion.ts';
import { defaultPolicyText } from '../../../../../core/policy/default-policy.ts';
import { parsePolicy } from '../../../../../core/policy/policy-file.ts';

const rule = "- name: more\n  allow: [publish]\n  topics: ['alarms/{device}']";

test('a rule is added at the end of the rules of its role, and nothing else changes', (t) => {
  for (const role of ['device', 'service', 'admin']) {
    const changed = withRule(defaultPolicyText, role, rule) ?? '';
    const [before, after] = [parsePolicy(defaultPolicyText), parsePolicy(changed)];
    const namesOf = (policy: typeof before, name: string): string[] =>
      policy.roles.get(name)?.rules.map((one) => one.name) ?? [];
    t.deepEqual(namesOf(after, role), [...namesOf(before, role), `${role}/more`]);
    t.is(
      changed.split('\n').filter((line) => !defaultPolicyText.split('\n').includes(line)).length,
      2,
      'the line with allow occurs already',
    );
  }
});

test('lists in the column of their key, empty lists of rules and unknown roles', (t) => {
  const flat =
    'version: 1\nroles:\n  a:\n    rules:\n    - allow: publish\n      topics: [x]\n  b: {}\n';
  const changed = withRule(flat, 'a', rule) ?? '';
  t.is(parsePolicy(changed).roles.get('a')?.rules.length, 2);
  t.is(withRule(flat, 'b', rule), undefined);
  t.is(withRule(flat, 'c', rule), undefined);
  t.is(withRule('version: 1\nroles:\n  a:\n    rules: []\n', 'a', rule), undefined);
  t.is(withRule('nonsense', 'a', rule), undefined);
});
