import { readFileSync } from 'node:fs';
import test from 'ava';
import { defaultPolicyText } from '../../../../broker/policy/default-policy.ts';
import {
  parsePolicy,
  policyMaxBytes,
  roleLimitNames,
} from '../../../../broker/policy/policy-file.ts';
import { FlotillaError } from '../../../../core/errors/flotilla-error.ts';

/** The detail of the error that a policy text gives. */
function fault(text: string): string {
  try {
    parsePolicy(text);
  } catch (error) {
    if (error instanceof FlotillaError && error.code === 'policy-invalid') {
      return error.detail ?? '';
    }
    throw error;
  }
  return 'no error';
}

const rule = (text: string): string =>
  `version: 1\nroles:\n  device:\n    rules:\n      - ${text}\n`;

test('the default policy is valid and has the roles of the contract', (t) => {
  const policy = parsePolicy(defaultPolicyText);
  t.deepEqual([...policy.roles.keys()], ['device', 'service', 'admin', 'broker']);
  t.is(policy.roles.get('device')?.clientIds, 'exact');
});

test('each fault names its line and column', (t) => {
  t.regex(fault('version: 1\nroles: [\n'), /^line \d+, column \d+/);
  t.regex(fault('version: 1\nroles: {}\nextra: 1\n'), /^line 3, column 1: extra: there is no such/);
  t.regex(fault('version: 2\nroles: {}\n'), /^line 1, column 1: version/);
  t.regex(
    fault(rule("{ allow: publish, topics: ['a/{nobody}/b'] }")),
    /^line 5, column \d+:.*\{nobody\}/,
  );
  t.regex(fault(rule("{ allow: publish, topics: ['a/#/b'] }")), /line 5.*misplaced-wildcard/);
  t.regex(fault(rule("{ allow: publish, topics: ['a/{device'] }")), /line 5.*brace/);
  t.regex(fault(rule("{ allow: jump, topics: ['a'] }")), /line 5/);
  t.regex(
    fault(rule("{ allow: publish, deny: publish, topics: ['a'] }")),
    /line 5.*either allow or deny/,
  );
  t.regex(fault(rule("{ topics: ['a'] }")), /line 5.*either allow or deny/);
  t.regex(fault(rule('{ allow: publish, topics: [] }')), /line 5/);
  t.regex(fault(rule("{ allow: subscribe, topics: ['a'], retain: true }")), /line 5.*retain/);
  t.regex(
    fault(rule("{ allow: publish, topics: ['a'], addresses: ['10.0.0.0/33'] }")),
    /line 5.*10\.0\.0\.0\/33/,
  );
  t.regex(fault(rule("{ allow: publish, topics: ['$share/g/a'] }")), /line 5.*share/);
});

test('what gives way in a full queue is set by role, and inherited', (t) => {
  const limits = (text: string): string =>
    `version: 1\nroles:\n  base:\n    limits: ${text}\n  own: { extends: base }\n`;
  const policy = parsePolicy(limits('{ queueOverflow: drop-newest, queueQos0: true }'));
  t.deepEqual(policy.roles.get('own')?.limits, { queueOverflow: 'drop-newest', queueQos0: true });
  t.regex(fault(limits('{ queueOverflow: drop-some }')), /^line 4, column 15: .*queueOverflow/);
  t.regex(fault(limits('{ queueQos0: 1 }')), /^line 4, column 15: .*queueQos0/);
});

test('the page about the policy file names every limit of a role, with a value that is taken', (t) => {
  const page = readFileSync('docs/policy.md', 'utf8');
  const rows = [...page.matchAll(/^\| `(\w+)` \| (\S+) \|/gm)];
  t.deepEqual(
    rows.map(([, name]) => name),
    roleLimitNames,
  );
  for (const [, name = '', value = ''] of rows) {
    const policy = parsePolicy(
      `version: 1\nroles:\n  device:\n    limits: { ${name}: ${value} }\n`,
    );
    t.is(String(Object.values(policy.roles.get('device')?.limits ?? {})[0]), value, name);
  }
  const example = /```yaml\n([^`]+)```/.exec(page)?.[1] ?? '';
  t.is(parsePolicy(example).roles.get('gateway')?.limits.queueOverflow, 'drop-newest');
});

test('duplicate roles, unknown parents and circles are refused', (t) => {
  t.regex(fault('version: 1\nroles:\n  a: {}\n  a: {}\n'), /line 4, column 3.*unique/i);
  t.regex(fault('version: 1\nroles:\n  a: { extends: b }\n'), /line 3.*no role b/);
  t.regex(
    fault('version: 1\nroles:\n  a: { extends: b }\n  b: { extends: [c] }\n  c: { extends: a }\n'),
    /circle: a → b → c → a/,
  );
  t.regex(fault('version: 1\nroles:\n  a: { extends: a }\n'), /circle/);
});

test('a policy of a megabyte, a bomb of aliases and a tower of brackets are refused', (t) => {
  t.regex(fault(`version: 1\n#${'x'.repeat(1024 * 1024)}`), new RegExp(String(policyMaxBytes)));
  const bomb = `version: 1\na: &a [x]\nb: &b [*a, *a]\nroles: {}\n`;
  t.not(fault(bomb), 'no error');
  t.not(fault(`version: 1\nroles: ${'['.repeat(100_000)}`), 'no error');
  t.not(fault(`{`.repeat(50_000)), 'no error');
});

test('a role has the rules, limits and client ids of those it extends', (t) => {
  const policy = parsePolicy(`version: 1
roles:
  base:
    clientIds: prefix
    limits: { messagesPerSecond: 5, inflightMax: 7 }
    rules: [{ name: one, allow: publish, topics: ['a'] }]
  other: { rules: [{ allow: publish, topics: ['b'] }] }
  child: { extends: [other, base], limits: { inflightMax: 9 }, rules: [{ deny: publish, topics: ['c'] }] }
  grandchild: { extends: [child, base] }
`);
  const child = policy.roles.get('child');
  t.is(child?.clientIds, 'prefix');
  t.deepEqual(
    child?.rules.map(({ name }) => name),
    ['other#1', 'base/one', 'child#1'],
  );
  t.deepEqual(child?.limits, { messagesPerSecond: 5, inflightMax: 9 });
  t.is(policy.roles.get('grandchild')?.rules.length, 3, 'a rule inherited twice stands once');
});
