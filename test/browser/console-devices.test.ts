import test from 'ava';
import {
  accessibilityFaults,
  chooseTheme,
  consoleOfFile,
  showScreen,
} from '../support/console-world.ts';
import { until } from '../support/until.ts';

const hostile =
  '<img src=x onerror="document.title=`taken`"><script>document.title="taken"</script>';

const open = consoleOfFile(test);

test.serial(
  'a person finds a device, sees why it was denied, suspends and revokes it, and finds that in the audit log',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet, page, faults } = world;
    const { asAdmin } = fleet.enroll;
    for (const id of ['pump-1', 'pump-2', 'valve-1']) {
      const shown = await fleet.device(id);
      const client = await fleet.mqtt(shown, { clientId: id, protocolVersion: 5 });
      if (id === 'pump-1') {
        await t.throwsAsync(client.publishAsync('alarms/pump-1/high', 'x', { qos: 1 }));
      }
    }

    // The list: a search from any page, filters in the address, live connections.
    await page.keyboard.press('/');
    await page.keyboard.type('pump');
    await page.keyboard.press('Enter');
    // The overview has links to devices too.
    await page.getByRole('heading', { name: 'Devices', exact: true }).waitFor();
    await page.getByText('2 match').waitFor();
    await page.getByRole('link', { name: 'pump-2' }).waitFor();
    t.is(await page.getByRole('link', { name: 'valve-1' }).count(), 0);
    t.is(new URL(page.url()).search, '?search=pump');
    await page.getByLabel('Connection').selectOption('online');
    await page.getByText('2 match').waitFor();
    await page.reload();
    await page.getByText('2 match').waitFor();

    // The device: its denial with the rule that would allow it.
    await page.getByRole('link', { name: 'pump-1' }).click();
    await page.getByText('alarms/pump-1/high').first().waitFor();
    await page.getByText('Why, and how to allow it').click();
    await page.getByText("topics: ['alarms/{device}/high']").waitFor();
    await page.getByText('127.0.0.1').first().waitFor();

    // Actions, with their effects.
    await page.getByRole('button', { name: 'Suspend' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Suspend' }).click();
    await page.getByText('suspended', { exact: true }).first().waitFor();
    t.is((await asAdmin('GET', '/v1/devices/pump-1')).body['status'], 'suspended');
    await page.getByRole('button', { name: 'Revoke' }).click();
    const dialog = page.getByRole('dialog');
    t.true(await dialog.getByRole('button', { name: 'Revoke' }).isDisabled());
    t.deepEqual(await accessibilityFaults(page), [], 'revoke');
    await dialog.getByLabel('Reason').selectOption('keyCompromise');
    await dialog.getByRole('textbox').fill('pump-1');
    await dialog.getByRole('button', { name: 'Revoke' }).click();
    await page.getByText('revoked', { exact: true }).first().waitFor();
    const lines = await fleet.audit();
    t.like(
      lines.findLast(({ action }) => action === 'device-suspended'),
      { device: 'pump-1', actor: 'admin' },
    );
    t.like(
      lines.findLast(({ action }) => action === 'device-revoked'),
      { device: 'pump-1', actor: 'admin', detail: { reason: 'keyCompromise' } },
    );

    // Its history has all of it.
    await page.getByRole('tab', { name: 'history' }).click();
    await page.getByText('keyCompromise').first().waitFor();
    await chooseTheme(page, 'dark');
    t.is(await page.evaluate<string>('document.documentElement.dataset.theme'), 'dark');
    const shown = {
      '': 'Overview',
      devices: 'Devices',
      'devices/pump-1': 'pump-1',
      'devices/pump-1?view=connect': 'pump-1',
    };
    for (const [path, heading] of Object.entries(shown)) {
      await showScreen(page, path);
      await page.getByRole('heading', { level: 1, name: heading }).waitFor();
      await page.locator('main .panel, main table').first().waitFor();
      t.deepEqual(await accessibilityFaults(page), [], path);
    }
    t.deepEqual(faults, []);
  },
);

test.serial(
  'a bulk action asks for the count, changes exactly the selected devices, and is in the audit log',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet, page } = world;
    for (const id of ['bulk-1', 'bulk-2', 'bulk-3']) await fleet.device(id);
    await showScreen(page, 'devices?search=bulk');
    await page.getByLabel('Select bulk-1').check();
    await page.getByLabel('Select bulk-2').check();
    await page.getByText('2 selected').waitFor();
    await page.getByRole('button', { name: 'Change group' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Group (empty: none)').fill(hostile);
    const confirm = dialog.getByRole('button', { name: 'Change group' });
    await dialog.getByLabel(/^Type/).fill('change group 3');
    t.true(await confirm.isDisabled());
    await dialog.getByLabel(/^Type/).fill('change group 2');
    await confirm.click();
    await page.getByText('2 of 2 done').waitFor();
    await page.getByRole('cell', { name: hostile }).first().waitFor();
    const { body } = await fleet.enroll.asAdmin('GET', '/v1/devices?prefix=bulk');
    const groups = (body['devices'] as { id: string; group: string | null }[]).map(
      ({ id, group }) => [id, group],
    );
    t.deepEqual(groups, [
      ['bulk-1', hostile],
      ['bulk-2', hostile],
      ['bulk-3', null],
    ]);
    const changed = (await fleet.audit()).filter(({ action }) => action === 'device-changed');
    t.deepEqual(changed.map(({ device }) => device).sort(), ['bulk-1', 'bulk-2']);
    t.not(await page.title(), 'taken');
  },
);

test.serial(
  'hostile attributes, topics and payloads stay text; messages and commands are live',
  async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { fleet, page, faults } = world;
    const client = await fleet.mqtt(await fleet.device('d1'), {
      clientId: 'd1',
      protocolVersion: 5,
    });
    await client.subscribeAsync('devices/d1/commands/#', { qos: 1 });
    const command = new Promise((resolve) =>
      client.once('message', (topic, payload, { properties }) => {
        const { responseTopic = '', correlationData = Buffer.alloc(0) } = properties ?? {};
        client.publish(responseTopic, hostile, { qos: 1, properties: { correlationData } });
        resolve([topic, payload.toString()]);
      }),
    );
    await fleet.enroll.asAdmin('PATCH', '/v1/devices/d1', {
      group: hostile.slice(0, 100),
      attributes: { note: hostile },
    });
    await showScreen(page, 'devices/d1');
    await page.getByText(hostile).first().waitFor();
    await page.getByRole('tab', { name: 'messages' }).click();
    await page.getByText('No message yet').waitFor();
    await until('the message is shown', async () => {
      await client.publishAsync(`devices/d1/${hostile.replaceAll('+', '')}`, hostile, { qos: 1 });
      return (await page.locator('.messages li').count()) > 0 || undefined;
    });
    t.is(await page.locator('.messages .payload').first().textContent(), hostile);
    // A command, with the reply of the device beside it.
    await page.getByRole('textbox', { name: 'Command' }).fill('reboot');
    await page.getByLabel('Payload').fill('{"delay":5}');
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    t.deepEqual(await command, ['devices/d1/commands/reboot', '{"delay":5}']);
    await page.getByText('with the correlation data of this command').waitFor();
    t.is(await page.locator('.commands .reply .payload').textContent(), hostile);
    t.deepEqual(await accessibilityFaults(page), [], 'messages');
    // Somebody else changes the device while it is edited here.
    await page.getByRole('button', { name: /^Edit group/ }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel(/^Group/).fill('mine');
    await fleet.enroll.asAdmin('PATCH', '/v1/devices/d1', { group: 'theirs' });
    await dialog.getByRole('button', { name: 'Save' }).click();
    await dialog.getByRole('cell', { name: 'theirs' }).waitFor();
    t.is((await fleet.enroll.asAdmin('GET', '/v1/devices/d1')).body['group'], 'theirs');
    t.deepEqual(await accessibilityFaults(page), [], 'conflict');
    await dialog.getByRole('button', { name: 'Save mine' }).click();
    await dialog.waitFor({ state: 'detached' });
    t.is((await fleet.enroll.asAdmin('GET', '/v1/devices/d1')).body['group'], 'mine');
    // What the policy denies.
    await showScreen(page, 'topics');
    await page.getByRole('textbox', { name: 'Topic', exact: true }).fill('other/x');
    await page.getByRole('button', { name: 'Publish' }).click();
    await page.getByText(/no rule of role admin allows .*other\/x; nearest/).waitFor();
    t.is(await page.locator('main img, main script').count(), 0);
    t.not(await page.title(), 'taken');
    t.deepEqual(faults, []);
  },
);
