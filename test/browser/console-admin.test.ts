import test, { type ExecutionContext } from 'ava';
import type { Page } from 'playwright-core';
import { accessibilityFaults, chooseTheme, consoleWorld } from '../support/console-world.ts';
import { factoryCa } from '../support/factory.ts';

const hostile = '<img src=x onerror="document.title=`taken`">';

/** A dialog makes the rest of the page inert, and its theme cannot be chosen while it is open. */
async function assertDialogsAccessible(
  t: ExecutionContext,
  page: Page,
  opens: readonly string[],
): Promise<void> {
  for (const theme of ['light', 'dark'] as const) {
    await chooseTheme(page, theme);
    for (const name of opens) {
      await page.getByRole('button', { name, exact: true }).first().click();
      await page.getByRole('dialog').waitFor();
      t.deepEqual(await accessibilityFaults(page), [], `${name} ${theme}`);
      await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    }
  }
}

test('an administrator imports devices after a preview, and adds and removes a factory', async (t) => {
  const world = await consoleWorld(t);
  if (world === undefined) return;
  const { fleet, page, base, faults } = world;
  const { asAdmin } = fleet.enroll;
  await page.goto(`${base}/console/enrollment`);
  const csv = `id,group,attr:site\nimp-1,north,"${hostile.replaceAll('"', '""')}"\nimp-2,north,Oslo\nbad id,north,Oslo\n`;
  await page
    .getByLabel('File', { exact: true })
    .setInputFiles({ name: 'devices.csv', mimeType: 'text/csv', buffer: Buffer.from(csv) });
  await page.getByText('3 devices.').waitFor();
  await page.getByRole('cell', { name: hostile }).waitFor();
  await page.getByRole('button', { name: 'Import 3 devices' }).click();
  await page.getByText(/2 created, 0 updated, .*1 refused/).waitFor();
  await page.getByText(/Line 4/).waitFor();
  t.like((await asAdmin('GET', '/v1/devices/imp-1')).body, {
    group: 'north',
    attributes: { site: hostile },
  });
  t.not(await page.title(), 'taken');

  await assertDialogsAccessible(t, page, ['Add a factory']);
  const dialog = page.getByRole('dialog');
  await page.getByRole('button', { name: 'Add a factory' }).click();
  await dialog.getByLabel('Name', { exact: true }).fill('acme');
  await dialog.getByLabel('Certificate of its CA (PEM)').fill('not a certificate');
  await dialog.getByRole('button', { name: 'Add', exact: true }).click();
  await dialog.getByRole('alert').waitFor();
  await dialog.getByLabel('Certificate of its CA (PEM)').fill(factoryCa().pem);
  await dialog.getByLabel(/^Serial numbers/).fill('unit-1\nunit-2');
  await dialog.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByText('2 listed').waitFor();
  t.like(((await asAdmin('GET', '/v1/factories')).body['factories'] as object[])[0], {
    name: 'acme',
    allowed: 2,
  });
  await page.getByRole('button', { name: 'Remove the factory acme' }).click();
  await dialog.getByRole('button', { name: 'Remove' }).click();
  await page.getByText('No factory CA is trusted.').waitFor();
  const actions = (await fleet.audit()).map(({ action }) => action);
  for (const action of ['device-imported', 'factory-added', 'factory-removed'] as const) {
    t.true(actions.includes(action), action);
  }
  t.deepEqual(faults, []);
});

test('an administrator adds an operator and replaces an issuer', async (t) => {
  const world = await consoleWorld(t);
  if (world === undefined) return;
  const { fleet, page, base, faults } = world;
  const { asAdmin } = fleet.enroll;
  const dialog = page.getByRole('dialog');
  await page.goto(`${base}/console/settings`);
  await page.getByRole('button', { name: 'Add an operator' }).click();
  await dialog.getByLabel(/^Name/).fill('ana');
  await dialog.getByLabel('Role').selectOption('operator');
  await dialog.getByRole('button', { name: /^(?:Add|Save)/ }).click();
  await page.getByRole('cell', { name: 'ana', exact: true }).waitFor();
  t.true(JSON.stringify((await asAdmin('GET', '/v1/operators')).body).includes('"ana"'));

  await page.goto(`${base}/console/authorities`);
  await page.getByText('issues certificates').first().waitFor();
  await page.getByRole('cell', { name: 'valid' }).first().waitFor();
  await assertDialogsAccessible(t, page, ['Start a rollover']);
  const before = (await asAdmin('GET', '/v1/issuers')).body['issuers'] as object[];
  await page.getByRole('button', { name: 'Start a rollover' }).click();
  await dialog.getByRole('button', { name: 'Add an issuer' }).click();
  await page.getByText('still trusted').first().waitFor();
  const after = (await asAdmin('GET', '/v1/issuers')).body['issuers'] as object[];
  t.is(after.length, before.length + 1);
  const lines = await fleet.audit();
  t.true(lines.some(({ action, actor }) => action === 'issuer-added' && actor === 'admin'));
  t.true(lines.some(({ action }) => action === 'operator-changed'));
  t.deepEqual(faults, []);
});
