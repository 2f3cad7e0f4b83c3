import test from 'ava';
import fc from 'fast-check';
import { explain, type Question } from '../../../../core/policy/explanation.ts';
import { cachedTopicsMax } from '../../../../broker/policy/decision-cache.ts';
import { PolicyAuthorizer } from '../../../../broker/policy/policy-authorizer.ts';
import { parsePolicy } from '../../../../core/policy/policy-file.ts';
import { testPolicy } from '../../../../core/policy/policy-test.ts';
import { defaultPolicyText } from '../../../../core/policy/default-policy.ts';
import type { Policy } from '../../../../core/policy/policy-model.ts';
import { brokerLimitsSchema } from '../../../../core/config/limits.ts';
import { topicMatches } from '../../../../core/topic.ts';
import { identityOf } from '../../../support/broker-identity.ts';

const limits = brokerLimitsSchema.parse({});
const authorizerOf = (policy: Policy): PolicyAuthorizer =>
  new PolicyAuthorizer(policy, limits, 'close');
const withRules = (...rules: string[]): Policy =>
  parsePolicy(
    `version: 1\nroles:\n  device:\n    rules:\n${rules.map((one) => `      - ${one}\n`).join('')}`,
  );

test('an action without an allow rule is denied, and a deny rule wins in any order', (t) => {
  const rules = ["{ allow: publish, topics: ['a/#'] }", "{ deny: publish, topics: ['a/secret'] }"];
  for (const order of [rules, rules.toReversed()]) {
    const authorizer = authorizerOf(withRules(...order));
    const may = (topic: string): boolean =>
      authorizer.publish(identityOf('dev'), topic, 0, false, 0).allowed;
    t.true(may('a/b'));
    t.false(may('a/secret'));
    t.false(may('b'));
  }
});

test('a deny rule with a QoS denies subscriptions with that QoS, not deliveries of other subscriptions', (t) => {
  const authorizer = authorizerOf(
    withRules("{ allow: subscribe, topics: ['s'] }", "{ deny: subscribe, topics: ['s'], qos: 2 }"),
  );
  const dev = identityOf('dev');
  t.false(authorizer.subscribe(dev, 's', 2).allowed);
  t.true(authorizer.subscribe(dev, 's', 1).allowed);
  t.true(authorizer.receive(dev, 's'));
});

test('rules have conditions on QoS, retain, payload and address', (t) => {
  const authorizer = authorizerOf(
    withRules(
      "{ name: small, allow: publish, topics: ['t'], qos: [0, 1], retain: false, payloadMaxBytes: 10 }",
      "{ name: inside, allow: publish, topics: ['in'], addresses: ['10.0.0.0/8', '::1'] }",
      "{ name: big, deny: publish, topics: ['any'], payloadMinBytes: 100 }",
      "{ allow: publish, topics: ['any'] }",
      "{ allow: subscribe, topics: ['s'], qos: 0 }",
    ),
  );
  const dev = identityOf('dev');
  const may = (...[topic, qos, retain, bytes]: [string, 0 | 1 | 2, boolean, number]): boolean =>
    authorizer.publish(dev, topic, qos, retain, bytes).allowed;
  t.true(may('t', 1, false, 10));
  t.false(may('t', 2, false, 10));
  t.false(may('t', 0, true, 10));
  t.false(may('t', 0, false, 11));
  t.true(may('any', 0, false, 99));
  t.false(may('any', 0, false, 100));
  t.false(may('in', 0, false, 0));
  const from = (remoteAddress: string): boolean =>
    authorizer.publish(identityOf('dev', { remoteAddress }), 'in', 0, false, 0).allowed;
  t.deepEqual(['10.9.8.7', '::ffff:10.1.1.1', '::1', '11.0.0.1', 'nonsense'].map(from), [
    true,
    true,
    true,
    false,
    false,
  ]);
  t.true(authorizer.subscribe(dev, 's', 0).allowed);
  t.false(authorizer.subscribe(dev, 's', 1).allowed);
});

test('a rule with when applies to identities of the group and with the attributes only', (t) => {
  const authorizer = authorizerOf(
    withRules(
      "{ name: both, allow: publish, topics: ['t'], when: { group: [a, b], attributes: { site: [x, y], model: m1 } } }",
      "{ name: not z, deny: publish, topics: ['free'], when: { group: z } }",
      "{ name: free, allow: publish, topics: ['free'] }",
    ),
  );
  const may = (asked: string, group: string | null, attributes: Record<string, string>): boolean =>
    authorizer.publish(identityOf('dev', { group, attributes }), asked, 0, false, 0).allowed;
  t.true(may('t', 'a', { site: 'x', model: 'm1' }));
  t.true(may('t', 'b', { site: 'y', model: 'm1', other: 'o' }));
  t.false(may('t', null, { site: 'x', model: 'm1' }));
  t.false(may('t', 'c', { site: 'x', model: 'm1' }));
  t.false(may('t', 'a', { site: 'z', model: 'm1' }));
  t.false(may('t', 'a', { model: 'm1' }));
  t.false(may('free', 'z', {}));
  t.true(may('free', null, {}));
  const policy = withRules(
    "{ name: own, allow: publish, topics: ['t'], when: { attributes: { constructor: x } } }",
  );
  t.like(explain(policy, subject, { action: 'publish', topic: 't' }), {
    allowed: false,
    nearest: { rule: 'device/own', because: 'it requires that the attribute constructor is x' },
  });
});

test('topic templates are expanded with the values of the identity and skipped without a value', (t) => {
  const authorizer = authorizerOf(
    withRules(
      "{ allow: [publish, subscribe], topics: ['{role}/{device}/x', 'g/{group}/#', 'a/{attr.site}/+'] }",
      "{ deny: publish, topics: ['a/{attr.bad}/deny'] }",
    ),
  );
  const dev = identityOf('dev', { group: 'red', attributes: { site: 'north', bad: 'x/#' } });
  t.true(authorizer.publish(dev, 'device/dev/x', 0, false, 0).allowed);
  t.true(authorizer.subscribe(dev, 'g/red/#', 0).allowed);
  t.false(authorizer.subscribe(dev, 'g/#', 0).allowed);
  t.true(authorizer.publish(dev, 'a/north/1', 0, false, 0).allowed);
  t.false(authorizer.publish(dev, 'a/north/deny', 0, false, 0).allowed, 'the deny rule is widened');
  const bare = identityOf('dev');
  t.false(authorizer.subscribe(bare, 'g/null/#', 0).allowed);
  t.false(authorizer.publish(bare, 'a/undefined/1', 0, false, 0).allowed);
});

test('$SYS and $fleet are reserved, independent of the policy', (t) => {
  const authorizer = authorizerOf(
    withRules("{ allow: [publish, subscribe], topics: ['#', '+/#', '$SYS/#', '$fleet/#'] }"),
  );
  const dev = identityOf('dev');
  for (const topic of [
    '$SYS',
    '$SYS/x',
    '$fleet/presence/dev',
    '$fleet',
    '$fleet/certs/other/renew',
  ]) {
    const verdict = authorizer.publish(dev, topic, 0, false, 0);
    t.false(verdict.allowed);
    if (!verdict.allowed) t.is(verdict.code, 'topic-reserved');
  }
  t.true(authorizer.publish(dev, '$fleet/certs/dev/renew', 0, false, 0).allowed);
  t.false(authorizer.subscribe(dev, '$SYS/#', 0).allowed);
  t.false(authorizer.receive(dev, '$SYS/a/new/clients'));
});

test('with a standing other than full, an identity may only renew or has no permissions', (t) => {
  const authorizer = authorizerOf(parsePolicy(defaultPolicyText));
  const late = identityOf('dev', { standing: 'renewal-only' });
  t.true(authorizer.publish(late, '$fleet/certs/dev/renew', 1, false, 2000).allowed);
  t.true(authorizer.subscribe(late, '$fleet/certs/dev/accepted', 1).allowed);
  t.false(authorizer.publish(late, 'devices/dev/t', 0, false, 0).allowed);
  const held = identityOf('dev', { standing: 'quarantined' });
  t.true(authorizer.connect(held, 'dev').allowed, 'it may stay connected');
  t.false(authorizer.publish(held, '$fleet/certs/dev/renew', 0, false, 0).allowed);
  t.false(authorizer.subscribe(held, 'devices/dev/#', 0).allowed);
  t.false(authorizer.receive(held, 'devices/dev/commands/x'));
});

test('client ids: exact, prefix and any', (t) => {
  const authorizer = authorizerOf(
    parsePolicy(
      'version: 1\nroles:\n  a: {}\n  b: { clientIds: prefix }\n  c: { clientIds: any }\n',
    ),
  );
  const may = (role: string, clientId: string): boolean =>
    authorizer.connect(identityOf('dev', { role }), clientId).allowed;
  t.deepEqual(
    ['dev', 'dev/x', 'dev2', ''].map((id) => may('a', id)),
    [true, false, false, false],
  );
  t.deepEqual(
    ['dev', 'dev/x', 'dev/', 'devx', 'dev2/x', `dev/${'x'.repeat(65_000)}`].map((id) =>
      may('b', id),
    ),
    [true, true, false, false, false, true],
  );
  t.deepEqual(
    ['dev', 'other', ''].map((id) => may('c', id)),
    [true, true, false],
  );
  t.false(may('nobody', 'dev'), 'a role that is not in the policy cannot connect');
});

test('a new policy, entry or standing is used by the next decision', (t) => {
  const authorizer = authorizerOf(withRules("{ allow: publish, topics: ['g/{group}'] }"));
  const dev = identityOf('dev', { group: 'red' });
  const may = (topic: string): boolean => authorizer.publish(dev, topic, 0, false, 0).allowed;
  t.true(may('g/red'));
  dev.entry = { ...dev.entry, group: 'blue' };
  t.false(may('g/red'));
  t.true(may('g/blue'));
  dev.standing = 'quarantined';
  t.false(may('g/blue'));
  dev.standing = 'full';
  const { version } = authorizer;
  authorizer.replace(withRules("{ allow: publish, topics: ['other'] }"));
  t.is(authorizer.version, version + 1);
  t.false(may('g/blue'));
  t.true(may('other'));
});

test('decisions are correct when there are more topics than the cache can contain', (t) => {
  const authorizer = authorizerOf(withRules("{ allow: [publish, subscribe], topics: ['yes/#'] }"));
  const dev = identityOf('dev');
  for (let n = 0; n < cachedTopicsMax * 3; n++) {
    if (!authorizer.publish(dev, `yes/${n}`, 0, false, 0).allowed) t.fail();
    if (authorizer.publish(dev, `no/${n}`, 0, false, 0).allowed) t.fail();
    if (!authorizer.receive(dev, `yes/${n}`)) t.fail();
  }
  t.pass();
});

test('limits of the role override those of the broker', (t) => {
  const policy = parsePolicy(
    'version: 1\nroles:\n  device: { limits: { messagesPerSecond: 5, messagesBurst: 20, payloadMaxBytes: 9 }, rules: [{ allow: publish, topics: [t] }] }\n',
  );
  const authorizer = authorizerOf(policy);
  const dev = identityOf('dev');
  t.like(authorizer.limits(dev), {
    messagesPerSecond: 5,
    messagesBurst: 20,
    bytesPerSecond: 0,
    // The session layer applies the limit of the configuration for each direction.
    inflightMax: 65_535,
  });
  const large = authorizer.publish(dev, 't', 0, false, 10);
  t.true(!large.allowed && large.code === 'payload-too-large');
});

const level = fc.constantFrom('a', 'b', 'c', '', '$d');
const filterLevel = fc.constantFrom('a', 'b', 'c', '', '+', '$d');
const filter = fc
  .tuple(fc.array(filterLevel, { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([levels, rest]) => [...levels, ...(rest ? ['#'] : [])].join('/'))
  .filter((text) => text !== '');

test('a granted subscription never matches a topic that is not allowed, nor one that is denied', (t) => {
  const names = ['a', 'b', 'c', '', '$d'];
  const topics = names.flatMap((x) => [
    x,
    ...names.flatMap((y) => [
      `${x}/${y}`,
      ...names.flatMap((z) => [`${x}/${y}/${z}`, `${x}/${y}/${z}/a`]),
    ]),
  ]);
  fc.assert(
    fc.property(
      fc.array(filter, { minLength: 1, maxLength: 3 }),
      fc.array(filter, { maxLength: 2 }),
      filter,
      (allowed, denied, asked) => {
        const lines = [
          `{ allow: subscribe, topics: ${JSON.stringify(allowed)} }`,
          ...(denied.length > 0 ? [`{ deny: subscribe, topics: ${JSON.stringify(denied)} }`] : []),
        ];
        const granted = authorizerOf(withRules(...lines)).subscribe(identityOf('dev'), asked, 0);
        const reached = topics.filter((topic) => topic !== '' && topicMatches(asked, topic));
        const good = reached.every(
          (topic) =>
            allowed.some((one) => topicMatches(one, topic)) &&
            !denied.some((one) => topicMatches(one, topic)),
        );
        // Always sound. Complete for a single rule without denials.
        if (granted.allowed) return good;
        return allowed.length > 1 || denied.length > 0 || !good || reached.length === 0;
      },
    ),
    { numRuns: 500 },
  );
  t.pass();
});

test('explain agrees with the authorizer', (t) => {
  const policy = withRules(
    "{ name: own, allow: [publish, subscribe], topics: ['d/{device}/#'] }",
    "{ name: small, allow: publish, topics: ['s/+'], payloadMaxBytes: 3, qos: 1 }",
    "{ name: not-this, deny: [publish, receive], topics: ['d/+/secret'] }",
  );
  const authorizer = authorizerOf(policy);
  const anyTopic = fc
    .array(fc.oneof(level, fc.constantFrom('d', 's', 'dev', 'secret', '$SYS')), {
      minLength: 1,
      maxLength: 4,
    })
    .map((levels) => levels.join('/'))
    .filter((text) => text !== '');
  // Random levels alone almost never meet a rule.
  const topic = fc.oneof(anyTopic, fc.constantFrom('d/dev/secret', 'd/dev/a', 'd/x/secret', 's/a'));
  fc.assert(
    fc.property(
      topic,
      fc.constantFrom('publish' as const, 'subscribe' as const, 'receive' as const),
      fc.constantFrom(0 as const, 1 as const),
      fc.nat(5),
      (asked, action, qos, payloadBytes) => {
        const dev = identityOf('dev');
        const question: Question = { action, topic: asked, qos, payloadBytes };
        const said = explain(policy, { ...subject, id: 'dev' }, question).allowed;
        const done =
          action === 'publish'
            ? authorizer.publish(dev, asked, qos, false, payloadBytes).allowed
            : action === 'subscribe'
              ? authorizer.subscribe(dev, asked, qos).allowed
              : authorizer.receive(dev, asked);
        return said === done;
      },
    ),
    { numRuns: 500 },
  );
  t.pass();
});

const subject = {
  id: 'dev',
  role: 'device',
  group: null,
  attributes: {},
  standing: 'full',
  remoteAddress: '127.0.0.1',
} as const;

test('explain returns the rule, its expansion, and the rule that is closest to allowing the action', (t) => {
  const policy = withRules(
    "{ name: own, allow: [publish, subscribe], topics: ['d/{device}/#'] }",
    "{ name: small, allow: publish, topics: ['s/t'], payloadMaxBytes: 3 }",
    "{ name: home, allow: publish, topics: ['h'], addresses: ['10.0.0.0/8'] }",
    "{ name: zone, allow: publish, topics: ['z/{attr.zone}/x'] }",
    "{ name: never, deny: publish, topics: ['d/+/never'] }",
  );
  const ask = (question: Question): ReturnType<typeof explain> =>
    explain(policy, subject, question);
  t.like(ask({ action: 'publish', topic: 'd/dev/t' }), {
    allowed: true,
    rule: 'device/own',
    expansion: 'd/dev/#',
  });
  t.like(ask({ action: 'publish', topic: 'd/dev/never' }), {
    allowed: false,
    code: 'publish-denied',
    rule: 'device/never',
    expansion: 'd/+/never',
  });
  const other = ask({ action: 'publish', topic: 'd/other/t' });
  t.deepEqual(other.nearest, { rule: 'device/own', because: 'it covers d/dev/#' });
  t.is(other.rule, undefined);
  t.regex(
    ask({ action: 'publish', topic: 's/t', payloadBytes: 4 }).nearest?.because ?? '',
    /at most 3 bytes/,
  );
  t.regex(ask({ action: 'publish', topic: 'h' }).nearest?.because ?? '', /10\.0\.0\.0\/8/);
  t.regex(ask({ action: 'publish', topic: 'z/a/x' }).nearest?.because ?? '', /has no attr\.zone/);
  t.like(ask({ action: 'publish', topic: '$fleet/presence/x' }), {
    code: 'topic-reserved',
    rule: 'built-in',
  });
  t.like(ask({ action: 'connect', topic: 'dev/1' }), {
    allowed: false,
    code: 'client-id-not-allowed',
  });
  t.like(explain(policy, { ...subject, role: 'x' }, { action: 'publish', topic: 'a' }), {
    code: 'role-unknown',
  });
  t.regex(
    explain(
      policy,
      { ...subject, standing: 'quarantined' },
      { action: 'publish', topic: 'd/dev/x' },
    ).reason,
    /quarantined/,
  );
  t.regex(ask({ action: 'subscribe', topic: 'a/#/b' }).reason, /not a valid topic/);
});

test('expected decisions are compared with a policy', (t) => {
  const result = testPolicy(
    parsePolicy(defaultPolicyText),
    `tests:
  - device: sensor-1
    allow:
      - publish: devices/sensor-1/telemetry
        qos: 1
      - connect: sensor-1
    deny:
      - subscribe: devices/#
      - publish: devices/sensor-1/x
`,
  );
  t.is(result.passed, 3);
  t.is(result.failures.length, 1);
  t.regex(result.failures[0] ?? '', /sensor-1 publish devices\/sensor-1\/x: expected denied/);
  t.throws(() => testPolicy(parsePolicy(defaultPolicyText), 'tests:\n  - device: "a/b"\n'), {
    message: /line 2, column 5/,
  });
});
