import { readFile } from 'node:fs/promises';
import test from 'ava';
import { createCsr } from '../../certs/csr.ts';
import { utf8String } from '../../certs/der-encode.ts';
import { oids } from '../../certs/oids.ts';
import { pemOf } from '../../certs/pem.ts';
import { generateKeySync, privateKeyPem } from '../../certs/key.ts';
import { issuedSchema } from '../../core/protocol/enrollment-api.ts';
import {
  accessibilityFaults,
  consoleOfFile,
  dialogFaults,
  pasteInto,
  showScreen,
} from '../support/console-world.ts';
import { forgeRequest, name } from '../support/certs-forge-request.ts';
import { until } from '../support/until.ts';

const hostile = '<img src=x onerror="document.title=`taken`">';
const organizationalUnit = '2.5.4.11';
const open = consoleOfFile(test, { config: { enroll: { approval: { enabled: true } } } });

test.serial(
  'an operator approves a device by its fingerprint and creates and revokes a token',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet, page, faults } = world;
    const { enroll } = fleet;
    // The other fields of a CSR are not used. A hostile name is refused, and its text stays text.
    const request = (commonName: string): string =>
      pemOf(
        'CERTIFICATE REQUEST',
        forgeRequest({
          key: generateKeySync('p256'),
          subject: name([
            [organizationalUnit, utf8String(hostile)],
            [oids.commonName, utf8String(commonName)],
          ]),
        }),
      );
    t.is((await enroll.enroll('waiting-1', request(hostile))).status, 400);
    const csr = request('waiting-1');
    t.is((await enroll.enroll('waiting-1', csr)).status, 202);
    const { body } = await enroll.asAdmin('GET', '/v1/requests');
    const [pending] = body['requests'] as { fingerprint: string }[];
    await showScreen(page, 'enrollment');
    await page.getByRole('button', { name: 'Approve' }).click();
    const dialog = page.getByRole('dialog');
    t.deepEqual(await accessibilityFaults(page), [], 'approve');
    await dialog.getByLabel(/^Shown by the device/).fill('00ff');
    await dialog.getByText('The fingerprints are different.').waitFor();
    await dialog.getByLabel(/^Shown by the device/).fill(pending?.fingerprint ?? '');
    await dialog.getByText('The fingerprints are equal.').waitFor();
    await dialog.getByLabel('Group (empty: none)').fill('plant-a');
    await dialog.getByRole('button', { name: 'Approve' }).click();
    await page.getByText('No device waits.').waitFor();
    t.is((await enroll.enroll('waiting-1', csr)).status, 201);

    await page.getByLabel('Device id').fill('not a device id');
    await page.getByRole('button', { name: 'Create token' }).click();
    await page.getByRole('alert').getByText('device', { exact: false }).first().waitFor();
    await page.getByLabel('Device id').fill('pump-9');
    await page.getByRole('button', { name: 'Create token' }).click();
    await dialog.getByRole('img', { name: 'QR code of the token' }).waitFor();
    await dialog.getByText('flotilla device enroll').waitFor();
    t.deepEqual(await dialogFaults(page), [], 'token');
    await page.getByRole('cell', { name: 'pump-9' }).waitFor();
    await page.getByRole('button', { name: /^Revoke token:/ }).click();
    await dialog.getByRole('button', { name: 'Revoke' }).click();
    await page.getByText('No token. Create one above').waitFor();
    // Tokens for many devices, as a file.
    await page.getByRole('combobox', { name: 'For', exact: true }).selectOption('devices');
    await page.getByLabel(/^Device ids/).fill('lot-1, lot-2\nlot-1\n');
    await page.getByRole('button', { name: 'Create tokens' }).click();
    await dialog.getByRole('heading', { name: 'Tokens for 2 devices' }).waitFor();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      dialog.getByRole('link', { name: 'Download the file (CSV)' }).click(),
    ]);
    const file = await readFile(await download.path(), 'utf8');
    t.regex(file, /^"device","expires","command","qr"\r\n"lot-1",.*\r\n"lot-2",.*\r\n$/);
    t.deepEqual(await dialogFaults(page), [], 'tokens');
    const [, lotToken = ''] = /FLOTILLA_TOKEN=(\S+)/.exec(file) ?? [];
    const lot = createCsr({ key: generateKeySync('p256'), commonName: 'lot-1' }).pem;
    t.is((await enroll.enroll('lot-1', lot, lotToken)).status, 201);
    const actions = (await fleet.audit())
      .filter(({ actor }) => actor === 'admin')
      .map(({ action }) => action);
    for (const action of ['enrollment-approved', 'token-created', 'token-revoked']) {
      t.true(actions.includes(action as (typeof actions)[number]), action);
    }
    await showScreen(page, 'audit');
    await page.getByText('enrollment-approved').first().waitFor();
    t.is(await page.locator('main img, main script').count(), 0);
    t.not(await page.title(), 'taken');
    t.deepEqual(faults, []);
  },
);

test.serial(
  'every screen is accessible in both themes, fits a phone and loads nothing from elsewhere',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet, page, faults } = world;
    const client = await fleet.mqtt(await fleet.device('d1'), {
      clientId: 'd1',
      protocolVersion: 5,
    });
    await client.publishAsync('devices/d1/state', '{"on":true}', { retain: true, qos: 1 });
    await fleet.enroll.token('d2');
    await fleet.enroll.asAdmin('PUT', '/v1/operators/ana', { role: 'viewer' });
    const expected: Record<string, string> = {
      enrollment: 'd2',
      policy: 'own topics',
      topics: 'devices/d1/state',
      audit: 'operator-changed',
      authorities: 'issues certificates',
      brokers: 'follows the feed',
      settings: 'ana',
    };
    for (const [path, text] of Object.entries(expected)) {
      await page.setViewportSize({ width: 1280, height: 850 });
      await showScreen(page, path);
      await until(`${path} shows ${text}`, async () => {
        const shown = await page.locator('main').innerText();
        const written = await page.locator('.cm-content').allInnerTexts();
        return [shown, ...written].join('\n').includes(text) || undefined;
      });
      t.deepEqual(await accessibilityFaults(page), [], path);
      await page.setViewportSize({ width: 390, height: 800 });
      const overflow = await page.evaluate<number>(
        'document.documentElement.scrollWidth - document.documentElement.clientWidth',
      );
      t.is(overflow, 0, `${path} on a phone`);
    }
    await showScreen(page, 'audit');
    await page.getByRole('button', { name: 'Verify the chain of hashes' }).click();
    await page.getByText(/lines in 1 files are unchanged/).waitFor();
    t.deepEqual(faults, []);
  },
);

test.serial(
  'with the browser alone: a device is enrolled, seen, denied, allowed, revoked, and all of it is in the audit log',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet, page, faults } = world;
    const { enroll } = fleet;
    // A token, from the page.
    await page.getByRole('link', { name: 'Enrollment', exact: true }).click();
    await page.getByLabel('Device id').fill('pump-1');
    await page.getByRole('button', { name: 'Create token' }).click();
    const dialog = page.getByRole('dialog');
    const command = await dialog.getByText('flotilla device enroll').first().innerText();
    const [, token = ''] = /FLOTILLA_TOKEN=(\S+)/.exec(command) ?? [];
    await dialog.getByRole('button', { name: 'Done' }).click();
    // The device uses it.
    const key = generateKeySync('p256');
    const csr = createCsr({ key, commonName: 'pump-1' }).pem;
    const issued = issuedSchema.parse((await enroll.enroll('pump-1', csr, token)).body);
    await fleet.inForce('pump-1', ({ certificates }) => certificates.length > 0);
    const client = await fleet.mqtt(
      { cert: issued.chain, key: privateKeyPem(key) },
      { clientId: 'pump-1', protocolVersion: 5 },
    );
    // Its messages.
    await showScreen(page, 'devices/pump-1?view=messages');
    await until('a message is shown', async () => {
      await client.publishAsync('devices/pump-1/telemetry', '{"bar":3}', { qos: 1 });
      return (await page.locator('.messages li').count()) > 0 || undefined;
    });
    // Why it was denied, and the rule that allows it.
    await t.throwsAsync(client.publishAsync('alarms/pump-1', 'x', { qos: 1 }));
    await page.getByRole('tab', { name: 'summary' }).click();
    await page.getByText('Why, and how to allow it').click();
    await page.getByText(/no rule of role device allows/).waitFor();
    await page.getByRole('link', { name: 'Add it to the policy' }).click();
    await page.getByText("topics: ['alarms/{device}']").waitFor();
    await page.getByRole('button', { name: 'Review and save' }).click();
    await dialog.getByRole('button', { name: 'Save' }).click();
    await page.getByText(/by admin/).waitFor();
    await until('the broker allows it', async () => {
      try {
        await client.publishAsync('alarms/pump-1', 'x', { qos: 1 });
        return true;
      } catch {
        return undefined;
      }
    });
    // Revoked, and found in the audit log.
    await showScreen(page, 'devices/pump-1');
    await page.getByRole('button', { name: 'Revoke' }).click();
    await dialog.getByRole('textbox').fill('pump-1');
    await dialog.getByRole('button', { name: 'Revoke' }).click();
    await page.getByText('revoked', { exact: true }).first().waitFor();
    await showScreen(page, 'audit');
    const actions = page.locator('table.audit td:nth-child(2)');
    await until('the audit log has everything', async () => {
      const shown = new Set(await actions.allInnerTexts());
      const wanted = [
        'token-created',
        'certificate-issued',
        'access-refused',
        'policy-changed',
        'device-revoked',
      ];
      return wanted.every((action) => shown.has(action)) || undefined;
    });
    t.deepEqual(faults, []);
  },
);

// The last test of this file, because it replaces the policy.
test.serial(
  'an administrator edits the policy: errors have a line, the effect is shown, brokers apply it',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet, page, faults } = world;
    const client = await fleet.mqtt(await fleet.device('edit-1'), {
      clientId: 'edit-1',
      protocolVersion: 5,
    });
    await client.subscribeAsync('devices/edit-1/commands/#', { qos: 1 });
    await showScreen(page, 'policy');
    await page.getByText(/valid, \d roles/).waitFor();
    await pasteInto(page, 'Policy (YAML)', 'version: 1\nroles:\n  device:\n    rules: 7\n');
    await page.getByText(/line 4, column/).waitFor();
    t.true(await page.getByRole('button', { name: 'Review and save' }).isDisabled());
    await pasteInto(
      page,
      'Policy (YAML)',
      "version: 1\nroles:\n  device:\n    rules:\n      - name: speak\n        allow: [publish]\n        topics: ['devices/{device}/#', 'alarms/{device}']\n",
    );
    await page.getByText('valid, 1 roles').waitFor();
    await page.getByLabel('Device', { exact: true }).fill('edit-1');
    await page.getByLabel('Topic or filter').fill('alarms/edit-1');
    await page.getByRole('button', { name: 'Explain' }).click();
    await page
      .getByRole('region', { name: 'Explain a decision' })
      .getByText('allowed', { exact: true })
      .waitFor();
    await page.getByRole('button', { name: 'Review and save' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('1 of 1 live subscriptions are removed').waitFor();
    // Somebody else saves meanwhile: nothing is overwritten unseen.
    const rule = "{ name: other, allow: [publish], topics: ['x/{device}'] }";
    const theirs = { text: `version: 1\nroles:\n  device:\n    rules: [${rule}]\n` };
    const headers = { 'if-match': '*' };
    const call = { method: 'PUT', path: '/v1/policy', ...fleet.enroll.admin } as const;
    t.is((await fleet.enroll.call({ ...call, headers, body: theirs })).status, 200);
    await dialog.getByRole('textbox').fill('remove 1');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('heading', { name: 'Changed meanwhile' }).waitFor();
    await page.getByLabel('Saved version').getByText('name: other').waitFor();
    t.deepEqual(await accessibilityFaults(page), [], 'conflict');
    await page.getByRole('button', { name: 'Replace theirs with mine' }).click();
    await page.getByRole('button', { name: 'Run the tests' }).click();
    await page.getByText('2 passed, 0 failed.').waitFor();
    await page.getByRole('button', { name: 'Review and save' }).click();
    await dialog.getByRole('button', { name: 'Save' }).waitFor();
    t.deepEqual(await accessibilityFaults(page), [], 'save');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await page.getByText('The policy is saved.').waitFor();
    await until('the broker applies it', async () => {
      try {
        await client.publishAsync('alarms/edit-1', 'x', { qos: 1 });
        return true;
      } catch {
        return undefined;
      }
    });
    const lines = await fleet.audit();
    t.true(lines.some(({ action, actor }) => action.startsWith('policy-') && actor === 'admin'));
    t.deepEqual(faults, []);
  },
);
