import test from 'ava';
import { defaultPolicyText } from '../../../../core/policy/default-policy.ts';
import { lostRights } from '../../../../core/policy/lost-rights.ts';
import { parsePolicy } from '../../../../core/policy/policy-file.ts';

test('the default policy has no warning; one for devices alone loses renewals and backends', (t) => {
  t.deepEqual(lostRights(parsePolicy(defaultPolicyText)), []);
  const short =
    'version: 1\nroles:\n  device:\n    rules:\n      - allow: [publish]\n        topics: ["devices/{device}/#"]\n';
  const warnings = lostRights(parsePolicy(short));
  t.is(warnings.length, 2);
  t.regex(warnings[0]!, /cannot renew over MQTT/);
  t.regex(warnings[1]!, /The role service/);
});
