import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { Page } from 'playwright-core';
import { startConsoleProxy } from '../../cli/lib/console-proxy.ts';
import {
  accessibilityFaults,
  consoleOfFile,
  reboundHost,
  showScreen,
  watchFaults,
  type ConsoleWorld,
} from '../support/console-world.ts';
import { providerLabel, restartWithProvider } from '../support/oidc-provider.ts';

const people = {
  alice: { email: 'alice@example.com', groups: ['fleet-admins'] },
  mallory: { email: 'mallory@example.com', groups: ['others'] },
};

const open = consoleOfFile(test, {}, async (fleet, file) => {
  fleet.enroll = await restartWithProvider(file, fleet.enroll, people);
});

/** Another browser profile, at the address of the service itself. */
async function newProfile(t: ExecutionContext, { browser, fleet }: ConsoleWorld): Promise<Page> {
  // Its certificate is from the fleet's own CA, which this browser does not know.
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  t.teardown(() => context.close());
  const page = await context.newPage();
  watchFaults(page, fleet.enroll.url);
  return page;
}

async function signInLink({ fleet }: ConsoleWorld, operator: string): Promise<string> {
  const { body } = await fleet.enroll.asAdmin('POST', '/v1/sign-in/links', { operator });
  // The link has the name of the service; the pages below use the address.
  return String(body['url']).replace('//localhost', '//127.0.0.1');
}

async function signInByLink(
  t: ExecutionContext,
  world: ConsoleWorld,
  operator: string,
): Promise<Page> {
  const page = await newProfile(t, world);
  await page.goto(await signInLink(world, operator));
  await page.getByRole('button').click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  return page;
}

test.serial(
  'a viewer who signs in by link sees everything and can change nothing, in the page and by the API',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet } = world;
    const { asAdmin } = fleet.enroll;
    await fleet.device('seen-1');
    await asAdmin('PUT', '/v1/operators/vera', { role: 'viewer' });
    const page = await signInByLink(t, world, 'vera');
    await page.getByText('vera viewer').waitFor();
    const buttons =
      /Suspend|Resume|Revoke|Delete|Disconnect|Edit|Token|Create token|Approve|Deny|Publish|Send|Import|Review and save|rollover|Add an operator/;
    const shown: Record<string, string> = {
      devices: 'seen-1',
      'devices/seen-1': 'Certificates',
      'devices/seen-1?view=messages': 'Live messages',
      enrollment: 'Tokens',
      policy: 'policy.yaml of the fleet',
      topics: 'Retained messages',
      authorities: 'Issuers',
      settings: 'API keys',
    };
    for (const [path, text] of Object.entries(shown)) {
      await showScreen(page, path);
      await page.getByText(text, { exact: true }).first().waitFor();
      t.is(await page.getByRole('button', { name: buttons }).count(), 0, path);
    }
    const before = (await fleet.audit()).length;
    const status = await page.evaluate<number>(`(async () => {
    const { csrf } = await (await fetch('/v1/session')).json();
    const headers = { 'x-csrf-token': csrf, 'content-type': 'application/json' };
    return (await fetch('/v1/devices/seen-1/suspend', { method: 'POST', headers, body: '{}' })).status;
  })()`);
    t.is(status, 403);
    t.is((await asAdmin('GET', '/v1/devices/seen-1')).body['status'], 'active');
    t.false(
      (await fleet.audit()).slice(before).some(({ action }) => action === 'device-suspended'),
    );
  },
);

test.serial(
  'an operator who signs in by link acts in the own name; after sign-out and removal nothing is shown',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet } = world;
    const { asAdmin } = fleet.enroll;
    await fleet.device('acted-1');
    await asAdmin('PUT', '/v1/operators/otto', { role: 'operator' });
    const page = await signInByLink(t, world, 'otto');
    const origin = new URL(page.url()).origin;
    await showScreen(page, 'devices/acted-1');
    await page.getByRole('button', { name: 'Suspend' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Suspend' }).click();
    await page.getByText('suspended', { exact: true }).first().waitFor();
    const suspended = (await fleet.audit()).findLast(({ action }) => action === 'device-suspended');
    t.true(suspended?.actor.includes('otto'), suspended?.actor);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('Sign in with a one-time URL').waitFor();
    t.deepEqual(await accessibilityFaults(page), []);
    await page.goto(`${origin}/console/devices/acted-1`);
    await page.getByText('Sign in with a one-time URL').waitFor();
    t.is(await page.getByText('suspended').count(), 0);

    const again = await signInByLink(t, world, 'otto');
    await asAdmin('DELETE', '/v1/operators/otto');
    // No click: an event, the next call, or the end of the event stream makes the page notice it, whichever is first.
    await again.getByText('Your session has ended. Sign in again.').waitFor();
  },
);

test.serial(
  'an administrator who changes the own role must say so on purpose, and then has the smaller role',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet } = world;
    const { asAdmin } = fleet.enroll;
    await asAdmin('PUT', '/v1/operators/ada', { role: 'admin' });
    const page = await signInByLink(t, world, 'ada');
    await showScreen(page, 'settings');
    await page.getByLabel('Role of ada').selectOption('viewer');
    const dialog = page.getByRole('dialog');
    const change = dialog.getByRole('button', { name: 'Change' });
    t.deepEqual(await accessibilityFaults(page), [], 'own role');
    const sure = dialog.getByLabel('I am signed in as ada and give up this access');
    // Nothing is sent: the browser refuses the form and focuses what is missing.
    await change.click();
    t.is(await page.evaluate<string>('document.activeElement.type'), 'checkbox');
    t.is(await roleOf('ada'), 'admin');
    await sure.check();
    await change.click();
    await page.getByText('ada is viewer.').waitFor();
    t.is(await roleOf('ada'), 'viewer');
    t.like(
      (await fleet.audit()).findLast(({ action }) => action === 'operator-changed'),
      { actor: 'ada' },
    );
    await page.getByText('ada viewer').waitFor();
    t.is(await page.getByRole('button', { name: 'Add an operator' }).count(), 0);

    async function roleOf(name: string): Promise<string | undefined> {
      const { body } = await asAdmin('GET', '/v1/operators');
      const operators = body['operators'] as { name: string; role: string }[];
      return operators.find((operator) => operator.name === name)?.role;
    }
  },
);

test.serial(
  'a person signs in at the identity provider with the role of a claim; one without a role is refused',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet } = world;
    const signIn = async (name: string): Promise<Page> => {
      const page = await newProfile(t, world);
      // The provider's pages name a font of another site.
      await page.context().route(
        ({ hostname }) => hostname !== 'localhost',
        (route) => route.abort(),
      );
      await page.goto(`https://localhost:${new URL(fleet.enroll.url).port}/console/`);
      await page.getByRole('link', { name: `Sign in with ${providerLabel}` }).click();
      await page.locator('input[name=login]').fill(name);
      await page.locator('input[name=password]').fill('x');
      await page.getByRole('button', { name: 'Sign-in' }).click();
      await page.getByRole('button', { name: 'Continue' }).click();
      return page;
    };
    const page = await signIn('alice');
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await page.getByText('oidc:alice@example.com admin').waitFor();
    await page.getByRole('link', { name: 'Enrollment', exact: true }).click();
    await page.getByLabel('Device id').fill('by-alice');
    await page.getByRole('button', { name: 'Create token' }).click();
    await page.getByRole('img', { name: 'QR code of the token' }).waitFor();
    t.like(
      (await fleet.audit()).findLast(({ action }) => action === 'token-created'),
      { actor: 'oidc:alice@example.com' },
    );
    const refused = await signIn('mallory');
    await refused.getByRole('heading', { name: 'Not signed in' }).waitFor();
    await refused.goto(`https://localhost:${new URL(fleet.enroll.url).port}/console/`);
    await refused.getByRole('link', { name: `Sign in with ${providerLabel}` }).waitFor();
    t.like(
      (await fleet.audit()).findLast(({ action }) => action === 'sign-in-refused'),
      { detail: { way: 'provider', code: 'sign-in-failed' } },
    );
  },
);

test.serial(
  'a link that was used or has expired signs nobody in, and the page says why',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet, browser } = world;
    const { url, ca, admin, asAdmin } = fleet.enroll;
    await asAdmin('PUT', '/v1/operators/lena', { role: 'viewer' });
    const link = await signInLink(world, 'lena');
    for (const isFirst of [true, false]) {
      const page = await newProfile(t, world);
      await page.goto(link);
      await page.getByRole('button').click();
      const heading = isFirst ? 'Overview' : 'Not signed in';
      await page.getByRole('heading', { name: heading }).waitFor();
      if (isFirst) continue;
      await page.getByText('This sign-in link is not valid').waitFor();
      await page.goto(`${url}/console/`);
      await page.getByText('Sign in with a one-time URL').waitFor();
    }
    // The one-time URL of `flotilla console`.
    let nowMs = Date.now();
    const identity = { url, ca, cert: admin.cert, key: admin.key };
    const proxy = await startConsoleProxy({
      ...identity,
      port: 0,
      linkTtlMs: 60_000,
      now: () => nowMs,
    });
    t.teardown(() => proxy.close());
    nowMs += 60_000;
    const context = await browser.newContext();
    t.teardown(() => context.close());
    const page = await context.newPage();
    t.is((await page.goto(proxy.url))?.status(), 401);
    t.is((await page.goto(`${new URL(proxy.url).origin}/v1/session`))?.status(), 401);
    t.deepEqual(await context.cookies(), []);
  },
);

test.serial(
  'pages of another origin or under another name can neither use nor show the session of a person',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet, base, page } = world;
    await fleet.device('stay-1');
    const before = (await fleet.audit()).length;
    // Another port of the same machine is the same site: the browser sends the strict cookie along.
    const thief = createServer((_request, response) => {
      response.setHeader('content-type', 'text/html').end('<title>thief</title>');
    });
    await new Promise<void>((resolve) => thief.listen(0, '127.0.0.1', resolve));
    t.teardown(() => {
      thief.closeAllConnections();
      thief.close();
    });
    const other = await page.context().newPage();
    await other.goto(`http://127.0.0.1:${(thief.address() as AddressInfo).port}/`);
    const outcome = await other.evaluate<object>(`(async () => {
    const suspend = '${base}/v1/devices/stay-1/suspend';
    const tried = async (url, options) => {
      try {
        const response = await fetch(url, { credentials: 'include', ...options });
        return response.type === 'opaque' ? 'sent' : response.status;
      } catch {
        return 'refused';
      }
    };
    const form = document.createElement('form');
    form.method = 'post';
    form.action = suspend;
    form.target = 'sink';
    const frame = document.createElement('iframe');
    frame.name = 'sink';
    document.body.append(frame, form);
    const sent = new Promise((resolve) => frame.addEventListener('load', resolve));
    form.submit();
    await sent;
    const shown = document.createElement('iframe');
    shown.src = '${base}/console/';
    const loaded = new Promise((resolve) => shown.addEventListener('load', resolve));
    document.body.append(shown);
    await loaded;
    const stream = new EventSource('${base}/v1/events', { withCredentials: true });
    const events = await new Promise((resolve) => {
      stream.onopen = () => resolve('open');
      stream.onerror = () => resolve('refused');
    });
    stream.close();
    return {
      read: await tried('${base}/v1/devices'),
      simple: await tried(suspend, { method: 'POST', mode: 'no-cors', body: '{}' }),
      json: await tried(suspend, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }),
      events,
    };
  })()`);
    t.deepEqual(outcome, { read: 'refused', simple: 'sent', json: 'refused', events: 'refused' });
    t.is((await fleet.enroll.asAdmin('GET', '/v1/devices/stay-1')).body['status'], 'active');
    t.false(
      (await fleet.audit()).slice(before).some(({ action }) => action === 'device-suspended'),
    );
    for (const frame of other.frames().slice(1)) {
      t.is(await frame.getByRole('heading', { name: 'Overview' }).count(), 0);
    }
    // A name of another site that leads to this machine: it gets no page and uses up no link.
    const { port } = new URL(base);
    t.is((await other.goto(`http://${reboundHost}:${port}/console/`))?.status(), 403);
    t.is((await other.goto(`http://${reboundHost}:${port}/v1/devices`))?.status(), 403);
    await page.reload();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
  },
);

// The last test of this file, because it stops the service.
test.serial(
  'a page that is open while the service restarts says so, connects again and reads the list again',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet, page, base, faults } = world;
    const { enroll } = fleet;
    await enroll.device('restart-1');
    await enroll.asAdmin('PUT', '/v1/operators/rita', { role: 'viewer' });
    const second = await signInByLink(t, world, 'rita');
    await page.goto(`${base}/console/devices?search=restart`);
    await page.getByText('1 match').waitFor();
    await enroll.device('restart-2');
    t.is(await page.getByRole('link', { name: 'restart-2' }).count(), 0);
    const port = Number(new URL(enroll.url).port);
    const lost = 'Connection to the service lost';
    fleet.enroll = await enroll.restart({ enroll: { port } }, async () => {
      await page.getByText(lost).waitFor();
      await second.getByText(lost).waitFor();
    });
    await page.getByRole('link', { name: 'restart-2' }).waitFor();
    await page.getByText(lost).waitFor({ state: 'detached' });
    await page.getByText('2 match').waitFor();
    // The session of a link is kept over the restart.
    await second.getByText(lost).waitFor({ state: 'detached' });
    await second.getByText('rita viewer').waitFor();
    t.deepEqual(faults, []);
  },
);
