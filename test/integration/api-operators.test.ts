import test from 'ava';
import {
  keyCreatedSchema,
  linkSchema,
  sessionInfoSchema,
} from '../../core/protocol/operator-api.ts';
import type { OperatorRole } from '../../core/protocol/operator-role.ts';
import { enrollService, replyOf, type Reply, type TestService } from '../support/enroll-service.ts';
import { followEvents } from '../support/event-stream.ts';
import { until } from '../support/until.ts';

async function keyOf(
  service: TestService,
  name: string,
  role: OperatorRole,
  more: object = {},
): Promise<string> {
  await service.asAdmin('PUT', `/v1/operators/${name}`, { role });
  const made = await service.asAdmin('POST', '/v1/keys', { name: 'ci', operator: name, ...more });
  return keyCreatedSchema.parse(made.body).key;
}

const withKey =
  (service: TestService, bearer: string) =>
  async (method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH', path: string, body?: object) =>
    replyOf(await service.call({ method, path, bearer, ...(body === undefined ? {} : { body }) }));

/** A browser, as far as its session needs one. */
class Browser {
  cookie = '';
  csrf = '';
  readonly #service: TestService;

  constructor(service: TestService) {
    this.#service = service;
  }

  get origin(): string {
    return this.#service.url;
  }

  async call(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    { body, headers = {} }: { body?: string | object; headers?: Record<string, string> } = {},
  ): Promise<Reply & { readonly cookie: string | undefined }> {
    const answer = await this.#service.call({
      method,
      path,
      headers: {
        ...(this.cookie === '' ? {} : { cookie: this.cookie }),
        ...(method === 'GET' ? {} : { origin: this.origin, 'x-csrf-token': this.csrf }),
        ...(typeof body === 'string'
          ? { 'content-type': 'application/x-www-form-urlencoded' }
          : {}),
        ...headers,
      },
      ...(body === undefined ? {} : { body }),
    });
    const cookie = answer.headers['set-cookie']?.[0];
    return { ...replyOf(answer), cookie };
  }

  async signIn(link: string): Promise<Reply & { readonly cookie: string | undefined }> {
    const token = new URL(link).searchParams.get('token') ?? '';
    const answer = await this.call('POST', '/v1/sign-in/link', { body: `token=${token}` });
    if (answer.cookie !== undefined) {
      this.cookie = answer.cookie.split(';')[0] ?? '';
      const session = sessionInfoSchema.parse((await this.call('GET', '/v1/session')).body);
      this.csrf = session.csrf ?? '';
    }
    return answer;
  }
}

async function linkFor(service: TestService, operator?: string): Promise<string> {
  const body = operator === undefined ? {} : { operator };
  return linkSchema.parse((await service.asAdmin('POST', '/v1/sign-in/links', body)).body).url;
}

test('each call asks for the role that the description names', async (t) => {
  const service = await enrollService(t);
  const keys = {
    viewer: await keyOf(service, 'vera', 'viewer'),
    operator: await keyOf(service, 'otto', 'operator'),
    admin: await keyOf(service, 'anna', 'admin'),
  };
  const order = ['viewer', 'operator', 'admin'] as const;
  const answer = await service.call({ method: 'GET', path: '/v1/openapi.json' });
  const { paths } = JSON.parse(answer.body.toString()) as {
    paths: Record<string, Record<string, { 'x-role'?: string }>>;
  };
  let checked = 0;
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { 'x-role': role }] of Object.entries(methods)) {
      const at = order.findIndex((one) => one === role);
      if (at === -1) continue;
      const filled = path.replaceAll(/\{\w+\}/g, 'none');
      for (const [rank, held] of order.entries()) {
        // What is allowed may fail for other reasons, or be a stream: only refusals are looked at.
        if (rank >= at && path.endsWith('/events')) continue;
        const { status, body } = await withKey(service, keys[held])(
          method.toUpperCase() as 'GET',
          filled,
        );
        const refused = body['code'] === 'role-missing';
        if (rank < at) {
          t.true(refused, `${held} must not ${method} ${path}: ${status}`);
        } else {
          const own = String(body['detail']).includes('this needs');
          t.false(refused && own, `${held} may ${method} ${path}: ${String(body['detail'])}`);
        }
        checked++;
      }
    }
  }
  t.true(checked > 100, `${checked}`);
  const anonymous = await service.call({ method: 'GET', path: '/v1/stats' });
  t.is(anonymous.status, 401);
  t.regex(anonymous.headers['www-authenticate'] ?? '', /^Bearer/);
});

test('an API key acts for its operator, within role, scopes and time', async (t) => {
  const service = await enrollService(t);
  const call = withKey(service, await keyOf(service, 'alice', 'operator'));
  t.like((await call('GET', '/v1/session')).body, {
    operator: 'alice',
    role: 'operator',
    via: 'key',
    csrf: null,
  });
  t.is((await call('POST', '/v1/tokens', { device: 'd1' })).status, 201);
  t.like((await service.audit()).at(-1), { action: 'token-created', actor: 'alice/ci' });
  t.is((await call('POST', '/v1/keys', { name: 'more' })).body['code'], 'role-missing');
  t.is((await call('POST', '/v1/devices/admin/revoke', {})).body['code'], 'role-missing');
  t.is((await call('POST', '/v1/devices/broker/suspend')).body['code'], 'role-missing');
  await service.asAdmin('PUT', '/v1/operators/alice', { role: 'viewer' });
  t.is((await call('POST', '/v1/tokens', { device: 'd2' })).body['code'], 'role-missing');
  await service.asAdmin('PUT', '/v1/operators/alice', { role: 'admin' });
  t.like((await call('GET', '/v1/session')).body, { role: 'operator' });
  const scoped = withKey(
    service,
    await keyOf(service, 'bob', 'admin', { scopes: ['devices', 'operators'] }),
  );
  t.is((await scoped('GET', '/v1/devices')).status, 200);
  t.is((await scoped('GET', '/v1/devices/export')).status, 200);
  t.is((await scoped('GET', '/v1/stats')).body['code'], 'role-missing');
  t.is((await scoped('POST', '/v1/sign-in/links', {})).body['code'], 'role-missing');
  await service.asAdmin('PUT', '/v1/operators/bob', { role: 'admin', disabled: true });
  t.is((await scoped('GET', '/v1/devices')).body['code'], 'operator-disabled');
  const wrong = withKey(service, `flotilla_key_${'A'.repeat(43)}`);
  t.is((await wrong('GET', '/v1/devices')).body['code'], 'api-key-invalid');
  const listed = JSON.stringify((await service.asAdmin('GET', '/v1/keys')).body);
  t.false(listed.includes('flotilla_key_'));
  const again = await service.restart();
  t.like((await withKey(again, await keyOf(again, 'carl', 'viewer'))('GET', '/v1/session')).body, {
    operator: 'carl',
  });
});

test('an API key ends with its time, when it is deleted, and with its operator', async (t) => {
  const service = await enrollService(t);
  const short = withKey(service, await keyOf(service, 'alice', 'viewer', { ttlSeconds: 1 }));
  await until(
    'the end',
    async () => (await short('GET', '/v1/session')).status === 401 || undefined,
  );
  const key = withKey(service, await keyOf(service, 'alice', 'viewer'));
  const own = await key('GET', '/v1/keys');
  const [{ id }] = own.body['keys'] as [{ id: string }];
  t.is((await key('DELETE', `/v1/keys/${id}`)).status, 204);
  t.is((await key('GET', '/v1/session')).body['code'], 'api-key-invalid');
  const third = withKey(service, await keyOf(service, 'bob', 'viewer'));
  t.is((await service.asAdmin('DELETE', '/v1/operators/bob')).status, 204);
  t.is((await third('GET', '/v1/session')).body['code'], 'api-key-invalid');
  const device = await service.device('pump-1');
  const taken = await service.asAdmin('PUT', '/v1/operators/pump-1', { role: 'admin' });
  t.is(taken.body['code'], 'identity-role-conflict');
  const asDevice = await service.call({ method: 'GET', path: '/v1/stats', ...device.credential });
  t.is(replyOf(asDevice).body['code'], 'role-missing');
});

test('a link signs a browser in once, with a strict cookie, and signing out ends it', async (t) => {
  const service = await enrollService(t);
  await service.asAdmin('PUT', '/v1/operators/alice', { role: 'operator' });
  const link = await linkFor(service, 'alice');
  const browser = new Browser(service);
  const { pathname, search } = new URL(link);
  // Looking at the page, as a preview of a chat program does, does not use the link.
  const looked = await browser.call('GET', pathname + search);
  t.is(looked.status, 200);
  t.regex(String(looked.headers['content-security-policy']), /default-src 'none'.*frame-ancestors/);
  const answer = await browser.signIn(link);
  t.is(answer.status, 200);
  t.regex(
    answer.cookie ?? '',
    /^__Host-flotilla=[\w-]{43}; Path=\/; Max-Age=\d+; Secure; HttpOnly; SameSite=Strict$/,
  );
  t.like((await browser.call('GET', '/v1/session')).body, {
    operator: 'alice',
    role: 'operator',
    via: 'session',
  });
  const second = await new Browser(service).signIn(link);
  t.is(second.body['code'], 'sign-in-link-invalid');
  t.is(second.cookie, undefined);
  t.is((await browser.call('POST', '/v1/tokens', { body: { device: 'd1' } })).status, 201);
  t.like((await service.audit()).at(-1), { action: 'token-created', actor: 'alice' });
  const again = await service.restart({ enroll: { port: Number(new URL(service.url).port) } });
  const kept = new Browser(again);
  kept.cookie = browser.cookie;
  t.is((await kept.call('GET', '/v1/session')).status, 200);
  kept.csrf = browser.csrf;
  const out = await kept.call('DELETE', '/v1/session');
  t.is(out.status, 204);
  t.regex(out.cookie ?? '', /Max-Age=0/);
  t.is((await kept.call('GET', '/v1/session')).body['code'], 'sign-in-required');
  const actions = (await again.audit()).map(({ action }) => action);
  for (const action of ['sign-in-link-created', 'signed-in', 'sign-in-refused', 'signed-out']) {
    t.true(actions.includes(action), action);
  }
});

test('a session is of no use to another site, without its token, or after its end', async (t) => {
  const service = await enrollService(t, {
    config: { enroll: { operators: { sessionTtl: '1m' } } },
  });
  await service.asAdmin('PUT', '/v1/operators/alice', { role: 'admin' });
  const browser = new Browser(service);
  await browser.signIn(await linkFor(service, 'alice'));
  const post = (headers: Record<string, string>) =>
    browser.call('POST', '/v1/tokens', { body: { device: 'd1' }, headers });
  t.is((await post({ origin: 'https://evil.example' })).body['code'], 'request-origin-refused');
  t.is((await post({ origin: 'null' })).body['code'], 'request-origin-refused');
  t.is((await post({ 'x-csrf-token': '' })).body['code'], 'request-origin-refused');
  t.is((await post({ 'x-csrf-token': 'A'.repeat(43) })).body['code'], 'request-origin-refused');
  const read = await browser.call('GET', '/v1/stats', {
    headers: { origin: 'https://evil.example' },
  });
  t.is(read.body['code'], 'request-origin-refused');
  t.is((await post({})).status, 201);
  const cross = new Browser(service);
  const token = new URL(await linkFor(service, 'alice')).searchParams.get('token') ?? '';
  const login = await cross.call('POST', '/v1/sign-in/link', {
    body: `token=${token}`,
    headers: { origin: 'https://evil.example' },
  });
  t.is(login.body['code'], 'request-origin-refused');
  await service.asAdmin('PUT', '/v1/operators/alice', { role: 'viewer' });
  t.is((await post({})).body['code'], 'role-missing');
  await service.asAdmin('DELETE', '/v1/operators/alice');
  t.is((await browser.call('GET', '/v1/stats')).body['code'], 'sign-in-required');
  const unknown = new Browser(service);
  unknown.cookie = `__Host-flotilla=${'A'.repeat(43)}`;
  t.is((await unknown.call('GET', '/v1/stats')).body['code'], 'sign-in-required');
});

test("an administrator's own link gives a session that ends with the certificate's rights", async (t) => {
  const service = await enrollService(t);
  const browser = new Browser(service);
  await browser.signIn(await linkFor(service));
  t.like((await browser.call('GET', '/v1/session')).body, { operator: 'admin', role: 'admin' });
  const stream = await followEvents(t, {
    url: `${service.url}/v1/events`,
    ca: service.ca,
    headers: { cookie: browser.cookie },
  });
  t.is(stream.status, 200);
  // Another way to act as an administrator must remain.
  await service.asAdmin('PUT', '/v1/operators/other', { role: 'admin' });
  await service.asAdmin('POST', '/v1/keys', { name: 'way', operator: 'other' });
  await service.asAdmin('PUT', '/v1/operators/admin?ownIdentity=true', { role: 'viewer' });
  t.like((await browser.call('GET', '/v1/session')).body, { role: 'viewer' });
  t.is((await service.asAdmin('GET', '/v1/operators')).body['code'], 'role-missing');
});

test('links are guessed only so often, and hostile text in one is no markup', async (t) => {
  const service = await enrollService(t, {
    config: { limits: { enroll: { failuresPerAddressPerMinute: 5 } } },
  });
  const browser = new Browser(service);
  const page = await browser.call('GET', '/v1/sign-in/link?token=%22%3E%3Cscript%3Ex%3C/script%3E');
  t.false(String(page.body['text']).includes('<script'));
  const codes: unknown[] = [];
  for (let at = 0; at < 7; at++) {
    codes.push((await browser.signIn(`https://x/?token=guess-${at}`)).body['code']);
  }
  t.deepEqual(
    codes.slice(0, 5),
    Array.from({ length: 5 }, () => 'sign-in-link-invalid'),
  );
  t.is(codes.at(-1), 'too-many-requests');
});

test('sign-ins that anybody can try write few lines into the audit log, and a sum', async (t) => {
  const service = await enrollService(t, {
    config: { limits: { enroll: { refusalLinesPerBrokerPerMinute: 20 } } },
  });
  const browser = new Browser(service);
  for (let at = 0; at < 12; at++) await browser.signIn(`https://x/?token=guess-${at}`);
  const again = await service.restart();
  const lines = (await again.audit()).filter(({ action }) => action === 'sign-in-refused');
  t.is(lines.length, 3);
  t.like(lines.at(-1), { actor: 'system', detail: { count: 10, rest: true } });
});

test('an operator has fifty browser sessions; one more ends the oldest', async (t) => {
  const service = await enrollService(t);
  await service.asAdmin('PUT', '/v1/operators/alice', { role: 'viewer' });
  const browsers: Browser[] = [];
  for (let at = 0; at < 51; at++) {
    const browser = new Browser(service);
    t.is((await browser.signIn(await linkFor(service, 'alice'))).status, 200);
    browsers.push(browser);
  }
  const statusOf = async (at: number): Promise<number> =>
    (await browsers[at]!.call('GET', '/v1/session')).status;
  t.deepEqual(await Promise.all([0, 1, 50].map(statusOf)), [401, 200, 200]);
});
