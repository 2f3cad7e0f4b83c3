/** A registry that was restored from a backup, and a broker that knows what happened since then. */
import { X509Certificate } from 'node:crypto';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { readCertificate } from '../../certs/certificate.ts';
import { parseCrl } from '../../certs/crl.ts';
import { createCsr } from '../../certs/csr.ts';
import { generateKeySync, privateKeyPem } from '../../certs/key.ts';
import {
  deviceSchema,
  deviceServersSchema,
  issuedSchema,
  statusSchema,
} from '../../core/protocol/enrollment-api.ts';
import { reconciledSchema, reconcileSchema } from '../../core/protocol/reconcile-api.ts';
import { csrOf } from '../support/enroll-service.ts';
import { fleetWorld, type FleetWorld, type Shown } from '../support/fleet-world.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

async function connects(world: FleetWorld, shown: Shown, clientId: string): Promise<boolean> {
  try {
    const client = await world.mqtt(shown, { clientId });
    await client.endAsync();
    return true;
  } catch {
    return false;
  }
}

/** Renews a device, and waits until the broker knows the new certificate. */
async function renewed(world: FleetWorld, shown: Shown, id: string): Promise<Shown> {
  const { key, pem } = csrOf(id);
  const answer = await world.enroll.call({
    method: 'POST',
    path: '/v1/renew',
    ...shown,
    body: { csr: pem },
  });
  const issued = issuedSchema.parse(JSON.parse(answer.body.toString('utf8')));
  await world.inForce(id, ({ certificates }) =>
    certificates.some(({ serial }) => serial === issued.serial),
  );
  return { cert: issued.chain, key: privateKeyPem(key) };
}

const statusz = async (world: FleetWorld): Promise<{ ok: boolean; detail: string } | undefined> => {
  const answer = await fetch(`${world.broker.addresses.metrics.url}/statusz`);
  return statusSchema.parse(await answer.json()).checks.find(({ name }) => name === 'registry');
};

async function differences(world: FleetWorld): Promise<ReturnType<typeof reconcileSchema.parse>> {
  return until('the broker is asked', async () => {
    const { status, body } = await world.enroll.asAdmin('GET', '/v1/reconcile');
    if (status !== 200) return undefined;
    const found = reconcileSchema.parse(body);
    return found.brokers.length > 0 ? found : undefined;
  });
}

/** The broker has confirmed every change. */
function confirmed(world: FleetWorld): Promise<true> {
  return until('the broker has confirmed every change', async () => {
    const { body } = await world.enroll.asAdmin('GET', '/v1/status');
    const { checks } = statusSchema.parse(body);
    const detail = checks.find(({ name }) => name === 'broker broker')?.detail;
    return detail?.endsWith(' 0 changes behind') === true ? true : undefined;
  });
}

/** Replaces registry and audit log by a copy, and starts both services again. */
async function restored(world: FleetWorld, backup: string): Promise<void> {
  const { folder } = world.enroll.state.enroll;
  await world.broker.close();
  await world.enroll.service.close();
  await rm(folder, { recursive: true });
  await cp(backup, folder, { recursive: true, verbatimSymlinks: true });
  await rm(join(folder, 'registry', 'lock'), { recursive: true, force: true });
  world.enroll = await world.enroll.restart();
  await world.restartBroker();
}

test('after an old backup was restored, a broker does not forget revocations, and one command applies them again', async (t) => {
  const world = await fleetWorld(t);
  const backup = join(tempFolder(t), 'backup');
  const shown: Record<string, Shown> = {};
  for (const id of ['keep-1', 'before-2', 'before-3', 'gone-4', 'hold-5'])
    shown[id] = await world.device(id);
  await cp(world.enroll.state.enroll.folder, backup, { recursive: true, verbatimSymlinks: true });

  const { asAdmin } = world.enroll;
  await asAdmin('POST', '/v1/devices/before-2/revoke', { reason: 'keyCompromise' });
  const newer = await renewed(world, shown['before-3']!, 'before-3');
  t.true(await connects(world, newer, 'before-3'));
  await asAdmin('DELETE', '/v1/devices/gone-4');
  await asAdmin('POST', '/v1/devices/hold-5/suspend', {});
  const after = await world.device('after-1');
  await world.inForce('hold-5', ({ status }) => status === 'suspended');

  await restored(world, backup);
  const since = await differences(world);
  t.deepEqual(
    since.differences.map(({ device, action }) => [device, action]),
    [
      ['after-1', 'adopt'],
      ['before-2', 'revoke'],
      ['before-3', 'adopt'],
      ['gone-4', 'delete'],
      ['hold-5', 'suspend'],
    ],
  );
  t.deepEqual(since.differences[0]?.sources, ['broker']);
  const strict = async (): Promise<void> => {
    t.true(await connects(world, shown['keep-1']!, 'keep-1'));
    for (const id of ['before-2', 'gone-4', 'hold-5'])
      t.false(await connects(world, shown[id]!, id), id);
    t.false(await connects(world, after, 'after-1'), 'the service does not know it');
    t.like(await statusz(world), { ok: false });
    t.is(await world.metric('flotilla_registry_behind'), 1);
  };
  await strict();
  const status = statusSchema.parse((await world.enroll.asAdmin('GET', '/v1/status')).body);
  t.like(
    status.checks.find(({ name }) => name === 'registry history'),
    { ok: false },
  );
  t.true(
    (await world.audit()).some(
      ({ action, device }) => action === 'broker-ahead' && device === 'broker',
    ),
  );

  t.true(
    await connects(world, await world.device('new-6'), 'new-6'),
    'the restored service enrolls',
  );
  await world.restartBroker();
  await differences(world);
  await strict();

  const decide = (body: object): ReturnType<typeof asAdmin> =>
    world.enroll.asAdmin('POST', '/v1/reconcile', body);
  t.is((await decide({ action: 'apply', expected: 1 })).body['code'], 'version-conflict');
  const done = await decide({ action: 'apply', adopt: true, expected: 5 });
  t.like(reconciledSchema.parse(done.body), {
    applied: 5,
    skipped: 0,
    failures: [],
    brokers: ['broker'],
  });
  await until('the broker has the state of the registry', async () =>
    (await statusz(world))?.ok === true ? true : undefined,
  );
  t.is(await world.metric('flotilla_registry_behind'), 0);
  for (const id of ['before-2', 'gone-4', 'hold-5'])
    t.false(await connects(world, shown[id]!, id), id);
  t.true(await connects(world, after, 'after-1'));
  t.true(await connects(world, newer, 'before-3'));
  const row = async (id: string): Promise<string> =>
    deviceSchema.parse((await world.enroll.asAdmin('GET', `/v1/devices/${id}`)).body).status;
  t.is(await row('before-2'), 'revoked');
  t.is(await row('hold-5'), 'suspended');
  t.true(await connects(world, await renewed(world, after, 'after-1'), 'after-1'));
  await world.restartBroker();
  await until('the broker is connected', async () =>
    (await statusz(world))?.ok === true ? true : undefined,
  );
});

test('an operator can discard what a broker knows more, and an ordinary restart is no restore', async (t) => {
  const world = await fleetWorld(t);
  const backup = join(tempFolder(t), 'backup');
  const before = await world.device('before-2');
  await cp(world.enroll.state.enroll.folder, backup, { recursive: true, verbatimSymlinks: true });
  await world.enroll.asAdmin('POST', '/v1/devices/before-2/revoke', {});
  await world.inForce('before-2', ({ status }) => status === 'revoked');
  world.enroll = await world.enroll.restart();
  await world.restartBroker();
  await until('connected', async () =>
    (await world.metric('flotilla_feed_connected')) === 1 ? true : undefined,
  );
  t.like(await statusz(world), { ok: true });
  t.like((await world.enroll.asAdmin('GET', '/v1/reconcile')).body, { brokers: [], total: 0 });

  await restored(world, backup);
  t.is((await differences(world)).total, 1);
  t.false(await connects(world, before, 'before-2'));
  await world.device('new-6');
  await confirmed(world);
  await world.enroll.asAdmin('POST', '/v1/reconcile', { action: 'discard', expected: 1 });
  // The broker connects again without a new change, and confirms the last one once more.
  await confirmed(world);
  await until('the device connects again', async () =>
    (await connects(world, before, 'before-2')) ? true : undefined,
  );
  t.like(await statusz(world), { ok: true });
});

test('a certificate of a server that is adopted after a restore keeps its names, its profile and its issuer', async (t) => {
  const config = {
    enroll: { profiles: { machine: { serverNames: { dns: ['{id}.plant.example'] } } } },
  };
  const world = await fleetWorld(t, { config });
  const backup = join(tempFolder(t), 'backup');
  await cp(world.enroll.state.enroll.folder, backup, { recursive: true, verbatimSymlinks: true });
  const names = ['m-1.plant.example'];
  const request = (id: string, some: readonly string[]): { csr: string; key: string } => {
    const key = generateKeySync('p256');
    return { csr: createCsr({ key, commonName: id, names: some }).pem, key: privateKeyPem(key) };
  };
  const { token } = await world.enroll.token('m-1', { profile: 'machine' });
  const { csr, key } = request('m-1', names);
  const issued = issuedSchema.parse((await world.enroll.enroll('m-1', csr, token)).body);
  await world.inForce('m-1', () => true);

  await restored(world, backup);
  t.deepEqual(
    (await differences(world)).differences.map(({ device, action }) => [device, action]),
    [['m-1', 'adopt']],
  );
  const decision = { action: 'apply', adopt: true, expected: 1 };
  t.like((await world.enroll.asAdmin('POST', '/v1/reconcile', decision)).body, { applied: 1 });
  const { body } = await world.enroll.asAdmin('GET', '/v1/device-servers');
  const root = readCertificate(deviceServersSchema.parse(body).ca);
  const renewal = await world.enroll.call({
    ...{ method: 'POST', path: '/v1/renew', cert: issued.chain, key },
    body: { csr: request('m-1', []).csr },
  });
  const next = issuedSchema.parse(JSON.parse(renewal.body.toString('utf8')));
  t.deepEqual(readCertificate(next.certificate).names.dns, names);
  t.true(new X509Certificate(next.certificate).checkIssued(root.x509));

  await world.enroll.asAdmin('POST', '/v1/devices/m-1/revoke', {});
  const digits = root.fingerprint.slice('sha256:'.length, 'sha256:'.length + 16);
  const list = await world.enroll.call({ method: 'GET', path: `/crl/${digits}` });
  const { revoked } = await parseCrl(list.body, root);
  t.deepEqual([...revoked.keys()].sort(), [issued.serial, next.serial].sort());
});
