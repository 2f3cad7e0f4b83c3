import test from 'ava';
import { createHmac } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { Agent, createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { Authority, createRoot } from '../../certs/authority.ts';
import { generateKeySync, privateKeyPem, spkiOf } from '../../certs/key.ts';
import { subjectNamesOf } from '../../certs/subject-names.ts';
import { systemClock } from '../../core/clock.ts';
import { foreignCertificate } from '../support/certs-foreign-path.ts';
import type { replyOf } from '../support/enroll-service.ts';
import {
  csrOf,
  enrollService,
  type Credential,
  type TestService,
} from '../support/enroll-service.ts';
import { enrollWith, factoryCa } from '../support/factory.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { until } from '../support/until.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('a factory certificate enrolls its own device, and allows nothing else', async (t) => {
  const service = await enrollService(t);
  const factory = factoryCa();
  const own = factory.device('f1');
  const { pem } = csrOf('f1');
  t.is((await enrollWith(service, 'f1', own, pem)).body['code'], 'credentials-required');
  const added = await service.asAdmin('POST', '/v1/factories', {
    name: 'maker',
    certificate: factory.pem,
    group: 'made',
  });
  t.is(added.status, 201);
  const first = await enrollWith(service, 'f1', own, pem);
  t.is(first.status, 201, JSON.stringify(first.body));
  t.deepEqual((await enrollWith(service, 'f1', own, pem)).body, first.body);
  t.is((await service.asAdmin('GET', '/v1/devices/f1')).body['group'], 'made');
  t.is((await enrollWith(service, 'f2', own)).body['code'], 'factory-certificate-refused');
  const who = await service.call({
    method: 'GET',
    path: '/v1/whoami',
    cert: own.cert,
    key: own.key,
  });
  t.is(who.status, 403);
  const est = await service.call({
    method: 'POST',
    path: '/.well-known/est/simpleenroll',
    headers: { 'content-type': 'application/pkcs10' },
    body: csrOf('f3').pem,
    ...factory.device('f3'),
  });
  t.is(est.status, 200);
  // After a revocation by an operator, the factory certificate does not enroll the device again.
  await service.asAdmin('POST', '/v1/devices/f1/revoke', {});
  t.is((await enrollWith(service, 'f1', own)).body['code'], 'device-revoked');
  t.is((await service.asAdmin('DELETE', '/v1/factories/maker')).status, 204);
  t.is(
    (await enrollWith(service, 'f4', factory.device('f4'))).body['code'],
    'credentials-required',
  );
});

test('the request of a device that was deleted or revoked is never answered with its former certificate', async (t) => {
  const service = await enrollService(t);
  const factory = factoryCa();
  const added = { name: 'maker', certificate: factory.pem };
  t.is((await service.asAdmin('POST', '/v1/factories', added)).status, 201);
  const { pem } = csrOf('f1');
  const own = factory.device('f1');
  const first = await enrollWith(service, 'f1', own, pem);
  t.is((await service.asAdmin('DELETE', '/v1/devices/f1')).status, 200);
  const second = await enrollWith(service, 'f1', own, pem);
  t.is(second.status, 201, JSON.stringify(second.body));
  t.not(second.body['serial'], first.body['serial']);
  const shown = await service.asAdmin('GET', '/v1/devices/f1');
  t.like(shown.body, { status: 'active' });
  t.is((shown.body['certificates'] as unknown[]).length, 1);
  await service.asAdmin('POST', '/v1/devices/f1/revoke', {});
  t.is((await enrollWith(service, 'f1', own, pem)).body['code'], 'device-revoked');
});

test('foreign, expired and unlisted factory certificates are refused', async (t) => {
  const clock = fakeClock(Date.now());
  const service = await enrollService(t, { clock });
  const factory = factoryCa();
  const listed = factory.device('by-serial');
  await service.asAdmin('POST', '/v1/factories', {
    name: 'maker',
    certificate: factory.pem,
    allowed: [listed.serial, 'by-name', 'old'],
  });
  t.is((await enrollWith(service, 'by-serial', listed)).status, 201);
  t.is((await enrollWith(service, 'by-name', factory.device('by-name'))).status, 201);
  t.is(
    (await enrollWith(service, 'x', factory.device('x'))).body['code'],
    'factory-certificate-refused',
  );
  t.is(
    (await enrollWith(service, 'by-name', factoryCa().device('by-name'))).body['code'],
    'credentials-required',
  );
  const old = factory.device('old', 60_000);
  clock.advance(600_000);
  t.is((await enrollWith(service, 'old', old)).body['code'], 'factory-certificate-refused');
  t.is((await service.asAdmin('GET', '/v1/devices/old')).status, 404);
  const leaf = await service.asAdmin('POST', '/v1/factories', {
    name: 'bad',
    certificate: old.cert,
  });
  t.is(leaf.body['code'], 'factory-invalid');
});

test('a device sends the CAs between its factory certificate and the registered one', async (t) => {
  const service = await enrollService(t);
  const root = await foreignCertificate({ name: 'Maker root', ca: {} });
  const region = await foreignCertificate({ name: 'Maker region', by: root, ca: {} });
  const plant = await foreignCertificate({ name: 'Maker plant', by: region, ca: {} });
  await service.asAdmin('POST', '/v1/factories', { name: 'maker', certificate: root.pem });
  const deviceOf = async (name: string, ...above: { pem: string }[]): Promise<Credential> => {
    const leaf = await foreignCertificate({ name, by: plant });
    const cert = [leaf, ...above].map(({ pem }) => pem).join('');
    return { cert, key: privateKeyPem(leaf.key) };
  };
  const whole = await deviceOf('f1', plant, region);
  t.is((await enrollWith(service, 'f1', whole)).status, 201);
  const est = await service.call({
    method: 'POST',
    path: '/.well-known/est/simpleenroll',
    headers: { 'content-type': 'application/pkcs10' },
    body: csrOf('f2').pem,
    ...(await deviceOf('f2', plant, region, root)),
  });
  t.is(est.status, 200);
  const code = async (name: string, credential: Credential): Promise<unknown> =>
    (await enrollWith(service, name, credential)).body['code'];
  t.is(await code('f3', await deviceOf('f3')), 'credentials-required', 'nothing between');
  t.is(await code('f4', await deviceOf('f4', plant)), 'credentials-required', 'a gap');
  // An attacker can copy the name and key identifier of the plant, but not its key.
  const key = generateKeySync('p256');
  const liar = await foreignCertificate({ name: 'f5', by: { name: 'Maker plant', key } });
  const forged = { cert: liar.pem + plant.pem + region.pem, key: privateKeyPem(liar.key) };
  t.is(await code('f5', forged), 'factory-certificate-refused');
  // The plant's CA is not a device, whatever its name.
  const itself = { cert: plant.pem + region.pem, key: privateKeyPem(plant.key) };
  t.is(await code('Maker-plant', itself), 'factory-certificate-refused');
  const both = await service.asAdmin('POST', '/v1/factories', {
    name: 'both',
    certificate: root.pem + region.pem,
  });
  t.is(both.body['code'], 'factory-invalid');
});

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a factory certificate is also accepted in a resumed session of ${maxVersion}, and its path is verified again`, async (t) => {
    const clock = fakeClock(Date.now());
    const service = await enrollService(t, { clock });
    const root = await foreignCertificate({ name: 'Maker root', ca: {} });
    const plant = await foreignCertificate({ name: 'Maker plant', by: root, ca: {} });
    await service.asAdmin('POST', '/v1/factories', { name: 'maker', certificate: root.pem });
    const leaf = await foreignCertificate({ name: 'f1', by: plant });
    const agent = new Agent({
      ca: service.ca,
      cert: leaf.pem + plant.pem,
      key: privateKeyPem(leaf.key),
      maxVersion,
    });
    t.teardown(() => agent.destroy());
    const seen: boolean[] = [];
    const enroll = (csr: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const call = request(`${service.url}/v1/enroll`, { method: 'POST', agent }, (response) => {
          seen.push((call.socket as TLSSocket).isSessionReused());
          let text = '';
          response.on('data', (chunk: Buffer) => (text += chunk.toString()));
          response.on('end', () => resolve(text));
        });
        call.on('error', reject);
        call.setHeader('content-type', 'application/json');
        call.end(JSON.stringify({ device: 'f1', csr }));
      });
    const { pem } = csrOf('f1');
    const first = await enroll(pem);
    t.regex(first, /"chain"/);
    t.is(await enroll(pem), first);
    clock.advance(2 * 3_600_000);
    t.regex(await enroll(csrOf('f1').pem), /factory-certificate-refused/);
    t.deepEqual(seen, [false, true, true]);
  });
}

test('without a token a device waits for an operator; the same request is one request', async (t) => {
  const service = await enrollService(t, {
    config: { enroll: { approval: { enabled: true, retryAfter: '7s' } } },
  });
  const { pem, der } = csrOf('w1');
  const first = await service.enroll('w1', pem);
  t.is(first.status, 202);
  t.is(first.headers['retry-after'], '7');
  t.deepEqual((await service.enroll('w1', pem)).body, first.body);
  const est = await service.call({
    method: 'POST',
    path: '/.well-known/est/simpleenroll',
    headers: { 'content-type': 'application/pkcs10' },
    body: der.toString('base64'),
  });
  t.is(est.status, 202);
  t.is(est.headers['retry-after'], '7');
  const list = await service.asAdmin('GET', '/v1/requests');
  const requests = list.body['requests'] as Record<string, string>[];
  t.is(requests.length, 1);
  t.is(requests[0]!['device'], 'w1');
  t.is(requests[0]!['remoteAddress'], '127.0.0.1');
  t.regex(requests[0]!['fingerprint']!, /^sha256:[0-9a-f]{64}$/);
  const id = requests[0]!['id']!;
  t.is((await service.asAdmin('POST', `/v1/requests/${id}/approve`, { group: 'g' })).status, 200);
  const issued = await service.enroll('w1', pem);
  t.is(issued.status, 201);
  t.deepEqual((await service.enroll('w1', pem)).body, issued.body);
  t.is((await service.asAdmin('GET', '/v1/devices/w1')).body['group'], 'g');
  t.deepEqual((await service.asAdmin('GET', '/v1/requests')).body['requests'], []);

  const other = csrOf('w2').pem;
  const waiting = await service.enroll('w2', other);
  await service.asAdmin('POST', `/v1/requests/${String(waiting.body['request'])}/deny`, {});
  t.is((await service.enroll('w2', other)).body['code'], 'enrollment-denied');
  t.is((await service.asAdmin('POST', `/v1/requests/${'0'.repeat(32)}/approve`, {})).status, 404);
});

test('a request expires; the queue is limited; a rule approves without an operator', async (t) => {
  const clock = fakeClock(Date.now());
  const service = await enrollService(t, {
    clock,
    config: {
      limits: { enroll: { requestsPendingMax: 2 } },
      enroll: {
        approval: {
          enabled: true,
          expiry: '1h',
          autoApprove: [
            {},
            { idPrefix: 'auto-', addresses: ['127.0.0.0/8'] },
            { idPrefix: 'far-', addresses: ['10.0.0.0/8'] },
          ],
        },
      },
    },
  });
  t.is((await service.enroll('auto-1', csrOf('auto-1').pem)).status, 201);
  t.is((await service.enroll('auto-1', csrOf('auto-1').pem)).status, 202, 'it exists now');
  t.is((await service.enroll('far-1', csrOf('far-1').pem)).status, 202);
  t.is((await service.enroll('w3', csrOf('w3').pem)).status, 429);
  const [first] = (await service.asAdmin('GET', '/v1/requests')).body['requests'] as {
    id: string;
  }[];
  clock.advance(3_600_001);
  t.deepEqual((await service.asAdmin('GET', '/v1/requests')).body['requests'], []);
  t.is((await service.asAdmin('POST', `/v1/requests/${first!.id}/approve`, {})).status, 404);
  await until('housekeeping makes room', async () => {
    clock.advance(60_000);
    const { status } = await service.enroll('w3', csrOf('w3').pem);
    return status === 202;
  });
  t.pass();
});

test('the veto hook gets a signed request, may refuse and add; the configuration decides about timeouts', async (t) => {
  const secret = 's'.repeat(40);
  const folder = tempFolder(t);
  const key = generateKeySync('p256');
  const root = createRoot({ commonName: 'Hook', validityMs: 9e10, key, clock: systemClock });
  const own = generateKeySync('p256');
  const leaf = new Authority({ key, certificate: root.pem, clock: systemClock }).issue({
    spki: spkiOf(own),
    profile: 'server',
    commonName: 'hook',
    names: subjectNamesOf(['127.0.0.1']),
    validityMs: 9e9,
  });
  await writeFile(join(folder, 'ca.pem'), root.pem);
  await writeFile(join(folder, 'secret'), secret, { mode: 0o600 });
  const questions: Record<string, string>[] = [];
  const hook = createServer({ key: privateKeyPem(own), cert: leaf.pem }, (request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const signature = String(request.headers['x-flotilla-signature']);
      const [, seconds, mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(signature) ?? [];
      t.is(mac, createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex'));
      const question = JSON.parse(body) as Record<string, string>;
      questions.push(question);
      if (question['device'] === 'silent') return;
      if (question['device'] === 'broken') response.writeHead(500);
      response.end(
        JSON.stringify(
          question['device'] === 'bad'
            ? { allow: false, reason: 'stolen from the lorry' }
            : { allow: true, group: 'hooked', attributes: { order: '4711' } },
        ),
      );
    });
  });
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    hook.closeAllConnections();
    hook.close();
  });
  const url = `https://127.0.0.1:${(hook.address() as AddressInfo).port}/veto`;
  const settings = {
    url,
    caFile: join(folder, 'ca.pem'),
    secretFile: join(folder, 'secret'),
    timeout: '10s',
  };
  const service = await enrollService(t, { config: { enroll: { hook: settings } } });
  const enroll = async (on: TestService, id: string): Promise<ReturnType<typeof replyOf>> =>
    on.enroll(id, csrOf(id).pem, (await on.token(id)).token);
  t.is((await enroll(service, 'good')).status, 201);
  const shown = await service.asAdmin('GET', '/v1/devices/good');
  t.is(shown.body['group'], 'hooked');
  t.deepEqual(shown.body['attributes'], { order: '4711' });
  t.is(questions[0]!['way'], 'token');
  const refused = await enroll(service, 'bad');
  t.is(refused.body['code'], 'hook-refused');
  t.is(refused.body['detail'], 'stolen from the lorry');
  t.is((await enroll(service, 'silent')).body['code'], 'hook-failed');
  t.is((await enroll(service, 'broken')).body['code'], 'hook-failed');
  t.is((await service.asAdmin('GET', '/v1/devices/silent')).status, 404);
  const lenient = await enrollService(t, {
    config: { enroll: { hook: { ...settings, onFailure: 'allow' } } },
  });
  t.is((await enroll(lenient, 'broken')).status, 201);
  t.is((await enroll(lenient, 'bad')).body['code'], 'hook-refused');
});
