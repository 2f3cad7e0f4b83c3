import test from 'ava';
import { writeFile } from 'node:fs/promises';
import {
  brokerPolicySchema,
  policyDiffSchema,
  policyExplainedSchema,
  policySchema,
} from '../../core/protocol/operator-api.ts';
import { defaultPolicyText } from '../../core/policy/default-policy.ts';
import { replyOf, type Reply, type TestService } from '../support/enroll-service.ts';
import { fleetWorld, type FleetWorld } from '../support/fleet-world.ts';
import { until } from '../support/until.ts';

const strict = defaultPolicyText.replace(
  "topics: ['devices/{device}/#']",
  "topics: ['devices/{device}/telemetry']",
);

async function put(service: TestService, text: string, ifMatch?: string): Promise<Reply> {
  return replyOf(
    await service.call({
      method: 'PUT',
      path: '/v1/policy',
      ...service.admin,
      body: { text },
      ...(ifMatch === undefined ? {} : { headers: { 'if-match': ifMatch } }),
    }),
  );
}

async function inForce(
  { enroll }: FleetWorld,
  wanted: (policy: { source: string; text: string }) => boolean,
): Promise<{ source: string; text: string }> {
  const { body } = await until('a broker', async () => {
    const answer = await enroll.asAdmin('GET', '/v1/brokers');
    const [broker] = answer.body['brokers'] as { broker: string; connected: boolean }[];
    return broker?.connected === true ? { body: broker.broker } : undefined;
  });
  return until('the policy is in force', async () => {
    const answer = await enroll.asAdmin('GET', `/v1/brokers/${body}/policy`);
    if (answer.status !== 200) return undefined;
    const policy = brokerPolicySchema.parse(answer.body);
    return wanted(policy) ? policy : undefined;
  });
}

test("the fleet's policy reaches a broker over the feed, and takes subscriptions away at once", async (t) => {
  t.not(strict, defaultPolicyText);
  const world = await fleetWorld(t);
  const { asAdmin } = world.enroll;
  await inForce(world, ({ source }) => source === 'default');
  const client = await world.mqtt(await world.device('d1'), { clientId: 'd1' });
  await client.subscribeAsync('devices/d1/commands/#', { qos: 1 });
  const diff = policyDiffSchema.parse(
    (await asAdmin('POST', '/v1/policy/diff', { text: strict })).body,
  );
  t.deepEqual(diff.brokers[0]?.lost, [
    { device: 'd1', clientId: 'd1', filter: 'devices/d1/commands/#', rule: null },
  ]);
  const before = await asAdmin('GET', '/v1/policy');
  t.like(before.body, { source: 'default', updatedBy: null });
  const stored = await put(world.enroll, strict, String(before.headers['etag']));
  t.is(stored.status, 200);
  t.is(policySchema.parse(stored.body).source, 'fleet');
  await inForce(world, ({ source, text }) => source === 'fleet' && text === strict);
  const after = policyDiffSchema.parse(
    (await asAdmin('POST', '/v1/policy/diff', { text: strict })).body,
  );
  t.is(after.brokers[0]?.subscriptions, 0, 'the subscription is gone');
  t.like(
    (await world.enroll.audit()).findLast(({ action }) => action === 'policy-changed'),
    {
      actor: 'admin',
    },
  );
  await world.restartBroker();
  await inForce(world, ({ source, text }) => source === 'fleet' && text === strict);
});

test('a stale change of the policy is refused, and so is one that is not valid', async (t) => {
  const world = await fleetWorld(t);
  const first = String((await world.enroll.asAdmin('GET', '/v1/policy')).headers['etag']);
  t.is((await put(world.enroll, strict, first)).status, 200);
  const stale = await put(world.enroll, defaultPolicyText, first);
  t.is(stale.status, 412);
  t.is(stale.body['code'], 'version-conflict');
  t.is((await put(world.enroll, strict)).body['code'], 'request-invalid');
  const broken = await put(world.enroll, 'version: 1\nroles:\n  device:\n    rulez: []\n', '*');
  t.is(broken.body['code'], 'policy-invalid');
  t.regex(String(broken.body['detail']), /line 4, column 5/);
  const check = await world.enroll.asAdmin('POST', '/v1/policy/check', { text: 'version: 2' });
  t.like(check.body, { ok: false });
  const good = await world.enroll.asAdmin('POST', '/v1/policy/check', { text: strict });
  t.like(good.body, { ok: true, error: null });
});

test("a broker's own file overrides the fleet's policy, and the service shows it", async (t) => {
  const world = await fleetWorld(t);
  t.is((await put(world.enroll, strict, '*')).status, 200);
  await inForce(world, ({ source }) => source === 'fleet');
  const own = `${defaultPolicyText}\n# edited here\n`;
  await writeFile(world.enroll.state.policy, own);
  await inForce(world, ({ source, text }) => source === 'file' && text === own);
  const shown = await until('the report', async () => {
    const { body } = await world.enroll.asAdmin('GET', '/v1/policy');
    const [broker] = policySchema.parse(body).brokers;
    return broker?.source === 'file' ? broker : undefined;
  });
  t.false(shown.isCurrent);
  await writeFile(world.enroll.state.policy, defaultPolicyText);
  await inForce(world, ({ source }) => source === 'fleet');
});

test('a decision is explained for a device of the registry, and tests compare expected ones', async (t) => {
  const world = await fleetWorld(t);
  const { asAdmin } = world.enroll;
  await world.device('d1');
  const ask = async (body: object): Promise<object> =>
    policyExplainedSchema.parse((await asAdmin('POST', '/v1/policy/explain', body)).body);
  t.like(await ask({ device: 'd1', action: 'publish', topic: 'devices/d1/x' }), {
    allowed: true,
    expansion: 'devices/d1/#',
  });
  t.like(await ask({ device: 'd1', action: 'publish', topic: 'devices/d2/x' }), {
    allowed: false,
    code: 'publish-denied',
    nearest: { rule: 'device/own topics' },
  });
  t.like(await ask({ text: strict, device: 'd1', action: 'publish', topic: 'devices/d1/x' }), {
    allowed: false,
  });
  const tests = 'tests:\n  - device: d1\n    allow:\n      - publish: devices/d1/x\n';
  const passed = await asAdmin('POST', '/v1/policy/test', { tests });
  t.like(passed.body, { passed: 1, failures: [], cases: [{ allowed: true, expected: true }] });
  const failed = await asAdmin('POST', '/v1/policy/test', { text: strict, tests });
  t.is((failed.body['failures'] as string[]).length, 1);
  t.is(
    (await asAdmin('POST', '/v1/policy/test', { tests: 'x' })).body['code'],
    'policy-test-invalid',
  );
});

test('an operator has four policies read at a time, and a repeated key has its place', async (t) => {
  const world = await fleetWorld(t);
  const { asAdmin } = world.enroll;
  const roles = Array.from({ length: 5000 }, (_, n) => `  r${n}: {}`).join('\n');
  const text = `version: 1\nroles:\n${roles}\n`;
  const calls = Array.from({ length: 8 }, () => asAdmin('POST', '/v1/policy/check', { text }));
  const answers = await Promise.all(calls);
  const statuses = new Set(answers.map(({ status }) => status));
  t.deepEqual([...statuses].sort(), [200, 429]);
  t.like(answers.find(({ status }) => status === 200)?.body, { ok: true });
  const twice = await asAdmin('POST', '/v1/policy/check', { text: `${text}  r7: {}\n` });
  t.regex(JSON.stringify(twice.body), /line 5003, column 3: Map keys must be unique/);
});
