import test from 'ava';
import fc from 'fast-check';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { Agent } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { splitPem } from '../../certs/certificate.ts';
import { createCsr } from '../../certs/csr.ts';
import { generateKeySync, keyTypes } from '../../certs/key.ts';
import { pemOf } from '../../certs/pem.ts';
import { problemSchema } from '../../core/protocol/enrollment-api.ts';
import { csrOf, enrollService, replyOf, type TestService } from '../support/enroll-service.ts';
import { captureLog } from '../support/log-capture.ts';
import { until } from '../support/until.ts';

/** Sends bytes over TLS and reads until the server closes the connection. */
async function raw(service: TestService, text: string): Promise<string> {
  const { port } = service.service.addresses.https;
  const socket = connectTls({ port, host: '127.0.0.1', ca: service.ca });
  await once(socket, 'secureConnect');
  let answer = '';
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
  socket.on('error', () => undefined);
  socket.write(text);
  await once(socket, 'close');
  return answer;
}

test('a CSR with one changed byte results in a problem document; nothing is issued and nothing changes', async (t) => {
  const service = await enrollService(t, {
    config: {
      limits: { enroll: { failuresPerAddressPerMinute: 100_000 } },
      enroll: {
        profiles: {
          // Names are the part of a request that a hostile device could turn to account.
          machine: { serverNames: { dns: ['*.example'], ip: ['0.0.0.0/0'], uri: ['urn:*'] } },
        },
      },
    },
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  t.teardown(() => agent.destroy());
  for (const keyType of keyTypes) {
    const { token } = await service.token(keyType, { profile: 'machine' });
    const key = generateKeySync(keyType);
    const names = ['machine.example', '10.0.0.1', 'urn:machine'];
    const { der } = createCsr({ key, commonName: keyType, names });
    await fc.assert(
      fc.asyncProperty(
        fc.nat(der.length - 1),
        fc.integer({ min: 1, max: 255 }),
        async (at, change) => {
          const bytes = Buffer.from(der);
          bytes[at] = bytes[at]! ^ change;
          const reply = replyOf(
            await service.call({
              method: 'POST',
              path: '/v1/enroll',
              agent,
              bearer: token,
              body: { device: keyType, csr: bytes.toString('base64') },
            }),
          );
          return reply.status === 400 && problemSchema.safeParse(reply.body).success;
        },
      ),
      { numRuns: 40 },
    );
    t.is((await service.asAdmin('GET', `/v1/devices/${keyType}`)).status, 404);
    const right = await service.enroll(keyType, der.toString('base64'), token);
    t.is(right.status, 201, `${keyType}: the token is still good`);
  }
});

test('a request that is too large, of a wrong type, not JSON, or with unknown fields is refused with the matching status', async (t) => {
  const service = await enrollService(t);
  const { token } = await service.token('d1');
  const post = async (body: string, type = 'application/json'): Promise<string> => {
    const reply = replyOf(
      await service.call({
        method: 'POST',
        path: '/v1/enroll',
        headers: { 'content-type': type },
        body,
        bearer: token,
      }),
    );
    t.is(reply.headers['content-type'], 'application/problem+json');
    t.truthy(problemSchema.parse(reply.body).advice);
    return `${reply.status} ${String(reply.body['code'])}`;
  };
  const csr = csrOf('d1').pem;
  t.is(await post('x'.repeat(17_000)), '413 request-too-large');
  t.is(await post('{'), '400 request-invalid');
  t.is(await post('null'), '400 request-invalid');
  t.is(await post('{"__proto__":{"device":"d1"}}'), '400 request-invalid');
  t.is(await post(JSON.stringify({ device: 'd1', csr, role: 'admin' })), '400 request-invalid');
  t.is(await post(JSON.stringify({ device: '../x', csr })), '400 request-invalid');
  t.is(await post(JSON.stringify({ device: 'd1', csr }), 'text/xml'), '415 media-type-unsupported');
  t.is((await service.asAdmin('GET', '/v1/devices?limit=0')).status, 400);
  t.is((await service.asAdmin('GET', '/v1/devices?nonsense=1')).status, 400);
  t.is((await service.asAdmin('GET', '/v1/devices/a%2Fb')).status, 400);
  t.is((await service.asAdmin('GET', '/v1/devices/__proto__')).status, 400);
  t.is((await service.asAdmin('GET', '/v1/devices/constructor')).status, 404);
  t.is((await service.call({ method: 'DELETE', path: '/v1/enroll' })).status, 404);
  t.is((await service.enroll('d1', csr, token)).status, 201, 'the token is still good');
});

test('the service responds to data that is not HTTP, and to invalid paths and headers, and keeps running', async (t) => {
  const service = await enrollService(t);
  const nonsense = [
    'GET / HTTP/9.9\r\n\r\n',
    '\u0000\u0001\u0002\r\n\r\n',
    'GET /%zz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
    `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`,
    'GET /v1/devices/%00 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
    'POST /v1/enroll HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    `GET /v1/ca HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${'x'.repeat(5000)}\r\nconnection: close\r\n\r\n`,
    'GET /ocsp/%%% HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
  ];
  for (const text of nonsense) {
    t.regex(
      await raw(service, text),
      /^HTTP\/1\.1 (?:200|4\d\d) /,
      JSON.stringify(text.slice(0, 40)),
    );
  }
  t.is((await service.call({ method: 'GET', path: '/v1/ca' })).status, 200);
});

test('clients that are silent, slow or never finish the handshake are disconnected', async (t) => {
  const service = await enrollService(t, {
    config: {
      limits: {
        enroll: { handshakeTimeoutMs: 500, headersTimeoutMs: 500, requestTimeoutMs: 1000 },
      },
    },
  });
  const { port } = service.service.addresses.https;
  const silent = connectTcp(port, '127.0.0.1');
  silent.on('error', () => undefined);
  const slow = raw(service, 'GET /v1/ca HTTP/1.1\r\nhost: x\r\nx-slow: ');
  const idle = raw(
    service,
    'POST /v1/enroll HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
  );
  await Promise.all([once(silent, 'close'), slow, idle]);
  t.pass();
});

test('a thousand half-open connections do not prevent a device from enrolling', async (t) => {
  const service = await enrollService(t, {
    config: { limits: { enroll: { connectionsPerAddressMax: 1100 } } },
  });
  const { port } = service.service.addresses.https;
  const open: Socket[] = [];
  t.teardown(() => {
    for (const socket of open) socket.destroy();
  });
  for (let at = 0; at < 1000; at++) {
    const socket = connectTcp(port, '127.0.0.1');
    socket.on('error', () => undefined);
    open.push(socket);
  }
  await until('all are open', () => open.every((socket) => socket.readyState === 'open'));
  // The client's own timeout, 20 s, is the limit: how fast a loaded machine is proves nothing.
  const device = await service.device('d1');
  t.is(device.issued.device, 'd1' as never);
});

test('connections, requests and failures of one address are limited', async (t) => {
  const service = await enrollService(t, {
    config: {
      limits: {
        enroll: {
          connectionsPerAddressMax: 20,
          failuresPerAddressPerMinute: 5,
          enrollmentsPerDevicePerHour: 2,
        },
      },
    },
  });
  const { port } = service.service.addresses.https;
  const device = await service.device('d1');
  const renew = async (): Promise<number> =>
    (
      await service.call({
        method: 'POST',
        path: '/v1/renew',
        body: { csr: csrOf('d1').pem },
        ...device.credential,
      })
    ).status;
  t.is(await renew(), 201);
  t.is(await renew(), 429, 'per device');
  const open = Array.from({ length: 30 }, () => connectTcp(port, '127.0.0.1'));
  for (const socket of open) socket.on('error', () => undefined);
  await until(
    'those above the limit are closed',
    () => open.filter((one) => one.closed).length >= 10,
  );
  for (const socket of open) socket.destroy();
  await until('a connection is free', async () => {
    const answer = await service.call({ method: 'GET', path: '/v1/ca' }).catch(() => undefined);
    return answer?.status === 200;
  });
  const guess = async (): Promise<ReturnType<typeof replyOf>> =>
    service.enroll('x', csrOf('x').pem, 'A'.repeat(43));
  for (let at = 0; at < 5; at++) t.is((await guess()).status, 401);
  const last = await guess();
  t.is(last.status, 429);
  t.truthy(last.headers['retry-after']);
});

test('wrong tokens of one address do not exclude others behind it, and no secret of a URL is logged', async (t) => {
  const { log, text } = captureLog();
  const service = await enrollService(t, {
    log,
    config: { limits: { enroll: { failuresPerAddressPerMinute: 5 } } },
  });
  const statuses: number[] = [];
  for (let at = 0; at < 10; at++) {
    statuses.push((await service.enroll('x', csrOf('x').pem, 'A'.repeat(43))).status);
  }
  t.deepEqual(statuses.slice(0, 6), [401, 401, 401, 401, 401, 429]);
  t.is((await service.device('d1')).issued.device, 'd1' as never);
  t.is((await service.call({ method: 'GET', path: '/v1/ca' })).status, 200);
  await service.call({ method: 'GET', path: '/v1/nothing?token=s3cr3t-value' });
  t.false(text().includes('s3cr3t-value'));
  const { token } = await service.token('d2');
  for (const path of [`/v1/${token}`, `/v1/enroll/${token}/x`, `/flotilla_key_${token}`]) {
    t.is((await service.call({ method: 'GET', path })).status, 404, path);
  }
  t.false(text().includes(token));
});

test('a page of another site cannot use the certificate of an administrator', async (t) => {
  const service = await enrollService(t);
  await service.device('d1');
  const suspend = async (headers: Record<string, string>): Promise<number> =>
    (
      await service.call({
        method: 'POST',
        path: '/v1/devices/d1/suspend',
        ...service.admin,
        headers,
      })
    ).status;
  t.is(await suspend({ origin: 'https://evil.example' }), 403);
  t.is(await suspend({ 'sec-fetch-site': 'cross-site' }), 403);
  t.is(await suspend({ 'sec-fetch-site': 'same-site' }), 403);
  t.is((await service.asAdmin('GET', '/v1/devices/d1')).body['status'], 'active');
  t.is(await suspend({}), 200, 'programs send neither');
});

test('a client certificate with a wrong signature gets a reason, and a line in the log', async (t) => {
  const { log, lines } = captureLog();
  const service = await enrollService(t, { log });
  const { credential } = await service.device('pump-7');
  const [leaf = ''] = splitPem(credential.cert);
  const der = Buffer.from(new X509Certificate(leaf).raw);
  // The signature is at the end.
  der[der.length - 1] = (der[der.length - 1] ?? 0) ^ 1;
  const cert = pemOf('CERTIFICATE', der) + credential.cert.slice(leaf.length);
  const { port } = service.service.addresses.https;
  const { key } = credential;
  const socket = connectTls({ port, host: '127.0.0.1', ca: service.ca, cert, key });
  let answer = '';
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  socket.write('GET /v1/whoami HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  await once(socket, 'close');
  t.regex(answer, /^HTTP\/1\.1 403 /);
  t.regex(answer, /"code":"client-certificate-untrusted"/);
  t.notRegex(answer, /openssl|\.c:|routines/i);
  t.true(
    lines.some(
      ({ code, msg }) => code === 'client-certificate-untrusted' && msg === 'request refused',
    ),
  );
});

test('a path that is too long or cannot be decoded gets a problem document', async (t) => {
  const service = await enrollService(t);
  for (const [path, status, code] of [
    [`/v1/devices/${'a'.repeat(600)}`, 404, 'not-found'],
    ['/v1/devices/%zz', 400, 'request-invalid'],
  ] as const) {
    const { head, body } = parted(
      await raw(service, `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`),
    );
    t.regex(head, new RegExp(`^HTTP/1\\.1 ${status} `), path);
    t.regex(head, /application\/problem\+json/i, path);
    t.is(problemSchema.parse(JSON.parse(body)).code, code);
  }
});

function parted(answer: string): { head: string; body: string } {
  const at = answer.indexOf('\r\n\r\n');
  return { head: answer.slice(0, at), body: answer.slice(at + 4) };
}

test('texts that would change silently are refused: other encodings, __proto__, control characters', async (t) => {
  const service = await enrollService(t);
  await service.token('pump-7');
  await service.device('pump-8');
  const send = async (
    path: string,
    type: string,
    body: Buffer,
    method: 'POST' | 'PATCH' = 'POST',
  ) => {
    const { admin } = service;
    return replyOf(
      await service.call({ method, path, ...admin, body, headers: { 'content-type': type } }),
    );
  };
  const latin = Buffer.from('id,group\npump-9,Nürnberg\n', 'latin1');
  t.like(await send('/v1/devices/import', 'text/csv', latin), { status: 400 });
  t.like(
    await send(
      '/v1/devices/pump-8',
      'application/json',
      Buffer.from('{"group":"N\u00fc"}', 'latin1'),
      'PATCH',
    ),
    {
      status: 400,
    },
  );
  for (const body of [
    '{"attributes":{"__proto__":"x"}}',
    '{"attributes":{"\\u005f_proto__":"x"}}',
  ]) {
    const { status, body: problem } = await send(
      '/v1/devices/pump-8',
      'application/json',
      Buffer.from(body),
      'PATCH',
    );
    t.is(status, 400);
    t.regex(String(problem['detail']), /__proto__/);
  }
  const rows =
    '{"id":"a","attributes":{"__proto__":"x"}}\n{"id":"b","group":"\\u009b31m"}\n{"id":"c","group":"\\u202ex"}\n';
  const { body: imported } = await send(
    '/v1/devices/import',
    'application/x-ndjson',
    Buffer.from(rows),
  );
  t.like(imported, { created: 0 });
  t.is((imported['refused'] as object[]).length, 3);
  for (const change of [
    { group: 'a\u001b[2J' },
    { attributes: { '\u202e': 'x' } },
    { attributes: { a: '\n' } },
  ]) {
    t.is(
      (await service.asAdmin('PATCH', '/v1/devices/pump-8', change)).status,
      400,
      JSON.stringify(change),
    );
  }
});

test('a device with the name of a path can be shown', async (t) => {
  const service = await enrollService(t);
  await service.device('export');
  const { admin } = service;
  const path = '/v1/devices/export';
  const shown = replyOf(
    await service.call({ method: 'GET', path, ...admin, headers: { accept: 'application/json' } }),
  );
  t.like(shown, { status: 200, body: { id: 'export' } });
  const all = await service.call({ method: 'GET', path, ...admin });
  t.is(all.body.toString().trim().split('\n').length, 3);
});
