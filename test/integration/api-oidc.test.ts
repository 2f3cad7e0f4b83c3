import test, { type ExecutionContext } from 'ava';
import { roleOfClaim } from '../../enroll/operators/identity-provider.ts';
import { enrollService, replyOf, type TestService } from '../support/enroll-service.ts';
import { restartWithProvider, TestBrowser, type People } from '../support/oidc-provider.ts';

const people: People = {
  alice: { email: 'alice@example.com', groups: ['staff', 'fleet-admins'] },
  bob: { email: 'bob@example.com', groups: 'fleet-viewers' },
  mallory: { email: 'mallory@example.com', groups: ['others'] },
};

async function world(t: ExecutionContext): Promise<{ service: TestService; browser: TestBrowser }> {
  const plain = await enrollService(t);
  const service = await restartWithProvider(t, plain, people);
  return { service, browser: new TestBrowser(plain.ca) };
}

/** Goes through the provider's own pages: a name, then consent. */
async function signIn(
  browser: TestBrowser,
  url: string,
  name: string,
): ReturnType<TestBrowser['visit']> {
  let page = await browser.visit(`${url}/v1/sign-in/oidc`);
  for (let step = 0; step < 4; step++) {
    const [, action] = /<form[^>]* action="([^"]+)"/.exec(page.body) ?? [];
    const [, prompt] = /name="prompt" value="(\w+)"/.exec(page.body) ?? [];
    if (action === undefined || prompt === undefined) break;
    page = await browser.visit(new URL(action, page.url).href, {
      prompt,
      ...(prompt === 'login' ? { login: name, password: 'x' } : {}),
    });
  }
  return page;
}

async function session(service: TestService, browser: TestBrowser): Promise<object> {
  const cookie = browser.cookie(service.url.replace('127.0.0.1', 'localhost'), '__Host-flotilla');
  const headers = { cookie: `__Host-flotilla=${cookie ?? ''}` };
  const answer = replyOf(await service.call({ method: 'GET', path: '/v1/session', headers }));
  return { status: answer.status, ...answer.body };
}

test('a person signs in at the identity provider, and a claim gives the role', async (t) => {
  const { service, browser } = await world(t);
  const url = service.url.replace('127.0.0.1', 'localhost');
  const options = await service.call({ method: 'GET', path: '/v1/sign-in' });
  t.deepEqual(replyOf(options).body, { oidc: { label: 'Example' } });
  const page = await signIn(browser, url, 'alice');
  t.is(page.status, 200, page.body);
  t.true(page.body.includes('/console/'));
  t.like(await session(service, browser), {
    status: 200,
    operator: 'oidc:alice@example.com',
    role: 'admin',
    via: 'session',
  });
  t.like(
    (await service.audit()).findLast(({ action }) => action === 'signed-in'),
    {
      actor: 'oidc:alice@example.com',
      detail: { way: 'provider', role: 'admin' },
    },
  );
  const replayed = await browser.visit(page.url);
  t.is(replayed.status, 403, 'a code is good once');
});

test('a person without a role is refused, and the audit log has it', async (t) => {
  const { service, browser } = await world(t);
  const url = service.url.replace('127.0.0.1', 'localhost');
  const page = await signIn(browser, url, 'mallory');
  t.is(page.status, 403);
  t.is(browser.cookie(url, '__Host-flotilla'), undefined);
  t.like(
    (await service.audit()).findLast(({ action }) => action === 'sign-in-refused'),
    {
      detail: { way: 'provider', code: 'sign-in-failed' },
    },
  );
});

test('an answer that this browser did not ask for is refused', async (t) => {
  const { service, browser } = await world(t);
  const url = service.url.replace('127.0.0.1', 'localhost');
  const forged = `${url}/v1/sign-in/oidc/callback?code=abc&state=def`;
  t.is((await browser.visit(forged)).status, 403);
  await browser.visit(`${url}/v1/sign-in/oidc`);
  t.is((await browser.visit(forged)).status, 403);
  t.is(browser.cookie(url, '__Host-flotilla'), undefined);
});

test('the most powerful role of a claim counts, and only texts that are equal', (t) => {
  const roles = { viewer: ['v'], operator: ['o'], admin: ['a'] };
  t.is(roleOfClaim(['v', 'a', 'x'], roles), 'admin');
  t.is(roleOfClaim('o', roles), 'operator');
  t.is(roleOfClaim(['A', 'oo', ''], roles), undefined);
  t.is(roleOfClaim(undefined, roles), undefined);
  t.is(roleOfClaim({ 0: 'a' }, roles), undefined);
});
