import test from 'ava';
import type { Page } from 'playwright-core';
import { consoleWorld, watchFaults, type ConsoleWorld } from '../support/console-world.ts';

/** A second browser profile that signs in with a one-time link, at the address of the service itself. */
async function signInByLink(world: ConsoleWorld, operator: string): Promise<Page> {
  const { enroll } = world.fleet;
  const { body } = await enroll.asAdmin('POST', '/v1/sign-in/links', { operator });
  // Its certificate is from the fleet's own CA, which this browser does not know.
  const context = await world.browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  watchFaults(page, enroll.url);
  await page.goto(String(body['url']));
  await page.getByRole('button').click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  return page;
}

test('a viewer who signs in by link sees everything and can change nothing, in the page and by the API', async (t) => {
  const world = await consoleWorld(t);
  if (world === undefined) return;
  const { fleet } = world;
  const { asAdmin } = fleet.enroll;
  await fleet.device('d1');
  await asAdmin('PUT', '/v1/operators/vera', { role: 'viewer' });
  const page = await signInByLink(world, 'vera');
  const origin = new URL(page.url()).origin;
  await page.getByText('vera viewer').waitFor();
  const buttons =
    /Suspend|Resume|Revoke|Delete|Disconnect|Edit|Token|Create token|Approve|Deny|Publish|Import|Review and save|rollover|Add an operator/;
  const shown: Record<string, string> = {
    devices: 'd1',
    'devices/d1': 'Certificates',
    'devices/d1?view=messages': 'Live messages',
    enrollment: 'Tokens',
    policy: 'policy.yaml of the fleet',
    topics: 'Retained messages',
    authorities: 'Issuers',
    settings: 'API keys',
  };
  for (const [path, text] of Object.entries(shown)) {
    await page.goto(`${origin}/console/${path}`);
    await page.getByText(text, { exact: true }).first().waitFor();
    t.is(await page.getByRole('button', { name: buttons }).count(), 0, path);
  }
  const before = (await fleet.audit()).length;
  const status = await page.evaluate<number>(`(async () => {
    const { csrf } = await (await fetch('/v1/session')).json();
    const headers = { 'x-csrf-token': csrf, 'content-type': 'application/json' };
    return (await fetch('/v1/devices/d1/suspend', { method: 'POST', headers, body: '{}' })).status;
  })()`);
  t.is(status, 403);
  t.is((await asAdmin('GET', '/v1/devices/d1')).body['status'], 'active');
  t.false((await fleet.audit()).slice(before).some(({ action }) => action === 'device-suspended'));
});

test('an operator who signs in by link acts in the own name; after sign-out and removal nothing is shown', async (t) => {
  const world = await consoleWorld(t);
  if (world === undefined) return;
  const { fleet } = world;
  const { asAdmin } = fleet.enroll;
  await fleet.device('d1');
  await asAdmin('PUT', '/v1/operators/otto', { role: 'operator' });
  const page = await signInByLink(world, 'otto');
  const origin = new URL(page.url()).origin;
  await page.goto(`${origin}/console/devices/d1`);
  await page.getByRole('button', { name: 'Suspend' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Suspend' }).click();
  await page.getByText('suspended', { exact: true }).first().waitFor();
  const suspended = (await fleet.audit()).findLast(({ action }) => action === 'device-suspended');
  t.true(suspended?.actor.includes('otto'), suspended?.actor);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('Sign in with a one-time URL').waitFor();
  await page.goto(`${origin}/console/devices/d1`);
  await page.getByText('Sign in with a one-time URL').waitFor();
  t.is(await page.getByText('suspended').count(), 0);

  const again = await signInByLink(world, 'otto');
  await asAdmin('DELETE', '/v1/operators/otto');
  // No click: an event, the next call, or the end of the event stream makes the page notice it, whichever is first.
  await again.getByText('Your session has ended. Sign in again.').waitFor();
});
