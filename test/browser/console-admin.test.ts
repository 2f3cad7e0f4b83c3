import test from 'ava';
import { simulationProcesses } from '../../cli/lib/simulation-process.ts';
import { makeSecretFolder } from '../../core/atomic-file.ts';
import { writeRun } from '../../cli/lib/run-file.ts';
import {
  accessibilityFaults,
  consoleOfFile,
  dialogFaults,
  pasteInto,
  showScreen,
} from '../support/console-world.ts';
import { factoryCa } from '../support/factory.ts';

const hostile = '<img src=x onerror="document.title=`taken`">';

const plan = `name: tiny
fleet: [{ group: a, count: 3, id: 'tiny-{seed}-{n}', client: light, publish: [{ rate: 5/s }] }]
run: { removeDevices: true }
phases: [{ phase: enroll }, { phase: ramp }, { phase: steady, duration: 1s }]
thresholds: [devices.failed <= 0, messages.lost <= 0]
`;

const open = consoleOfFile(test, {
  simulationRunner: ({ root }) => simulationProcesses(root),
});

test.serial(
  'an administrator imports devices after a preview, and adds and removes a factory',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet, page, faults } = world;
    const { asAdmin } = fleet.enroll;
    await showScreen(page, 'enrollment');
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

    const dialog = page.getByRole('dialog');
    await page.getByRole('button', { name: 'Add a factory' }).click();
    t.deepEqual(await accessibilityFaults(page), [], 'factory');
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
  },
);

test.serial(
  'an administrator adds an operator, makes links and keys, and replaces an issuer',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet, page, faults } = world;
    const { asAdmin } = fleet.enroll;
    const dialog = page.getByRole('dialog');
    await showScreen(page, 'settings');
    await page.getByRole('button', { name: 'Add an operator' }).click();
    await dialog.getByLabel(/^Name/).fill('ana');
    await dialog.getByLabel('Role').selectOption('operator');
    await dialog.getByRole('button', { name: /^(?:Add|Save)/ }).click();
    await page.getByRole('cell', { name: 'ana', exact: true }).waitFor();
    t.true(JSON.stringify((await asAdmin('GET', '/v1/operators')).body).includes('"ana"'));

    // A link that signs this operator in, once.
    await page.getByRole('button', { name: 'Sign-in link' }).click();
    const link = await page.getByText(/\/v1\/sign-in\/link\?token=/).innerText();
    const { status, headers } = await fleet.enroll.call({
      method: 'POST',
      path: '/v1/sign-in/link',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: `token=${new URL(link).searchParams.get('token') ?? ''}`,
    });
    t.is(status, 200);
    t.regex(String(headers['set-cookie']), /^__Host-flotilla=/);
    // A key, which works until it is deleted.
    await page.getByRole('button', { name: 'Create a key' }).click();
    t.deepEqual(await accessibilityFaults(page), [], 'key');
    await dialog.getByLabel('Name').fill(hostile);
    await dialog.getByLabel('Operator', { exact: true }).fill('ana');
    await dialog.getByRole('button', { name: 'Create' }).click();
    await dialog.getByText('not a name for a key').waitFor();
    await dialog.getByLabel('Name').fill('reader');
    await dialog.getByRole('button', { name: 'Create' }).click();
    const key = await page.getByText(/^flotilla_/).innerText();
    const withKey = (): Promise<{ status: number }> =>
      fleet.enroll.call({ method: 'GET', path: '/v1/devices', bearer: key });
    t.is((await withKey()).status, 200);
    await page.getByRole('button', { name: 'Delete reader' }).click();
    t.deepEqual(await accessibilityFaults(page), [], 'delete key');
    await dialog.getByRole('button', { name: 'Delete' }).click();
    await page.getByText('No key.').waitFor();
    t.is((await withKey()).status, 401);
    await page.getByRole('button', { name: 'Delete ana' }).click();
    t.deepEqual(await dialogFaults(page), [], 'delete operator');

    await showScreen(page, 'authorities');
    await page.getByText('issues certificates').first().waitFor();
    await page.getByRole('cell', { name: 'valid' }).first().waitFor();
    const before = (await asAdmin('GET', '/v1/issuers')).body['issuers'] as object[];
    await page.getByRole('button', { name: 'Start a rollover' }).click();
    t.deepEqual(await accessibilityFaults(page), [], 'rollover');
    await dialog.getByRole('button', { name: 'Add an issuer' }).click();
    await page.getByText('still trusted').first().waitFor();
    const after = (await asAdmin('GET', '/v1/issuers')).body['issuers'] as object[];
    t.is(after.length, before.length + 1);
    const lines = await fleet.audit();
    t.true(lines.some(({ action, actor }) => action === 'issuer-added' && actor === 'admin'));
    t.true(lines.some(({ action }) => action === 'operator-changed'));
    t.deepEqual(faults, []);
  },
);

test.serial(
  'an administrator corrects a plan, runs it, watches it, and reads and compares reports',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet, page, faults } = world;
    const { state, url } = fleet.enroll;
    const fingerprint = fleet.enroll.service.ca.fingerprint;
    await makeSecretFolder(state.run.folder);
    await writeRun(state.run.enroll, { https: { url }, fingerprint });
    await writeRun(state.run.broker, fleet.broker.addresses);
    await showScreen(page, 'simulator');
    await page.getByText('No simulation has run yet.').waitFor();
    const edit = (text: string): Promise<void> => pasteInto(page, 'Plan (YAML)', text);
    await edit(`${plan}nonsense: 1\n`);
    await page.getByText(/line 6, column 1: .*unknown setting nonsense/).waitFor();
    t.true(await page.getByRole('button', { name: 'Start' }).isDisabled());
    for (const turn of [1, 2]) {
      await edit(plan);
      await page.getByText('3 devices; enroll, ramp, steady').waitFor();
      await page.getByRole('button', { name: 'Start' }).click();
      await page.getByRole('heading', { name: 'Running: tiny' }).waitFor();
      await page.getByRole('heading', { name: 'New simulation' }).waitFor();
      t.is(await page.getByRole('link', { name: 'tiny' }).count(), turn);
    }
    t.is(await page.getByText('passed', { exact: true }).count(), 2);
    for (const box of await page.getByRole('checkbox', { name: /^Choose/ }).all())
      await box.check();
    await page.getByRole('button', { name: 'Compare two' }).click();
    await page.getByRole('cell', { name: 'latencyMs.endToEnd.p99' }).waitFor();
    await page.getByRole('link', { name: 'tiny' }).first().click();
    await page.getByRole('heading', { name: 'Thresholds' }).waitFor();
    await page.getByText('3 of 3 connected, 0 failed').waitFor();
    t.deepEqual(await accessibilityFaults(page), []);
    const [report] = await Promise.all([
      page.waitForEvent('popup'),
      page.getByRole('link', { name: 'Full report with plots' }).click(),
    ]);
    await report.getByRole('heading', { level: 1 }).waitFor();
    // Without an origin it has no access to the session of the console.
    t.is(await report.evaluate<string>('self.origin'), 'null');
    const started = (await fleet.audit()).filter(({ action }) => action === 'simulation-started');
    t.deepEqual(
      started.map(({ actor }) => actor),
      ['admin', 'admin'],
    );
    t.deepEqual(faults, []);
  },
);
