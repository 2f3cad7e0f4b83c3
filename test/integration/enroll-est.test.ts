import test from 'ava';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { connect as connectTls } from 'node:tls';
import { readCertificate } from '../../certs/certificate.ts';
import { createCsr } from '../../certs/csr.ts';
import { generateKeySync, keyTypes, privateKeyPem } from '../../certs/key.ts';
import { parseCertsOnly } from '../../certs/pkcs7.ts';
import { runChild } from '../support/child.ts';
import { debianTool } from '../support/debian-tool.ts';
import { csrOf, enrollService, type TestService } from '../support/enroll-service.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { tempFolder } from '../support/temp-folder.ts';

const pkcs10 = { 'content-type': 'application/pkcs10' };

function basic(user: string, password: string): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

function certificateIn(body: Buffer): X509Certificate {
  const text = body.toString('latin1');
  const [der, ...more] = parseCertsOnly(Buffer.from(text, 'base64'));
  if (der === undefined || more.length > 0 || /\s/.test(text))
    throw new Error('not one certificate');
  return new X509Certificate(der);
}

test('cacerts returns root and issuer in one line of base64, with the exact media type', async (t) => {
  const service = await enrollService(t);
  const answer = await service.call({ method: 'GET', path: '/.well-known/est/cacerts' });
  t.is(answer.status, 200);
  t.is(answer.headers['content-type'], 'application/pkcs7-mime; smime-type=certs-only');
  t.notRegex(answer.body.toString(), /\s/);
  const found = parseCertsOnly(Buffer.from(answer.body.toString(), 'base64'));
  t.is(found.length, 2);
  t.true(found.some((der) => readCertificate(der).fingerprint === service.service.ca.fingerprint));
});

test('simpleenroll accepts PEM, and base64 with and without line breaks, for every type of key', async (t) => {
  const service = await enrollService(t);
  for (const [at, keyType] of keyTypes.filter((type) => type !== 'rsa4096').entries()) {
    const id = `e${at}`;
    const { token } = await service.token(id);
    const { der, pem } = csrOf(id, keyType);
    const base64 = der.toString('base64');
    const body = [pem, base64, base64.replaceAll(/.{64}/g, '$&\r\n'), der][at % 4]!;
    const answer = await service.call({
      method: 'POST',
      path: '/.well-known/est/simpleenroll',
      headers: { ...pkcs10, ...basic(id, token) },
      body,
    });
    t.is(answer.status, 200, keyType);
    t.is(answer.headers['content-type'], 'application/pkcs7-mime; smime-type=certs-only');
    t.is(certificateIn(answer.body).subject, `CN=${id}`);
  }
});

test('simpleenroll refuses invalid requests, with the header that asks for credentials', async (t) => {
  const service = await enrollService(t);
  const { token } = await service.token('d1');
  const post = async (headers: Record<string, string>, body: string | Buffer): Promise<string> => {
    const answer = await service.call({
      method: 'POST',
      path: '/.well-known/est/simpleenroll',
      headers,
      body,
    });
    if (answer.status === 401) t.regex(answer.headers['www-authenticate'] ?? '', /^Basic realm=/);
    if (answer.body.length === 0) return `${answer.status}`;
    return `${answer.status} ${(JSON.parse(answer.body.toString()) as { code: string }).code}`;
  };
  const { pem } = csrOf('d1');
  t.is(await post(pkcs10, pem), '401');
  t.is(await post({ ...pkcs10, ...basic('d1', 'wrong') }, pem), '401 token-invalid');
  t.is(await post({ ...pkcs10, ...basic('d2', token) }, csrOf('d2').pem), '403 token-wrong-device');
  t.is(await post({ ...pkcs10, ...basic('d 1', token) }, pem), '400 device-id-invalid');
  t.is(await post({ ...pkcs10, ...basic('', token) }, csrOf('d2').pem), '403 token-wrong-device');
  t.is(
    await post({ 'content-type': 'text/plain', ...basic('d1', token) }, pem),
    '415 media-type-unsupported',
  );
  t.is(
    await post({ ...pkcs10, ...basic('d1', token) }, 'x'.repeat(20_000)),
    '413 request-too-large',
  );
  t.is((await service.asAdmin('GET', '/v1/devices/d1')).status, 404);
});

test('simplereenroll keeps the names, with a new key or the same', async (t) => {
  const service = await enrollService(t);
  const device = await service.device('d1');
  const reenroll = (body: string): ReturnType<TestService['call']> =>
    service.call({
      method: 'POST',
      path: '/.well-known/est/simplereenroll',
      headers: pkcs10,
      body,
      ...device.credential,
    });
  const same = await reenroll(device.csr);
  t.is(same.status, 200);
  t.not(certificateIn(same.body).serialNumber.toLowerCase(), device.issued.serial);
  t.is((await reenroll(csrOf('d1').pem)).status, 200);
  const other = await reenroll(csrOf('d2').pem);
  t.is(other.status, 400);
  const anonymous = await service.call({
    method: 'POST',
    path: '/.well-known/est/simplereenroll',
    headers: pkcs10,
    body: device.csr,
  });
  t.is(anonymous.status, 403);
});

test('the label of an EST path is the enrollment profile', async (t) => {
  const service = await enrollService(t, {
    config: {
      enroll: {
        profiles: {
          short: { validity: '1h', keyTypes: ['p384'], group: 'shorts', attributes: { a: 'b' } },
        },
      },
    },
  });
  const { token } = await service.token('d1');
  const post = (label: string, body: string): ReturnType<TestService['call']> =>
    service.call({
      method: 'POST',
      path: `/.well-known/est/${label}/simpleenroll`,
      headers: { ...pkcs10, ...basic('d1', token) },
      body,
    });
  t.is((await post('none', csrOf('d1').pem)).status, 404);
  t.is((await post('short', csrOf('d1').pem)).status, 400);
  const answer = await post('short', csrOf('d1', 'p384').pem);
  t.is(answer.status, 200);
  const { validToDate, validFromDate } = certificateIn(answer.body);
  t.true(validToDate.getTime() - validFromDate.getTime() <= 3_900_000);
  const shown = await service.asAdmin('GET', '/v1/devices/d1');
  t.is(shown.body['group'], 'shorts');
  t.deepEqual(shown.body['attributes'], { a: 'b' });
});

test('csrattrs is served; serverkeygen and fullcmc are refused with a reason', async (t) => {
  const service = await enrollService(t);
  const attributes = await service.call({ method: 'GET', path: '/.well-known/est/csrattrs' });
  t.is(attributes.headers['content-type'], 'application/csrattrs');
  t.is(Buffer.from(attributes.body.toString(), 'base64')[0], 0x30);
  for (const name of ['serverkeygen', 'fullcmc']) {
    const answer = await service.call({
      method: 'POST',
      path: `/.well-known/est/${name}`,
      headers: pkcs10,
      body: 'x',
    });
    t.is(answer.status, 501);
    t.regex(answer.body.toString(), /operation-refused/);
  }
});

test('an expired certificate may renew within the grace period, and nothing else', async (t) => {
  const clock = fakeClock(Date.now());
  const service = await enrollService(t, {
    clock,
    config: { enroll: { certificateValidity: '1h', renewGrace: '1d' } },
  });
  const device = await service.device('d1');
  clock.advance(2 * 3_600_000);
  const who = await service.call({ method: 'GET', path: '/v1/whoami', ...device.credential });
  t.is(who.status, 403);
  t.regex(who.body.toString(), /client-certificate-expired/);
  const renew = (): ReturnType<TestService['call']> =>
    service.call({
      method: 'POST',
      path: '/.well-known/est/simplereenroll',
      headers: pkcs10,
      body: device.csr,
      ...device.credential,
    });
  t.is((await renew()).status, 200);
  clock.advance(25 * 3_600_000);
  t.is((await renew()).status, 403);
});

test("strongSwan's pki enrolls, re-enrolls and fetches the CA", async (t) => {
  const pki = debianTool(t, 'pki');
  if (pki === undefined) return;
  const service = await enrollService(t);
  const folder = join(tempFolder(t), 'pki');
  await mkdir(folder);
  const at = (name: string): string => join(folder, name);
  const certificates = service.ca.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----\n/g) ?? [];
  await writeFile(at('root.pem'), certificates[0]!);
  const { token } = await service.token('swan');
  const { key, der } = csrOf('swan');
  await writeFile(at('key.pem'), privateKeyPem(key));
  await writeFile(at('req.der'), der);
  const url = service.url.replace('127.0.0.1', 'localhost');
  const estca = await runChild(t, pki, [
    ...['--estca', '--url', url, '--cacert', at('root.pem')],
    ...['--caout', at('ca.pem'), '--outform', 'pem'],
  ]);
  t.is(estca.code, 0, estca.stderr);
  const enrolled = await runChild(t, pki, [
    ...['--est', '--in', at('req.der'), '--url', url, '--cacert', at('root.pem')],
    ...['--cacert', at('ca-1.pem'), '--userpass', `swan:${token}`, '--outform', 'pem'],
  ]);
  t.is(enrolled.code, 0, enrolled.stderr);
  t.is(new X509Certificate(enrolled.stdout).subject, 'CN=swan');
  await writeFile(at('cert.pem'), enrolled.stdout);
  const renewed = await runChild(t, pki, [
    ...['--est', '--in', at('req.der'), '--url', url, '--cacert', at('root.pem')],
    ...[
      '--cacert',
      at('ca-1.pem'),
      '--cert',
      at('cert.pem'),
      '--key',
      at('key.pem'),
      '--outform',
      'pem',
    ],
  ]);
  t.is(renewed.code, 0, renewed.stderr);
  t.not(
    new X509Certificate(renewed.stdout).serialNumber,
    new X509Certificate(enrolled.stdout).serialNumber,
  );
  t.truthy(await readFile(at('ca.pem'), 'utf8'));
});

test('a device whose id has colons enrolls with user and password', async (t) => {
  const service = await enrollService(t);
  const id = '02:00:5E:10:00:01';
  const { token } = await service.token(id);
  const answer = await service.call({
    method: 'POST',
    path: '/.well-known/est/simpleenroll',
    headers: { ...pkcs10, ...basic(id, token) },
    body: csrOf(id).pem,
  });
  t.is(answer.status, 200);
  t.is(certificateIn(answer.body).subject, `CN=${id}`);
});

test('the request that enrolled a device renews it too, even if it has the id as a DNS name', async (t) => {
  const service = await enrollService(t);
  const { token } = await service.token('Cam-1');
  const key = generateKeySync('p256');
  const request = (names: readonly string[]): string =>
    createCsr({ key, commonName: 'Cam-1', names }).pem;
  const post = (operation: string, body: string, more: object): ReturnType<TestService['call']> =>
    service.call({
      method: 'POST',
      path: `/.well-known/est/${operation}`,
      headers: pkcs10,
      body,
      ...more,
    });
  const made = await post('simpleenroll', request(['cam-1']), {
    headers: { ...pkcs10, ...basic('Cam-1', token) },
  });
  t.is(made.status, 200);
  const credential = { cert: certificateIn(made.body).toString(), key: privateKeyPem(key) };
  const renewed = await post('simplereenroll', request(['cam-1']), credential);
  t.is(renewed.status, 200);
  t.is(certificateIn(renewed.body).subjectAltName, undefined);
  t.is((await post('simplereenroll', request(['cam-2']), credential)).status, 400);
  t.is((await post('simplereenroll', request(['10.0.0.1']), credential)).status, 400);
});

test('header names are written as in RFC 7030, for clients that compare bytes', async (t) => {
  const service = await enrollService(t);
  const { port } = service.service.addresses.https;
  const headers = async (request: string): Promise<string> => {
    const socket = connectTls({ port, host: '127.0.0.1', ca: service.ca, servername: 'localhost' });
    socket.end(`${request}\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    const answer = await text(socket);
    return answer.slice(0, answer.indexOf('\r\n\r\n') + 2);
  };
  const cacerts = await headers('GET /.well-known/est/cacerts HTTP/1.1');
  t.regex(cacerts, /^Content-Type: /m);
  t.regex(cacerts, /^Content-Length: /m);
  t.notRegex(cacerts, /^[a-z]/m);
  const refused = await headers(
    'POST /.well-known/est/simpleenroll HTTP/1.1\r\nContent-Type: application/pkcs10\r\nContent-Length: 0',
  );
  t.regex(refused, /^WWW-Authenticate: Basic /m);
  t.notRegex(refused, /^[a-z]/m);
  t.regex(await headers('not HTTP'), /^Content-Type: /m);
});
