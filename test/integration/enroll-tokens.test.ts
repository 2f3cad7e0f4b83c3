import test from 'ava';
import { X509Certificate } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseDeviceId } from '../../core/device-id.ts';
import { problemSchema } from '../../core/protocol/enrollment-api.ts';
import { identityFiles } from '../../core/state-folder.ts';
import { verifyAudit } from '../../enroll/audit/audit-reader.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { csrOf, enrollService, replyOf } from '../support/enroll-service.ts';

test('a token yields one certificate, the same again for the same CSR, and 409 for another CSR', async (t) => {
  const service = await enrollService(t);
  const { token } = await service.token('d1');
  const mine = csrOf('d1');
  const first = await service.enroll('d1', mine.pem, token);
  const again = await service.enroll('d1', mine.pem, token);
  const thief = await service.enroll('d1', csrOf('d1').pem, token);
  t.is(first.status, 201);
  t.deepEqual(again.body, first.body);
  t.is(thief.status, 409);
  t.is(thief.headers['content-type'], 'application/problem+json');
  const problem = problemSchema.parse(thief.body);
  t.is(problem.type, 'urn:flotilla:error:token-used');
  t.truthy(problem.advice);
  const refused = (await service.audit()).find(({ action }) => action === 'token-refused');
  t.is(refused?.device, 'd1');
  const shown = await service.asAdmin('GET', '/v1/devices/d1');
  t.is((shown.body['certificates'] as unknown[]).length, 1);
  t.true((await verifyAudit(service.state.enroll.audit)).ok);
});

test('the same CSR gets no certificate when the replay time is over', async (t) => {
  const clock = fakeClock(Date.now());
  const service = await enrollService(t, { clock });
  const { token } = await service.token('d1');
  const { pem } = csrOf('d1');
  t.is((await service.enroll('d1', pem, token)).status, 201);
  clock.advance(16 * 60_000);
  t.is((await service.enroll('d1', pem, token)).status, 409);
});

test('twenty concurrent requests with one token get one certificate in total', async (t) => {
  const service = await enrollService(t);
  const { token } = await service.token('d1');
  const same = csrOf('d1').pem;
  const csrs = Array.from({ length: 20 }, (_none, at) => (at % 2 === 0 ? same : csrOf('d1').pem));
  const replies = await Promise.all(csrs.map((csr) => service.enroll('d1', csr, token)));
  const serials = new Set(
    replies.filter(({ status }) => status === 201).map(({ body }) => body['serial']),
  );
  t.is(serials.size, 1);
  const shown = await service.asAdmin('GET', '/v1/devices/d1');
  t.is((shown.body['certificates'] as unknown[]).length, 1);
});

test('a group token enrolls its number of new devices, and none that exists already', async (t) => {
  const service = await enrollService(t);
  await service.device('old');
  const made = await service.asAdmin('POST', '/v1/tokens/group', { group: 'hall', uses: 2 });
  t.is(made.status, 201);
  const token = String(made.body['token']);
  t.is((await service.enroll('old', csrOf('old').pem, token)).body['code'], 'device-exists');
  t.is((await service.enroll('a', csrOf('a').pem, token)).status, 201);
  t.is((await service.enroll('b', csrOf('b').pem, token)).status, 201);
  t.is((await service.enroll('c', csrOf('c').pem, token)).body['code'], 'token-used');
  const page = await service.asAdmin('GET', '/v1/devices?group=hall');
  t.deepEqual(
    (page.body['devices'] as { id: string }[]).map(({ id }) => id),
    ['a', 'b'],
  );
});

test('wrong, foreign, expired and malformed tokens are refused and nothing is issued', async (t) => {
  const clock = fakeClock(Date.now());
  const service = await enrollService(t, { clock });
  const { token } = await service.token('d1', { ttlSeconds: 60 });
  const { pem } = csrOf('d1');
  const code = async (device: string, csr: string, bearer?: string): Promise<unknown> =>
    (await service.enroll(device, csr, bearer)).body['code'];
  t.is(await code('d1', pem), 'credentials-required');
  t.is(await code('d1', pem, 'nonsense'), 'token-invalid');
  t.is(await code('d1', pem, 'A'.repeat(43)), 'token-invalid');
  t.is(await code('d2', csrOf('d2').pem, token), 'token-wrong-device');
  t.is(await code('d1', csrOf('d2').pem, token), 'csr-name-mismatch');
  t.is(await code('d1', 'nonsense', token), 'csr-malformed');
  clock.advance(61_000);
  t.is(await code('d1', pem, token), 'token-expired');
  t.is((await service.asAdmin('GET', '/v1/devices/d1')).status, 404);
});

test('an id that is too long for a common name is refused in every call', async (t) => {
  const service = await enrollService(t, { config: { enroll: { approval: { enabled: true } } } });
  const fits = `d${'x'.repeat(63)}`;
  const long = `d${'x'.repeat(64)}`;
  t.is((await service.device(fits)).issued.device, parseDeviceId(fits));
  const { pem } = csrOf(long);
  const token = await service.asAdmin('POST', '/v1/tokens', { device: long });
  t.is(token.status, 400);
  t.is(token.body['code'], 'device-id-too-long');
  const group = await service.asAdmin('POST', '/v1/tokens/group', { group: 'hall', uses: 9 });
  const byGroup = await service.enroll(long, pem, String(group.body['token']));
  t.is(byGroup.body['code'], 'device-id-too-long');
  t.is((await service.enroll(long, pem)).body['code'], 'device-id-too-long');
  t.deepEqual((await service.asAdmin('GET', '/v1/requests')).body['requests'], []);
  const backend = await service.asAdmin('POST', '/v1/services', {
    name: long,
    role: 'service',
    csr: pem,
  });
  t.is(backend.body['code'], 'device-id-too-long');
  const imported = await service.call({
    method: 'POST',
    path: '/v1/devices/import',
    ...service.admin,
    headers: { 'content-type': 'text/csv' },
    body: `id\n${long}\n`,
  });
  t.regex(imported.body.toString(), /"refused":\[\{"line":2,"reason":"the id has more than 64/);
  t.is((await service.asAdmin('GET', `/v1/devices/${long}`)).status, 404);
});

test('neither a token nor a CA key is stored in clear text on the disk or in the log', async (t) => {
  const service = await enrollService(t);
  const { token } = await service.token('d1');
  await service.enroll('d1', csrOf('d1').pem, token);
  await service.service.close();
  const texts: string[] = [];
  for (const entry of await readdir(service.state.root, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) texts.push(await readFile(join(entry.parentPath, entry.name), 'utf8'));
  }
  t.true(texts.length > 10);
  t.false(texts.some((text) => text.includes(token)));
  const open = texts.filter((text) => text.includes('BEGIN PRIVATE KEY'));
  // The keys of the server, the administrator and the broker, but none of the CA.
  t.is(new Set(open).size, 3);
  t.regex(await readFile(service.state.ca.issuerKey, 'utf8'), /BEGIN ENCRYPTED PRIVATE KEY/);
});

test('a key that another identity uses, or that is compromised, is refused', async (t) => {
  const service = await enrollService(t);
  const shared = csrOf('d1');
  const first = await service.token('d1');
  t.is((await service.enroll('d1', shared.pem, first.token)).status, 201);
  const { createCsr } = await import('../../certs/csr.ts');
  const copied = createCsr({ key: shared.key, commonName: 'd2' }).pem;
  const second = await service.token('d2');
  t.is((await service.enroll('d2', copied, second.token)).body['code'], 'key-in-use');
  await service.asAdmin('POST', '/v1/devices/d1/revoke', { reason: 'keyCompromise' });
  await service.asAdmin('DELETE', '/v1/devices/d1');
  t.is((await service.enroll('d2', copied, second.token)).body['code'], 'key-blocked');
});

test('a second start finds everything, and replaces nothing', async (t) => {
  const service = await enrollService(t);
  const device = await service.device('d1');
  const admin = await readFile(identityFiles(service.state.admin).cert, 'utf8');
  const again = await service.restart();
  t.is(again.service.ca.fingerprint, service.service.ca.fingerprint);
  t.is(await readFile(identityFiles(again.state.admin).cert, 'utf8'), admin);
  const who = replyOf(
    await again.call({ method: 'GET', path: '/v1/whoami', ...device.credential }),
  );
  t.is(who.body['id'], 'd1');
  t.is(new X509Certificate(device.issued.certificate).subject, 'CN=d1');
});
