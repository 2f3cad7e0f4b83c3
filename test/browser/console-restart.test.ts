import test from 'ava';
import { consoleWorld } from '../support/console-world.ts';

test('a page that is open while the service restarts says so, connects again and reads the list again', async (t) => {
  const world = await consoleWorld(t);
  if (world === undefined) return;
  const { fleet, page, base, faults } = world;
  const { enroll } = fleet;
  await enroll.device('d1');
  await page.goto(`${base}/console/devices`);
  await page.getByText('1 in all').waitFor();
  await enroll.device('d2');
  t.is(await page.getByRole('link', { name: 'd2' }).count(), 0);
  const port = Number(new URL(enroll.url).port);
  await enroll.restart({ enroll: { port } }, () =>
    page.getByText('Connection to the service lost').waitFor(),
  );
  await page.getByRole('link', { name: 'd2' }).waitFor();
  await page.getByText('Connection to the service lost').waitFor({ state: 'detached' });
  await page.getByText('2 in all').waitFor();
  t.deepEqual(faults, []);
});
