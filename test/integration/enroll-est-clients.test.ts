/**
 * What EST clients of devices need beyond the RFC: each test names the client and shows its behavior.
 */
import test from 'ava';
import { X509Certificate } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { connect as connectTls } from 'node:tls';
import { sequence } from '../../certs/der-encode.ts';
import { generateKeySync, privateKeyPem } from '../../certs/key.ts';
import { parseCertsOnly } from '../../certs/pkcs7.ts';
import { forgeRequest } from '../support/certs-forge-request.ts';
import { csrOf, enrollService, type TestService } from '../support/enroll-service.ts';
import { fakeClock } from '../support/fake-clock.ts';

const est = '/.well-known/est';
const pkcs10 = { 'content-type': 'application/pkcs10' };
const libest = { 'user-agent': 'libest 3.2.0p' };

function basic(user: string, password: string): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

test('libest gets base64 in lines, because OpenSSL cannot read longer ones; others get one line', async (t) => {
  const service = await enrollService(t);
  const { token } = await service.token('li-1');
  const { pem } = csrOf('li-1');
  const calls = [
    { method: 'GET', path: `${est}/cacerts`, headers: {} },
    { method: 'GET', path: `${est}/csrattrs`, headers: {} },
    {
      method: 'POST',
      path: `${est}/simpleenroll`,
      headers: { ...pkcs10, ...basic('li-1', token) },
    },
  ] as const;
  for (const { headers, ...call } of calls) {
    const body = call.method === 'POST' ? { body: pem } : {};
    const wrapped = await service.call({ ...call, ...body, headers: { ...headers, ...libest } });
    const single = await service.call({ ...call, ...body, headers });
    t.is(wrapped.status, 200, call.path);
    const lines = wrapped.body.toString().split('\n');
    t.is(lines.pop(), '', 'the last line ends with a line break');
    t.true(lines.every((line) => /^[A-Za-z0-9+/=]{1,64}$/.test(line)));
    t.is(lines.join(''), single.body.toString());
  }
});

test('Bouncy Castle gets the header that says base64, with every body that is base64', async (t) => {
  const service = await enrollService(t);
  const { token } = await service.token('bc-1');
  const { pem: body } = csrOf('bc-1');
  const answers = [
    await service.call({ method: 'GET', path: `${est}/cacerts` }),
    await service.call({ method: 'GET', path: `${est}/csrattrs` }),
    await service.call({
      method: 'POST',
      path: `${est}/simpleenroll`,
      headers: { ...pkcs10, ...basic('bc-1', token) },
      body,
    }),
  ];
  for (const { status, headers } of answers) {
    t.is(status, 200);
    t.is(headers['content-transfer-encoding'], 'base64');
  }
  const [first] = answers;
  t.is(parseCertsOnly(Buffer.from(first!.body.toString(), 'base64')).length, 2);
});

test('a 401 that asks for credentials is empty on EST paths; refused credentials have a reason', async (t) => {
  const service = await enrollService(t);
  const post = (path: string, headers: object = {}): ReturnType<TestService['call']> =>
    service.call({
      method: 'POST',
      path,
      headers: { ...pkcs10, ...headers },
      body: csrOf('bc-1').pem,
    });
  for (const operation of ['simpleenroll', 'default/simpleenroll']) {
    const challenge = await post(`${est}/${operation}`);
    t.is(challenge.status, 401, operation);
    t.regex(challenge.headers['www-authenticate'] ?? '', /^Basic realm=/);
    t.is(challenge.headers['content-length'], '0');
    t.is(challenge.headers['content-type'], undefined);
    t.is(challenge.body.length, 0);
  }
  const refused = await post(`${est}/simpleenroll`, basic('bc-1', 'wrong'));
  t.is(refused.status, 401);
  t.regex(refused.body.toString(), /token-invalid/);
  const renewal = await post(`${est}/default/simplereenroll`);
  t.is(renewal.status, 403, 'a password would not help');
  t.is(renewal.headers['www-authenticate'], undefined);
  t.regex(renewal.body.toString(), /client-certificate-required/);
  const api = await service.enroll('bc-1', csrOf('bc-1').pem);
  t.is(api.body['code'], 'credentials-required');
});

test('after an empty 401 the connection accepts the same request with credentials', async (t) => {
  const service = await enrollService(t);
  const { token } = await service.token('bc-2');
  const body = csrOf('bc-2').der.toString('base64');
  const { port } = service.service.addresses.https;
  const socket = connectTls({ port, host: '127.0.0.1', ca: service.ca, servername: 'localhost' });
  const request = (more: readonly string[]): string =>
    [
      `POST ${est}/simpleenroll HTTP/1.1`,
      'Host: localhost',
      'Content-Type: application/pkcs10',
      `Content-Length: ${body.length}`,
      ...more,
      '',
      body,
    ].join('\r\n');
  socket.write(request([]));
  const { authorization } = basic('bc-2', token);
  socket.write(request([`Authorization: ${authorization}`, 'Connection: close']));
  const answer = await text(socket);
  t.regex(answer, /^HTTP\/1.1 401 /);
  t.regex(
    answer,
    /\r\n\r\nHTTP\/1.1 200 /,
    'nothing between the head of the 401 and the next response',
  );
  t.regex(answer, /^Content-Transfer-Encoding: base64\r$/m);
});

test('with approvals, a client that waits for the challenge gets it if a token for its id is open', async (t) => {
  const clock = fakeClock(Date.now());
  const service = await enrollService(t, {
    clock,
    config: { enroll: { approval: { enabled: true }, tokenTtl: '1h' } },
  });
  const post = async (body: string, headers: object = {}): Promise<number> => {
    const answer = await service.call({
      method: 'POST',
      path: `${est}/simpleenroll`,
      headers: { ...pkcs10, ...headers },
      body,
    });
    return answer.status;
  };
  const { pem } = csrOf('ch-1');
  const { token } = await service.token('ch-1');
  t.is(await post(pem), 401, 'a token is open');
  t.is(await post(pem, basic('ch-1', token)), 200);
  t.is(await post(csrOf('ch-1').pem), 202, 'the token has been used');
  t.is(await post(csrOf('ch-2').pem), 202, 'no token for this id');
  await service.token('ch-3');
  clock.advance(3_600_000);
  t.is(await post(csrOf('ch-3').pem), 202, 'the token has expired');
});

test('a request that already waits for an operator is not asked for a token that comes later', async (t) => {
  const service = await enrollService(t, { config: { enroll: { approval: { enabled: true } } } });
  const { pem } = csrOf('ch-4');
  t.is((await service.enroll('ch-4', pem)).status, 202);
  await service.token('ch-4');
  t.is((await service.enroll('ch-4', pem)).status, 202, 'the same request');
  t.is((await service.enroll('ch-4', csrOf('ch-4').pem)).status, 401, 'another request');
});

test('the label at re-enrollment must be the profile of the device', async (t) => {
  const service = await enrollService(t, {
    config: { enroll: { profiles: { short: { validity: '1h' }, other: { validity: '2h' } } } },
  });
  const { token } = await service.token('la-1', { profile: 'short' });
  const { pem: body, key } = csrOf('la-1');
  const made = await service.call({
    method: 'POST',
    path: `${est}/short/simpleenroll`,
    headers: { ...pkcs10, ...basic('la-1', token) },
    body,
  });
  t.is(made.status, 200);
  const [der] = parseCertsOnly(Buffer.from(made.body.toString(), 'base64'));
  const credential = { cert: new X509Certificate(der!).toString(), key: privateKeyPem(key) };
  const renew = async (path: string): Promise<string> => {
    const answer = await service.call({
      method: 'POST',
      path: `${est}/${path}`,
      headers: pkcs10,
      body,
      ...credential,
    });
    return `${answer.status}${/profile-not-found/.exec(answer.body.toString())?.[0] ?? ''}`;
  };
  t.is(await renew('other/simplereenroll'), '404profile-not-found');
  t.is(await renew('default/simplereenroll'), '404profile-not-found');
  t.is(await renew('none/simplereenroll'), '404profile-not-found');
  t.is(await renew('short/simplereenroll'), '200');
  t.is(await renew('simplereenroll'), '200');
});

test('a request without a subject that enrolled a device renews it too', async (t) => {
  const service = await enrollService(t);
  const { token } = await service.token('no-cn');
  const key = generateKeySync('p256');
  const body = forgeRequest({ key, subject: sequence() });
  const post = (operation: string, more: object): ReturnType<TestService['call']> =>
    service.call({ method: 'POST', path: `${est}/${operation}`, headers: pkcs10, body, ...more });
  const made = await post('simpleenroll', { headers: { ...pkcs10, ...basic('no-cn', token) } });
  t.is(made.status, 200);
  const [der] = parseCertsOnly(Buffer.from(made.body.toString(), 'base64'));
  const credential = { cert: new X509Certificate(der!).toString(), key: privateKeyPem(key) };
  const renewed = await post('simplereenroll', credential);
  t.is(renewed.status, 200);
  const [next] = parseCertsOnly(Buffer.from(renewed.body.toString(), 'base64'));
  t.is(new X509Certificate(next!).subject, 'CN=no-cn');
});
