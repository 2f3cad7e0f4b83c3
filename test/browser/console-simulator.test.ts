import test from 'ava';
import { simulationProcesses } from '../../cli/lib/simulation-process.ts';
import { makeSecretFolder } from '../../core/atomic-file.ts';
import { writeRun } from '../../cli/lib/run-file.ts';
import {
  accessibilityFaults,
  chooseTheme,
  consoleWorld,
  pasteInto,
} from '../support/console-world.ts';

const plan = `name: tiny
fleet: [{ group: a, count: 3, id: 'tiny-{seed}-{n}', client: light, publish: [{ rate: 5/s }] }]
run: { removeDevices: true }
phases: [{ phase: enroll }, { phase: ramp }, { phase: steady, duration: 1s }]
thresholds: [devices.failed <= 0, messages.lost <= 0]
`;

test('an administrator corrects a plan, runs it, watches it, and reads and compares reports', async (t) => {
  const world = await consoleWorld(t, {
    simulationRunner: ({ root }) => simulationProcesses(root),
  });
  if (world === undefined) return;
  const { fleet, page, base, faults } = world;
  const { state, url } = fleet.enroll;
  const fingerprint = fleet.enroll.service.ca.fingerprint;
  await makeSecretFolder(state.run.folder);
  await writeRun(state.run.enroll, { https: { url }, fingerprint });
  await writeRun(state.run.broker, fleet.broker.addresses);
  await page.goto(`${base}/console/simulator`);
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
  for (const box of await page.getByRole('checkbox', { name: /^Choose/ }).all()) await box.check();
  await page.getByRole('button', { name: 'Compare two' }).click();
  await page.getByRole('cell', { name: 'latencyMs.endToEnd.p99' }).waitFor();
  await page.getByRole('link', { name: 'tiny' }).first().click();
  await page.getByRole('heading', { name: 'Thresholds' }).waitFor();
  await page.getByText('3 of 3 connected, 0 failed').waitFor();
  for (const theme of ['light', 'dark'] as const) {
    await chooseTheme(page, theme);
    t.deepEqual(await accessibilityFaults(page), [], theme);
  }
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
});
