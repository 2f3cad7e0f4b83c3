/** Roles of the policy that operators give to devices and backends. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import type { MqttClient } from 'mqtt';
import { utf8String } from '../../certs/der-encode.ts';
import { generateKeySync, privateKeyPem } from '../../certs/key.ts';
import { oids } from '../../certs/oids.ts';
import { pemOf } from '../../certs/pem.ts';
import { bulkResultSchema } from '../../core/protocol/bulk-api.ts';
import { deviceSchema, importedSchema, issuedSchema } from '../../core/protocol/enrollment-api.ts';
import { policyExplainedSchema } from '../../core/protocol/operator-api.ts';
import { forgeRequest, name } from '../support/certs-forge-request.ts';
import { csrOf } from '../support/enroll-service.ts';
import { fleetWorld, type FleetWorld, type Shown } from '../support/fleet-world.ts';
import { until } from '../support/until.ts';

const [, example = ''] =
  /```yaml\n(version: 1\n.*?)```/s.exec(readFileSync('docs/policy.md', 'utf8')) ?? [];

/** Enrolls a device with a token, and waits until the broker knows its role. */
async function enrolled(world: FleetWorld, id: string, more: object, role: string): Promise<Shown> {
  const { key, pem } = csrOf(id);
  const { token } = await world.enroll.token(id, more);
  const issued = issuedSchema.parse((await world.enroll.enroll(id, pem, token)).body);
  await world.inForce(id, (entry) => entry.role === role && entry.certificates.length > 0);
  return { cert: issued.chain, key: privateKeyPem(key) };
}

async function roleOf(world: FleetWorld, id: string): Promise<string> {
  return deviceSchema.parse((await world.enroll.asAdmin('GET', `/v1/devices/${id}`)).body).role;
}

async function granted(client: MqttClient, filter: string): Promise<boolean> {
  try {
    const [grant] = await client.subscribeAsync(filter, { qos: 1 });
    return grant !== undefined && grant.qos < 128;
  } catch {
    return false;
  }
}

async function explained(world: FleetWorld, device: string, topic: string): Promise<boolean> {
  const question = { device, action: 'publish', topic };
  const { body } = await world.enroll.asAdmin('POST', '/v1/policy/explain', {
    ...question,
    text: example,
  });
  return policyExplainedSchema.parse(body).allowed;
}

test('the example of docs/policy.md works when pasted: a gateway by token, live changes, conditions', async (t) => {
  const world = await fleetWorld(t, { policy: example });
  const { asAdmin } = world.enroll;
  const gateway = await enrolled(world, 'gw-1', { role: 'gateway' }, 'gateway');
  const plain = await enrolled(world, 'pump-1', {}, 'device');
  const client = await world.mqtt(gateway, { clientId: 'gw-1/radio' });
  t.true(await granted(client, 'gateways/gw-1/commands/#'));
  await t.throwsAsync(world.mqtt(plain, { clientId: 'pump-1/radio', protocolVersion: 5 }));
  const pump = await world.mqtt(plain, { clientId: 'pump-1', protocolVersion: 5 });
  t.false(await granted(pump, 'gateways/pump-1/#'));
  t.true(await explained(world, 'gw-1', 'gateways/gw-1/s'));
  t.false(await explained(world, 'gw-1', 'alarms/berlin/fire'), 'it has no group yet');

  await asAdmin('PATCH', '/v1/devices/gw-1', { group: 'plant-a', attributes: { site: 'berlin' } });
  t.true(await explained(world, 'gw-1', 'alarms/berlin/fire'));

  t.is((await asAdmin('PATCH', '/v1/devices/pump-1', { role: 'gateway' })).body['role'], 'gateway');
  await until('the new role is in force', () => granted(pump, 'gateways/pump-1/#'));
  const connections = async (): Promise<
    { device: string; role: string; subscriptions: number }[]
  > => {
    const { body } = await asAdmin('GET', '/v1/brokers/broker/connections');
    return body['connections'] as { device: string; role: string; subscriptions: number }[];
  };
  const ofPump = async (): Promise<{ role: string; subscriptions: number } | undefined> =>
    (await connections()).find(({ device }) => device === 'pump-1');
  t.like(await ofPump(), { role: 'gateway' });

  await asAdmin('PATCH', '/v1/devices/gw-1', { role: 'reader' });
  const reader = await until('another role allows the client id', async () =>
    (await connections()).find(({ device, role }) => device === 'gw-1' && role === 'reader'),
  );
  t.is(reader.subscriptions, 0);
  const ended = new Promise<void>((resolve) => client.once('close', () => resolve()));
  await asAdmin('PATCH', '/v1/devices/gw-1', { role: null });
  await ended;
  await t.throwsAsync(world.mqtt(gateway, { clientId: 'gw-1/radio' }));

  const back = await asAdmin('PATCH', '/v1/devices/pump-1', { role: null });
  t.like(back.body, { role: 'device', kind: 'device' });
  await until('the subscription is gone', async () => {
    return (await ofPump())?.subscriptions === 0;
  });
  t.like(await ofPump(), { role: 'device' });
  t.like(
    (await world.enroll.audit()).findLast(({ action }) => action === 'device-changed'),
    { actor: 'admin', device: 'pump-1', detail: { role: 'device', roleBefore: 'gateway' } },
  );
});

test('a role comes from a profile, an import, an approval, a factory list or a bulk change', async (t) => {
  const world = await fleetWorld(t, {
    policy: example,
    config: { enroll: { profiles: { field: { role: 'gateway' } }, approval: { enabled: true } } },
  });
  const { asAdmin, admin } = world.enroll;
  await enrolled(world, 'by-profile', { profile: 'field' }, 'gateway');
  await enrolled(world, 'by-token', { profile: 'field', role: 'device' }, 'device');

  const { body } = await world.enroll.call({
    method: 'POST',
    path: '/v1/devices/import',
    ...admin,
    body: 'id,role\nimported,gateway\nbad,admin\nworse,gatway\nusual,\n',
    headers: { 'content-type': 'text/csv' },
  });
  const imported = importedSchema.parse(JSON.parse(body.toString('utf8')));
  t.is(imported.created, 2);
  t.deepEqual(imported.refused.map(({ line }) => line).sort(), [3, 4]);
  t.true(
    imported.refused.some(({ reason }) => /gatway; the policy has device, gateway/.test(reason)),
  );
  t.is(await roleOf(world, 'imported'), 'gateway');

  const { pem } = csrOf('waits');
  const { request } = (await world.enroll.enroll('waits', pem)).body as { request: string };
  await asAdmin('POST', `/v1/requests/${request}/approve`, { role: 'gateway' });
  t.is((await world.enroll.enroll('waits', pem)).status, 201);
  t.is(await roleOf(world, 'waits'), 'gateway');

  const bulk = {
    filter: { role: 'device', prefix: 'us' },
    action: 'edit',
    edit: { role: 'gateway' },
  };
  const changed = await asAdmin('POST', '/v1/devices/bulk', { ...bulk, expected: 1 });
  t.like(bulkResultSchema.parse(changed.body), { changed: 1, failed: 0 });
  t.is(await roleOf(world, 'usual'), 'gateway');
  const ids = async (query: string): Promise<string[]> =>
    ((await asAdmin('GET', `/v1/devices?${query}`)).body['devices'] as { id: string }[]).map(
      ({ id }) => id,
    );
  t.deepEqual(await ids('role=gateway'), ['by-profile', 'imported', 'usual', 'waits']);
  t.deepEqual(await ids('kind=device&role=device'), ['by-token']);
});

test('no device gets a role of the system, or one that the policy does not have', async (t) => {
  const world = await fleetWorld(t, { policy: example });
  const { asAdmin } = world.enroll;
  await enrolled(world, 'pump-1', {}, 'device');
  for (const role of ['admin', 'broker', 'service', 'server']) {
    const token = await asAdmin('POST', '/v1/tokens', { device: 'x', role });
    t.is(token.body['code'], 'request-invalid', role);
    const edit = await asAdmin('PATCH', '/v1/devices/pump-1', { role });
    t.regex(String(edit.body['code']), /identity-role-conflict|policy-role-unknown/, role);
  }
  const unknown = await asAdmin('PATCH', '/v1/devices/pump-1', { role: 'gatway' });
  t.like(unknown.body, { status: 422, code: 'policy-role-unknown' });
  t.regex(String(unknown.body['detail']), /^gatway; the policy has device, gateway, service/);
  t.is(
    (await asAdmin('PATCH', '/v1/devices/admin', { role: 'gateway' })).body['code'],
    'identity-role-conflict',
  );
  t.is(await roleOf(world, 'pump-1'), 'device');

  const key = generateKeySync('p256');
  const { token } = await world.enroll.token('sly');
  const organizationalUnit = '2.5.4.11';
  const subject = name([
    [organizationalUnit, utf8String('gateway')],
    [oids.commonName, utf8String('sly')],
  ]);
  const csr = pemOf('CERTIFICATE REQUEST', forgeRequest({ key, subject }));
  await world.enroll.enroll('sly', csr, token);
  const { body } = await asAdmin('GET', '/v1/devices?prefix=sly&role=gateway');
  t.deepEqual(body['devices'], []);
});

test('a backend can have another role than service, and keeps it when its certificate is issued again', async (t) => {
  const world = await fleetWorld(t, { policy: example });
  const { asAdmin } = world.enroll;
  const create = (more: object): ReturnType<typeof asAdmin> =>
    asAdmin('POST', '/v1/services', {
      name: 'dash',
      role: 'service',
      csr: csrOf('dash').pem,
      ...more,
    });
  t.is((await create({ policyRole: 'reader' })).status, 201);
  t.is((await create({})).status, 201);
  await world.inForce('dash', ({ role }) => role === 'reader');
  t.is((await create({ policyRole: 'admin' })).body['code'], 'request-invalid');
  t.is((await create({ role: 'admin', policyRole: 'reader' })).body['code'], 'request-invalid');
  const whoami = await asAdmin('GET', '/v1/devices/dash');
  t.like(whoami.body, { kind: 'service', role: 'reader' });
});
