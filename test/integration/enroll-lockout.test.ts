/** Administrators cannot lock themselves out by accident: over certificates, operators and API keys. */
import test from 'ava';
import { createCsr } from '../../certs/csr.ts';
import { generateKeySync, privateKeyPem } from '../../certs/key.ts';
import { issuedSchema } from '../../core/protocol/enrollment-api.ts';
import { enrollService, replyOf, type Reply, type TestService } from '../support/enroll-service.ts';

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';
type Caller = (method: Method, path: string, body?: object) => Promise<Reply>;

/** A second administrator. */
async function administrator(service: TestService, name: string): Promise<Caller> {
  const key = generateKeySync('p256');
  const csr = createCsr({ key, commonName: name }).pem;
  const made = await service.asAdmin('POST', '/v1/services', { name, role: 'admin', csr });
  const credential = { cert: issuedSchema.parse(made.body).chain, key: privateKeyPem(key) };
  return async (method, path, body) =>
    replyOf(
      await service.call({ method, path, ...credential, ...(body === undefined ? {} : { body }) }),
    );
}

const ways: readonly (readonly [Method, string, object?])[] = [
  ['POST', '/v1/devices/admin/revoke', {}],
  ['POST', '/v1/devices/admin/suspend', {}],
  ['DELETE', '/v1/devices/admin'],
  ['PUT', '/v1/operators/admin', { role: 'viewer' }],
  ['PUT', '/v1/operators/admin', { role: 'admin', disabled: true }],
];

test('no call locks out the identity that makes it, unless it says so', async (t) => {
  const service = await enrollService(t);
  await administrator(service, 'alice');
  for (const [method, path, body] of ways) {
    const done = await service.asAdmin(method, path, body);
    t.is(done.status, 409, `${method} ${path}`);
    t.is(done.body['code'], 'own-identity', `${method} ${path}`);
  }
  const done = await service.asAdmin('POST', '/v1/devices/admin/suspend?ownIdentity=true', {});
  t.is(done.body['status'], 'suspended');
});

test('no call locks out the last administrator, not even when it says so', async (t) => {
  const service = await enrollService(t);
  for (const [method, path, body] of ways) {
    const done = await service.asAdmin(method, `${path}?ownIdentity=true`, body);
    t.is(done.body['code'], 'last-administrator', `${method} ${path}`);
  }
  await service.asAdmin('PUT', '/v1/operators/alice', { role: 'admin' });
  const without = await service.asAdmin('DELETE', '/v1/devices/admin?ownIdentity=true');
  t.is(without.body['code'], 'last-administrator', 'an operator without a credential is no way in');
  await service.asAdmin('POST', '/v1/keys', {
    name: 'limited',
    operator: 'alice',
    scopes: ['fleet'],
  });
  const limited = await service.asAdmin('DELETE', '/v1/devices/admin?ownIdentity=true');
  t.is(limited.body['code'], 'last-administrator', 'a key with scopes is no way in');
  const made = await service.asAdmin('POST', '/v1/keys', { name: 'all', operator: 'alice' });
  const done = await service.asAdmin('DELETE', '/v1/devices/admin?ownIdentity=true');
  t.like(done.body, { id: 'admin', deleted: true }, 'with a key the operator is one');
  const key = async (method: Method, path: string): Promise<Reply> =>
    replyOf(await service.call({ method, path, bearer: String(made.body['key']) }));
  t.is(
    (await key('DELETE', `/v1/keys/${String(made.body['id'])}`)).body['code'],
    'last-administrator',
  );
  const gone = await key('DELETE', '/v1/operators/alice?ownIdentity=true');
  t.is(gone.body['code'], 'last-administrator');
});

test('of two administrators who remove each other at the same time, one remains', async (t) => {
  const service = await enrollService(t);
  const alice = await administrator(service, 'alice');
  const done = await Promise.all([
    service.asAdmin('DELETE', '/v1/devices/alice'),
    alice('DELETE', '/v1/devices/admin'),
  ]);
  t.is(done.filter(({ status }) => status === 200).length, 1, JSON.stringify(done));
});

test('a group with the caller in it is not revoked by accident', async (t) => {
  const service = await enrollService(t);
  await administrator(service, 'alice');
  await service.call({
    ...{ method: 'PATCH', path: '/v1/devices/admin', ...service.admin, body: { group: 'people' } },
  });
  const done = await service.asAdmin('POST', '/v1/groups/people/revoke', {});
  t.is(done.body['code'], 'own-identity');
});
