/** The HTTPS client against real servers, honest, broken and hostile. @module */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type ServerOptions } from 'node:https';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import type { ErrorCode } from '../../../../core/errors/catalogue.ts';
import { FlotillaError } from '../../../../core/errors/flotilla-error.ts';
import { enrollmentAgent } from '../../../../core/protocol/enrollment-agent.ts';
import {
  responseMaxBytes,
  callHttps,
  callJson,
  fetchPinnedCa,
  openHttps,
  type Call,
} from '../../../../core/protocol/https-client.ts';
import { spawnChild } from '../../../support/child.ts';
import { debianTool } from '../../../support/debian-tool.ts';
import { tempFolder } from '../../../support/temp-folder.ts';
import { testCa } from '../../../support/test-ca.ts';

const ours = testCa('Ours');
const theirs = testCa('Theirs');
const identity = ours.issue({
  profile: 'server',
  commonName: 'enrollment',
  names: ['localhost', '127.0.0.1'],
});

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function serve(
  t: ExecutionContext,
  handler: Handler,
  options: ServerOptions = {},
): Promise<string> {
  const server = createServer({ key: identity.key, cert: identity.cert, ...options }, handler);
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const get = (url: string, more: Partial<Call> = {}): Call => ({
  method: 'GET',
  url,
  ca: ours.ca,
  ...more,
});

async function refused(
  t: ExecutionContext,
  code: ErrorCode,
  promise: Promise<unknown>,
): Promise<FlotillaError> {
  const error = await t.throwsAsync(promise, { instanceOf: FlotillaError });
  t.is(error.code, code, `${error.message} ${String(error.cause)}`);
  return error;
}

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Handler =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };

test('a call sends method, bearer token, headers and JSON, and validates the JSON response', async (t) => {
  const url = await serve(t, (request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const { method, headers } = request;
      json(200, { method, headers, body })(request, response);
    });
  });
  const answer = await callJson(
    get(`${url}/x`, {
      method: 'POST',
      bearer: 'tok',
      headers: { 'x-more': 'yes' },
      body: { a: 'é' },
    }),
    z.object({ method: z.string(), headers: z.record(z.string(), z.string()), body: z.string() }),
  );
  t.is(answer.method, 'POST');
  t.is(answer.body, '{"a":"é"}');
  t.like(answer.headers, {
    authorization: 'Bearer tok',
    'x-more': 'yes',
    'content-type': 'application/json',
    'content-length': '10',
  });
});

test('bytes and text are sent with the given media type', async (t) => {
  const url = await serve(t, (request, response) => {
    json(200, request.headers['content-type'])(request.resume(), response);
  });
  const sent = async (call: Partial<Call>): Promise<string> =>
    (await callHttps(get(url, { method: 'POST', ...call }))).body.toString();
  t.is(await sent({ body: Buffer.of(1) }), '"application/octet-stream"');
  t.is(await sent({ body: 'text' }), '"text/plain"');
  t.is(
    await sent({ body: 'text', headers: { 'content-type': 'application/pkcs10' } }),
    '"application/pkcs10"',
  );
});

test('a server with a certificate of another CA is rejected', async (t) => {
  let asked = 0;
  const url = await serve(t, () => asked++);
  await refused(t, 'service-untrusted', callHttps(get(url, { ca: theirs.ca, bearer: 'secret' })));
  t.is(asked, 0);
});

test.serial('the environment cannot turn verification off', async (t) => {
  const url = await serve(t, json(200, {}));
  const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  t.teardown(() => {
    if (before !== undefined) process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before;
    else delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
  });
  await refused(t, 'service-untrusted', callHttps(get(url, { ca: theirs.ca })));
});

test('a server with another name, an expired certificate or a client certificate is rejected', async (t) => {
  const names = ['127.0.0.1'];
  const past = { notBeforeMs: Date.now() - 100_000, validityMs: -2000 };
  const others = [
    [
      'service-name-mismatch',
      ours.issue({ profile: 'server', commonName: 'enrollment', names: ['other.example'] }),
    ],
    [
      'service-untrusted',
      ours.issue({ profile: 'server', commonName: 'enrollment', names, ...past }),
    ],
    ['service-untrusted', ours.issue({ profile: 'device', commonName: 'device', names })],
  ] as const;
  for (const [code, { key, cert }] of others) {
    const url = await serve(t, json(200, {}), { key, cert });
    await refused(t, code, callHttps(get(url)));
  }
});

test('a broker cannot pose as the enrollment service, although its certificate has the same host names', async (t) => {
  const names = ['127.0.0.1'];
  for (const commonName of ['broker', 'broker-2', 'enrollment2']) {
    const broker = ours.issue({ profile: 'broker', commonName, names });
    const url = await serve(t, json(200, {}), broker);
    await refused(t, 'service-untrusted', callHttps(get(url)));
    t.is((await callHttps(get(url, { server: 'any' }))).status, 200);
  }
});

test('the server is checked on each connection of an agent, and each connection serves many calls', async (t) => {
  const clients = new Set<number | undefined>();
  const url = await serve(t, (request, response) => {
    clients.add(request.socket.remotePort);
    response.end('{}');
  });
  const agent = enrollmentAgent(2);
  t.teardown(() => agent.destroy());
  const call = (): Call => ({ ...get(url), method: 'POST', body: {}, agent });
  for (let round = 0; round < 3; round++) {
    // The second call of a round needs a connection of its own, which must not resume a TLS session.
    const done = await Promise.all([callHttps(call()), callHttps(call())]);
    t.deepEqual(
      done.map(({ status }) => status),
      [200, 200],
    );
  }
  t.is(clients.size, 2);
});

test('the client certificate is sent', async (t) => {
  const client = ours.issue({ profile: 'service', commonName: 'backend' });
  const other = ours.issue({ profile: 'service', commonName: 'other' });
  const url = await serve(t, json(200, {}), { ca: ours.ca, requestCert: true });
  const answer = await callHttps(get(url, { cert: client.cert, key: client.key }));
  t.is(answer.status, 200);
  for (const cert of ['x', other.cert]) {
    const call = callHttps(get(url, { cert, key: client.key }));
    await refused(t, 'credentials-unusable', call);
  }
});

test('a rejected client certificate has an error of its own', async (t) => {
  const openssl = debianTool(t, 'openssl');
  if (openssl === undefined) return;
  const folder = tempFolder(t);
  writeFileSync(join(folder, 'key.pem'), identity.key);
  writeFileSync(join(folder, 'cert.pem'), identity.cert);
  writeFileSync(join(folder, 'ca.pem'), ours.ca);
  // TLS 1.2: in 1.3 the alert comes after the handshake, and a reset may overtake it.
  const server = spawnChild(
    t,
    openssl,
    's_server -tls1_2 -accept 127.0.0.1:0 -naccept 1 -key key.pem -cert cert.pem -cert_chain cert.pem -CAfile ca.pem -Verify 3 -verify_return_error'.split(
      ' ',
    ),
    { cwd: folder, keepInput: true },
  );
  const port = /:(\d+)$/.exec(await server.line((line) => /^ACCEPT .*:\d+$/.test(line)))?.[1];
  const { cert, key } = theirs.issue({ profile: 'service', commonName: 'backend' });
  const url = `https://127.0.0.1:${port}`;
  await refused(t, 'credentials-refused', callHttps(get(url, { cert, key })));
});

test('an invalid address and an unreachable one have different errors', async (t) => {
  for (const url of ['', 'localhost:8443', 'http://127.0.0.1:1', 'ftp://x', '//x', 'https://']) {
    await refused(t, 'service-address-invalid', callHttps(get(url)));
    await refused(t, 'service-address-invalid', fetchPinnedCa(url, ours.fingerprint));
  }
  const error = await refused(
    t,
    'service-unreachable',
    callHttps(get('https://127.0.0.1:1/a?b=c')),
  );
  t.is(error.detail, 'https://127.0.0.1:1: ECONNREFUSED');
});

test('a call ends with a timeout when the response does not arrive completely', async (t) => {
  const mute = createTcpServer(() => undefined).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  t.teardown(() => mute.close());
  const silent = await serve(t, () => undefined);
  const dripping = await serve(t, (_request, response) => {
    response.writeHead(200);
    // Never idle and never at the end: only the limit on the whole call stops it.
    const timer = setInterval(() => response.write('x'), 10);
    response.on('close', () => clearInterval(timer));
  });
  const urls = [`https://127.0.0.1:${(mute.address() as AddressInfo).port}`, silent, dripping];
  for (const url of urls) {
    const error = await refused(t, 'service-unreachable', callHttps(get(url, { timeoutMs: 150 })));
    t.regex(error.detail ?? '', /no response in time/);
  }
});

test('a truncated response is an error', async (t) => {
  const url = await serve(t, (_request, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('{"half":');
    setImmediate(() => response.destroy());
  });
  await refused(t, 'service-unreachable', callHttps(get(url)));
});

test('an endless response ends with an error at the size limit', async (t) => {
  let sentBytes = 0;
  const url = await serve(t, (_request, response) => {
    const piece = Buffer.alloc(1024 * 1024);
    const more = (): void => {
      while (!response.destroyed && response.write(piece)) sentBytes += piece.length;
    };
    response.on('drain', more);
    more();
  });
  const error = await refused(t, 'service-answer-invalid', callHttps(get(url)));
  t.regex(error.message, /too large/);
  t.true(sentBytes < responseMaxBytes * 2);
});

test('a streamed response has a timeout until it begins and between two chunks', async (t) => {
  const url = await serve(t, (request, response) => {
    response.write('one\n');
    const timer = setTimeout(() => response.write('two\n'), 30);
    response.on('close', () => clearTimeout(timer));
    request.resume();
  });
  const stream = await openHttps(get(url, { timeoutMs: 5000 }));
  let text = '';
  await t.throwsAsync(
    async () => {
      for await (const chunk of stream as AsyncIterable<Buffer>) text += chunk.toString();
    },
    { message: 'no response in time' },
  );
  t.is(text, 'one\ntwo\n');
});

test('a problem document becomes its error, with detail and Retry-After', async (t) => {
  const problem = {
    type: 'urn:flotilla:error:device-id-invalid',
    title: 'x',
    status: 400,
    code: 'device-id-invalid',
    detail: 'clear\u001b[2J the\nscreen\u202e',
  };
  const url = await serve(t, json(429, problem, { 'retry-after': '7' }));
  const error = await refused(t, 'device-id-invalid', callJson(get(url), z.unknown()));
  t.is(error.retryAfterSeconds, 7);
  t.is(error.detail, 'clear\ufffd[2J the\ufffdscreen\ufffd');
});

test('an error response without a problem document is an invalid response', async (t) => {
  const shape = z.object({ a: z.string() });
  const cases: [number, unknown, Record<string, string>?][] = [
    [200, { a: 1 }],
    [200, 'not the shape'],
    [204, ''],
    [302, {}, { location: 'https://127.0.0.1:1/' }],
    [500, { message: 'boom' }],
    [503, { type: 'x', title: 'x', status: 503, code: 'of-tomorrow\u001b' }],
    [503, { type: 'x', title: 'x', status: 503, code: 'toString' }],
    [429, {}, { 'retry-after': '-5' }],
    [429, {}, { 'retry-after': 'Fri, 07 Nov 2036 23:59:59 GMT' }],
  ];
  for (const [status, body, headers] of cases) {
    const url = await serve(t, json(status, body, headers));
    const error = await refused(t, 'service-answer-invalid', callJson(get(url), shape));
    t.is(error.retryAfterSeconds, undefined);
    t.false(error.message.includes('\u001b'));
  }
});

test('the CA is trusted only by its fingerprint', async (t) => {
  // The caller has no CA that could verify it.
  const url = await serve(t, json(200, { fingerprint: ours.fingerprint, ca: ours.ca }));
  const answer = await fetchPinnedCa(url, ours.fingerprint.toUpperCase().replace('SHA', 'sha'));
  t.deepEqual(answer, { fingerprint: ours.fingerprint, ca: ours.ca });
  const error = await refused(t, 'service-untrusted', fetchPinnedCa(url, theirs.fingerprint));
  t.true(error.message.includes(ours.fingerprint) && error.message.includes(theirs.fingerprint));
});

test('an invalid fingerprint is rejected before anything is sent', async (t) => {
  const hex = ours.fingerprint.slice('sha256:'.length);
  for (const bad of ['', hex, `sha256:${hex}0`, `sha256:${hex.slice(1)}`, `sha1:${hex}`]) {
    await refused(t, 'fingerprint-invalid', fetchPinnedCa('https://127.0.0.1:1', bad));
  }
});

test('a foreign CA after the pinned root is not returned', async (t) => {
  const [theirRoot = ''] = theirs.ca.split(/(?<=-----END CERTIFICATE-----\n)/);
  const smuggled = [
    ours.ca + theirs.ca,
    theirs.ca + ours.ca,
    `${ours.root}${theirRoot}${ours.ca}`,
    `junk\n${ours.ca}\n# more junk`,
    ours.ca + ours.issue({ profile: 'device', commonName: 'a-device' }).leaf,
  ];
  for (const ca of smuggled) {
    const url = await serve(t, json(200, { fingerprint: ours.fingerprint, ca }));
    const answer = await fetchPinnedCa(url, ours.fingerprint);
    t.is(answer.ca, ours.ca);
  }
});

test('any other response to the CA request is an invalid response', async (t) => {
  const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';
  const cases: [number, unknown, ErrorCode][] = [
    [200, {}, 'service-answer-invalid'],
    [404, { fingerprint: ours.fingerprint, ca: ours.ca }, 'service-answer-invalid'],
    [200, { fingerprint: ours.fingerprint, ca: pem }, 'service-answer-invalid'],
    [200, { fingerprint: ours.fingerprint, ca: '' }, 'service-untrusted'],
    [200, { fingerprint: ours.fingerprint, ca: 'x'.repeat(300_000) }, 'service-answer-invalid'],
  ];
  for (const [status, body, code] of cases) {
    const url = await serve(t, json(status, body));
    await refused(t, code, fetchPinnedCa(url, ours.fingerprint));
  }
});
