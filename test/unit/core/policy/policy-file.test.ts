import { readFileSync } from 'node:fs';
import test from 'ava';
import { defaultPolicyText } from '../../../../core/policy/default-policy.ts';
import { parsePolicy, policyMaxBytes } from '../../../../core/policy/policy-file.ts';
import { roleLimitNames } from '../../../../core/policy/policy-document.ts';
import { FlotillaError } from '../../../../core/errors/flotilla-error.ts';

/** The detail of the error that a policy text causes. */
function errorOf(text: string): string {
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

test('each error names its line and column', (t) => {
  t.regex(errorOf('version: 1\nroles: [\n'), /^line \d+, column \d+/);
  t.regex(
    errorOf('version: 1\nroles: {}\nextra: 1\n'),
    /^line 3, column 1: extra: unknown setting/,
  );
  t.regex(errorOf('version: 2\nroles: {}\n'), /^line 1, column 1: version/);
  t.regex(
    errorOf(rule("{ allow: publish, topics: ['a/{nobody}/b'] }")),
    /^line 5, column \d+:.*\{nobody\}/,
  );
  t.regex(errorOf(rule("{ allow: publish, topics: ['a/#/b'] }")), /line 5.*misplaced-wildcard/);
  t.regex(errorOf(rule("{ allow: publish, topics: ['a/{device'] }")), /line 5.*brace/);
  t.regex(errorOf(rule("{ allow: jump, topics: ['a'] }")), /line 5/);
  t.regex(
    errorOf(rule("{ allow: publish, deny: publish, topics: ['a'] }")),
    /line 5.*either allow or deny/,
  );
  t.regex(errorOf(rule("{ topics: ['a'] }")), /line 5.*either allow or deny/);
  t.regex(errorOf(rule('{ allow: publish, topics: [] }')), /line 5/);
  t.regex(errorOf(rule("{ allow: subscribe, topics: ['a'], retain: true }")), /line 5.*retain/);
  t.regex(
    errorOf(rule("{ allow: publish, topics: ['a'], addresses: ['10.0.0.0/33'] }")),
    /line 5.*10\.0\.0\.0\/33/,
  );
  t.regex(errorOf(rule("{ allow: publish, topics: ['$share/g/a'] }")), /line 5.*share/);
  t.regex(
    errorOf(rule("{ allow: publish, topics: ['a'], when: {} }")),
    /line 5.*group or attributes/,
  );
  t.regex(errorOf(rule("{ allow: publish, topics: ['a'], when: { grup: x } }")), /line 5.*grup/);
  t.regex(errorOf(rule("{ allow: publish, topics: ['a'], when: { group: [] } }")), /line 5.*when/);
});

test('a misspelled setting is named with the one that was most likely meant', (t) => {
  const roles = (text: string): string => errorOf(`version: 1\nroles:\n  device: ${text}\n`);
  t.regex(
    roles('{ limits: { subscriptonsMax: 3 } }'),
    /limits\.subscriptonsMax: unknown setting; did you mean subscriptionsMax\?$/,
  );
  t.regex(roles('{ rules: [{ alow: publish, topics: [a] }] }'), /did you mean allow\?$/);
  t.regex(roles('{ nothingLikeIt: 1 }'), /nothingLikeIt: unknown setting$/);
});

test('the overflow behavior of a full queue is a limit of a role and is inherited', (t) => {
  const limits = (text: string): string =>
    `version: 1\nroles:\n  base:\n    limits: ${text}\n  own: { extends: base }\n`;
  const policy = parsePolicy(limits('{ queueOverflow: drop-newest, queueQos0: true }'));
  t.deepEqual(policy.roles.get('own')?.limits, { queueOverflow: 'drop-newest', queueQos0: true });
  t.regex(errorOf(limits('{ queueOverflow: drop-some }')), /^line 4, column 15: .*queueOverflow/);
  t.regex(errorOf(limits('{ queueQos0: 1 }')), /^line 4, column 15: .*queueQos0/);
});

test('docs/policy.md describes every limit of a role with a valid value', (t) => {
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

test('duplicate roles, unknown parents and circular inheritance are rejected', (t) => {
  t.regex(errorOf('version: 1\nroles:\n  a: {}\n  a: {}\n'), /line 4, column 3.*unique/i);
  t.regex(errorOf('version: 1\nroles:\n  a: { extends: b }\n'), /line 3.*role b does not exist/);
  t.regex(
    errorOf(
      'version: 1\nroles:\n  a: { extends: b }\n  b: { extends: [c] }\n  c: { extends: a }\n',
    ),
    /circular inheritance of roles: a → b → c → a/,
  );
  t.regex(errorOf('version: 1\nroles:\n  a: { extends: a }\n'), /circular/);
});

test('a policy of 1 MB, an alias bomb and deeply nested brackets are rejected', (t) => {
  t.regex(errorOf(`version: 1\n#${'x'.repeat(1024 * 1024)}`), new RegExp(String(policyMaxBytes)));
  const bomb = `version: 1\na: &a [x]\nb: &b [*a, *a]\nroles: {}\n`;
  t.not(errorOf(bomb), 'no error');
  t.not(errorOf(`version: 1\nroles: ${'['.repeat(100_000)}`), 'no error');
  t.not(errorOf(`{`.repeat(50_000)), 'no error');
});

test('a role inherits rules, limits and client ids', (t) => {
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
  t.is(
    policy.roles.get('grandchild')?.rules.length,
    3,
    'a rule that is inherited twice exists once',
  );
});
