/** The policies of examples/policies, against their own expectations and against the default policy. */
import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { parsePolicy } from '../../core/policy/policy-file.ts';
import { testPolicy } from '../../core/policy/policy-test.ts';
import { flotilla } from '../support/cli.ts';

const folder = 'examples/policies';
const policies = readdirSync(folder).filter((name) => /^[a-z]+\.yaml$/.test(name));

test('there are three policies, each with a file of expectations', (t) => {
  t.deepEqual(policies.sort(), ['gateways.yaml', 'groups.yaml', 'metered.yaml']);
});

for (const name of policies) {
  const [policy, tests] = [
    `${folder}/${name}`,
    `${folder}/${name.replace('.yaml', '.tests.yaml')}`,
  ];

  test(`${name} is valid, and its expectations are met`, async (t) => {
    const checked = await flotilla(['policy', 'check', policy]);
    t.is(checked.code, 0, checked.stderr);
    const tested = await flotilla(['policy', 'test', tests, '--policy', policy]);
    t.is(tested.code, 0, tested.stdout);
  });

  test(`the expectations of ${name} are not met by another policy`, (t) => {
    const other = parsePolicy('version: 1\nroles: { device: { rules: [] } }\n');
    t.true(testPolicy(other, readFileSync(tests, 'utf8')).failures.length > 3);
  });
}

test('policy explain names the rule that denies an announcement of a device', async (t) => {
  const done = await flotilla([
    ...['policy', 'explain', '--json', '--policy', `${folder}/groups.yaml`],
    ...['--device', 'announcements', '--role', 'device', '--group', 'plant-a'],
    ...['--action', 'publish', '--topic', 'groups/plant-a/announcements/stop'],
  ]);
  t.like(done.json(), { allowed: false, rule: 'device/announcements are read-only' });
});
