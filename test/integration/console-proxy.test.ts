import test, { type ExecutionContext } from 'ava';
import { request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { startConsoleProxy, type ConsoleProxy } from '../../cli/lib/console-proxy.ts';
import { enrollService, type TestService } from '../support/enroll-service.ts';
import { until } from '../support/until.ts';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

async function world(
  t: ExecutionContext,
  now: () => number = () => Date.now(),
): Promise<{ service: TestService; proxy: ConsoleProxy; base: string }> {
  const service = await enrollService(t);
  const { url, ca, admin } = service;
  const proxy = await startConsoleProxy({ url, ca, ...admin, port: 0, linkTtlMs: 60_000, now });
  t.teardown(() => proxy.close());
  return { service, proxy, base: new URL(proxy.url).origin };
}

function call(
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  const { method = 'GET', headers = {}, body } = options;
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

async function cookieOf(proxy: ConsoleProxy): Promise<string> {
  const { headers } = await call(proxy.url);
  return headers['set-cookie']?.[0]?.split(';')[0] ?? '';
}

test('the one-time URL signs one browser in, which then uses the API as the administrator', async (t) => {
  const { service, proxy, base } = await world(t);
  const first = await call(proxy.url);
  t.is(first.status, 200);
  t.regex(
    first.headers['set-cookie']?.[0] ?? '',
    /^flotilla-console=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/,
  );
  const cookie = first.headers['set-cookie']?.[0]?.split(';')[0] ?? '';
  t.is((await call(proxy.url)).status, 401, 'used');
  const session = await call(`${base}/v1/session`, { headers: { cookie } });
  t.like(JSON.parse(session.text), { operator: 'admin', role: 'admin', via: 'certificate' });
  t.is(session.headers['set-cookie'], undefined);
  const made = await call(`${base}/v1/tokens`, {
    method: 'POST',
    headers: { cookie, origin: base, 'content-type': 'application/json' },
    body: JSON.stringify({ device: 'd1' }),
  });
  t.is(made.status, 201);
  t.like((await service.audit()).at(-1), { action: 'token-created', actor: 'admin' });
  t.is((await call(`${base}/`, { headers: { cookie } })).headers.location, '/console/');
  t.is((await call(`${base}/crl`, { headers: { cookie } })).status, 404);
  const out = await call(`${base}/v1/session`, {
    method: 'DELETE',
    headers: { cookie, origin: base },
  });
  t.is(out.status, 204);
  t.is((await call(`${base}/v1/session`, { headers: { cookie } })).status, 401);
});

test('other users, other sites and other names do not get through', async (t) => {
  const { proxy, base } = await world(t);
  const cookie = await cookieOf(proxy);
  const good = { cookie, origin: base, 'content-type': 'application/json' };
  const post = (headers: Record<string, string>): Promise<Answer> =>
    call(`${base}/v1/tokens`, { method: 'POST', headers, body: '{"device":"d1"}' });
  t.is((await call(`${base}/v1/stats`)).status, 401, 'no cookie');
  t.is((await call(`${base}/v1/stats`, { headers: { cookie: 'flotilla-console=x' } })).status, 401);
  t.is((await post({ ...good, origin: 'https://evil.example' })).status, 403);
  t.is((await post({ ...good, origin: 'null' })).status, 403);
  t.is((await post({ cookie, 'content-type': 'application/json' })).status, 403, 'no origin');
  const { port } = new URL(base);
  const rebound = { ...good, host: `evil.example:${port}`, origin: `http://evil.example:${port}` };
  t.is((await post(rebound)).status, 403, 'a rebound name');
  t.is((await call(proxy.url, { headers: { host: 'evil.example' } })).status, 403);
  t.is((await post({ ...good, authorization: 'Bearer x' })).status, 201, 'not passed on');
});

test('an old one-time URL is refused', async (t) => {
  let now = 0;
  const { proxy } = await world(t, () => now);
  now = 60_001;
  t.is((await call(proxy.url)).status, 401);
});

test('events come through the proxy as they happen', async (t) => {
  const { service, proxy, base } = await world(t);
  const cookie = await cookieOf(proxy);
  let text = '';
  const sent = request(`${base}/v1/events?types=audit`, { headers: { cookie } }, (response) => {
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => (text += chunk));
    response.on('error', () => undefined);
  });
  sent.on('error', () => undefined);
  sent.end();
  t.teardown(() => sent.destroy());
  await until('the beginning', () => text.includes('event: hello') || undefined);
  await service.token('d1');
  await until('the event', () => text.includes('token-created') || undefined);
  t.pass();
});
