import test from 'ava';
import { readFile } from 'node:fs/promises';
import { privateKeyPem } from '../../certs/key.ts';
import { readCertificate } from '../../certs/certificate.ts';
import { plainNames } from '../../certs/subject-names.ts';
import { issuedSchema } from '../../core/protocol/enrollment-api.ts';
import { identityFiles } from '../../core/state-folder.ts';
import { initialiseState } from '../../enroll/bootstrap/state.ts';
import { parseDeviceId } from '../../core/device-id.ts';
import { silentLog } from '../../core/log.ts';
import type { AuditEvent } from '../../enroll/audit/audit-event.ts';
import {
  BrokerIncidents,
  restraintsPerBrokerPerMinute,
} from '../../enroll/devices/broker-incidents.ts';
import { deviceRow } from '../contract/registry.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { followFeed } from '../support/enroll-broker.ts';
import {
  csrOf,
  enrollService,
  replyOf,
  type Credential,
  type Reply,
  type TestService,
} from '../support/enroll-service.ts';
import { captureLog } from '../support/log-capture.ts';
import { until } from '../support/until.ts';

/** A certificate of a service, an administrator or a broker. */
async function made(service: TestService, name: string, role: string): Promise<Credential> {
  const { key, pem } = csrOf(name);
  const { body } = await service.asAdmin('POST', '/v1/services', { name, role, csr: pem });
  return { cert: issuedSchema.parse(body).chain, key: privateKeyPem(key) };
}

function caller(service: TestService, credential: Credential) {
  return async (method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<Reply> =>
    replyOf(
      await service.call({ method, path, ...credential, ...(body === undefined ? {} : { body }) }),
    );
}

for (const id of ['admin', 'broker'] as const) {
  test(`${id}, once suspended, stays suspended over restarts and new issuers`, async (t) => {
    let service = await enrollService(t);
    const alice = await made(service, 'alice', 'admin');
    const stolen = id === 'admin' ? service.admin : service.broker;
    await caller(service, alice)('POST', `/v1/devices/${id}/suspend`);
    t.is((await caller(service, alice)('POST', '/v1/issuers')).status, 201);
    service = await service.restart();
    const asAlice = caller(service, alice);
    t.is((await asAlice('GET', `/v1/devices/${id}`)).body['status'], 'suspended');
    const path = id === 'admin' ? '/v1/devices' : '/v1/feed';
    t.is((await caller(service, stolen)('GET', path)).body['code'], 'device-suspended');
    const fresh = id === 'admin' ? service.admin : service.broker;
    t.is((await caller(service, fresh)('GET', path)).body['code'], 'device-suspended');
    t.is((await asAlice('POST', `/v1/devices/${id}/resume`)).status, 200);
  });

  test(`${id}, once deleted or revoked, stays so until an operator restores it`, async (t) => {
    let service = await enrollService(t);
    const alice = await made(service, 'alice', 'admin');
    await caller(service, alice)('POST', `/v1/devices/${id}/revoke`, { reason: 'keyCompromise' });
    service = await service.restart();
    const show = async (): Promise<Reply> => caller(service, alice)('GET', `/v1/devices/${id}`);
    t.is((await show()).body['status'], 'revoked');
    await caller(service, alice)('DELETE', `/v1/devices/${id}`);
    service = await service.restart();
    t.is((await show()).status, 404);
    await service.service.close();
    const { log } = captureLog();
    await initialiseState(service.state, service.config, { log, env: {}, restore: id });
    service = await service.restart();
    t.is((await show()).body['status'], 'active');
    const path = id === 'admin' ? '/v1/devices' : '/v1/whoami';
    const own = id === 'admin' ? service.admin : service.broker;
    t.is((await caller(service, own)('GET', path)).status, 200, 'with its new key');
  });
}

test('a reserved name cannot be enrolled as a device, registered, imported or given to another role', async (t) => {
  const service = await enrollService(t, { config: { enroll: { approval: { enabled: true } } } });
  const alice = await made(service, 'alice', 'admin');
  const asAlice = caller(service, alice);
  const group = await asAlice('POST', '/v1/tokens/group', { group: 'sensors', uses: 50 });
  await asAlice('DELETE', '/v1/devices/admin');
  await asAlice('DELETE', '/v1/devices/broker');
  for (const id of ['admin', 'broker', 'Admin', 'enrollment', 'system', 'factory:acme']) {
    const { pem } = csrOf(id);
    const token = String(group.body['token']);
    t.is((await service.enroll(id, pem, token)).body['code'], 'identity-role-conflict', id);
    t.is((await service.enroll(id, pem)).body['code'], 'identity-role-conflict', id);
    const one = await asAlice('POST', '/v1/tokens', { device: id });
    t.is(one.body['code'], 'identity-role-conflict', id);
    const other = await asAlice('POST', '/v1/services', { name: id, role: 'service', csr: pem });
    t.is(other.body['code'], 'identity-role-conflict', id);
  }
  const imported = await service.call({
    method: 'POST',
    path: '/v1/devices/import',
    ...alice,
    headers: { 'content-type': 'application/x-ndjson' },
    body: '{"id":"admin"}\n',
  });
  t.is(imported.status, 200);
  t.is((await asAlice('GET', '/v1/devices/admin')).status, 404);
});

test("a broker's report cannot restrain administrators, services or other brokers", async (t) => {
  const service = await enrollService(t);
  await made(service, 'backend', 'service');
  await made(service, 'broker-2', 'broker');
  const broker = await followFeed(t, service);
  for (const id of ['admin', 'backend', 'broker-2', 'broker']) {
    const { status } = await broker.report({
      incidents: [
        {
          id: id as never,
          kind: 'clone',
          atMs: 1,
          serial: '0a',
          addresses: ['10.0.0.1'],
          reaction: 'suspend',
        },
      ],
    });
    t.is(status, 204);
    t.is((await service.asAdmin('GET', `/v1/devices/${id}`)).body['status'], 'active', id);
  }
  t.is((await service.audit()).filter(({ action }) => action === 'incident-reported').length, 4);
});

test('the lines and restraints that one broker can cause are bounded, and the rest is summed', async (t) => {
  const clock = fakeClock();
  const written: AuditEvent[] = [];
  const restrained: string[] = [];
  const incidents = new BrokerIncidents({
    clock,
    log: silentLog,
    linesPerMinute: 10,
    audit: { append: (...events) => Promise.resolve(void written.push(...events)) },
    devices: {
      get: (id) => Promise.resolve({ ...deviceRow(id), version: 1 }),
      restrain: (id) => Promise.resolve(restrained.push(id) > 0),
    },
  });
  const report = (reaction: 'log' | 'suspend', id: string): Promise<void> =>
    incidents.take(
      {
        id: parseDeviceId(id),
        kind: 'clone',
        atMs: 1,
        serial: '0a',
        addresses: ['10.0.0.1'],
        reaction,
      },
      'broker-x',
    );
  for (let at = 0; at < 500; at++) await report('log', `d-${at}`);
  t.is(written.length, 10);
  for (let at = 0; at < 500; at++) await report('suspend', `d-${at}`);
  t.is(restrained.length, restraintsPerBrokerPerMinute);
  await incidents.close();
  t.like(written.at(-1), {
    action: 'incident-reported',
    actor: 'system',
    detail: { code: 'clone', count: 490 + 500 - restraintsPerBrokerPerMinute, rest: true },
  });
});

test('nobody can have the name of an operator, or be an operator with the name of a part of the system', async (t) => {
  const service = await enrollService(t);
  const put = (name: string, role: string): ReturnType<typeof service.asAdmin> =>
    service.asAdmin('PUT', `/v1/operators/${name}`, { role, disabled: false });
  for (const name of ['system', 'anonymous', 'broker', 'enrollment'])
    t.is((await put(name, 'viewer')).status, 409, name);
  t.true((await put('alice', 'operator')).status < 300);
  t.is((await service.asAdmin('POST', '/v1/tokens', { device: 'alice' })).status, 409);
  const { body: group } = await service.asAdmin('POST', '/v1/tokens/group', {
    group: 'g',
    uses: 5,
  });
  const enrolled = await service.enroll('alice', csrOf('alice').pem, String(group['token']));
  t.like(enrolled, { status: 409, body: { code: 'identity-role-conflict' } });
  const oidc = await service.enroll('oidc:bob', csrOf('oidc:bob').pem, String(group['token']));
  t.is(oidc.status, 409);
  const imported = await service.call({
    method: 'POST',
    path: '/v1/devices/import',
    ...service.admin,
    body: Buffer.from('{"id":"alice"}\n'),
    headers: { 'content-type': 'application/x-ndjson' },
  });
  t.regex(imported.body.toString(), /name of an operator/);
  const { pem } = csrOf('alice');
  const made = await service.asAdmin('POST', '/v1/services', {
    name: 'alice',
    role: 'service',
    csr: pem,
  });
  t.is(made.status, 409);
});

for (const action of ['revoke', 'suspend', 'delete'] as const) {
  test(`the feed of a broker ends at once: ${action}`, async (t) => {
    const service = await enrollService(t);
    const credential = await made(service, 'broker-2', 'broker');
    const broker = await followFeed(t, { ...service, broker: credential });
    await broker.line('the end of the snapshot', ({ type }) => type === 'snapshot-end');
    const path = `/v1/devices/broker-2`;
    const done =
      action === 'delete'
        ? await service.asAdmin('DELETE', path)
        : await service.asAdmin('POST', `${path}/${action}`, action === 'revoke' ? {} : undefined);
    t.true(done.status < 300, JSON.stringify(done.body));
    await until('the feed has ended', () => broker.ended || undefined);
    await service.device('later');
    t.false(broker.lines.some((line) => line.type === 'change' && line.entry.id === 'later'));
  });
}

test('certificates of brokers have the validity of servers, at first and after a renewal', async (t) => {
  const enroll = { serverCertificateValidity: '20d', certificateValidity: '200d' };
  const service = await enrollService(t, { config: { enroll } });
  const names = ['localhost'];
  const { key, pem } = csrOf('b-2');
  const request = { name: 'b-2', role: 'broker', csr: pem, names };
  const first = issuedSchema.parse((await service.asAdmin('POST', '/v1/services', request)).body);
  const credential = { cert: first.chain, key: privateKeyPem(key) };
  const reply = await caller(service, credential)('POST', '/v1/renew', { csr: csrOf('b-2').pem });
  for (const { notAfter } of [first, issuedSchema.parse(reply.body)]) {
    t.true(Date.parse(notAfter) < Date.now() + 21 * 86_400_000);
  }
});

test("the broker's certificate does not have the name of a separate enrollment service", async (t) => {
  const service = await enrollService(t, {
    config: { names: ['mqtt.example.com'], enroll: { url: 'https://enroll.example.com:8443' } },
  });
  const namesIn = async (folder: string): Promise<string[]> =>
    plainNames(readCertificate(await readFile(identityFiles(folder).cert, 'utf8')).names);
  t.true((await namesIn(service.state.enroll.tls)).includes('enroll.example.com'));
  const names = await namesIn(service.state.broker.identity);
  t.true(names.includes('mqtt.example.com'));
  t.false(names.includes('enroll.example.com'));
});
