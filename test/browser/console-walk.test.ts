import test from 'ava';
import { createCsr } from '../../certs/csr.ts';
import { generateKeySync, privateKeyPem } from '../../certs/key.ts';
import { issuedSchema } from '../../core/protocol/enrollment-api.ts';
import { consoleWorld } from '../support/console-world.ts';
import { until } from '../support/until.ts';

test('with the browser alone: a device is enrolled, seen, denied, allowed, revoked, and all of it is in the audit log', async (t) => {
  const world = await consoleWorld(t);
  if (world === undefined) return;
  const { fleet, page, base, faults } = world;
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
  await page.goto(`${base}/console/devices/pump-1?view=messages`);
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
  await page.goto(`${base}/console/devices/pump-1`);
  await page.getByRole('button', { name: 'Revoke' }).click();
  await dialog.getByRole('textbox').fill('pump-1');
  await dialog.getByRole('button', { name: 'Revoke' }).click();
  await page.getByText('revoked', { exact: true }).first().waitFor();
  await page.goto(`${base}/console/audit`);
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
});
