import { statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openDurableStore } from '../../../../broker/store/durable-store.ts';
import type { SessionStore } from '../../../../broker/store/session-store.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { committed, storedMessage, wideLimits } from '../../../support/store-samples.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

test('a copy of an open store has everything that was committed, and the store works on', async (t) => {
  const folder = tempFolder(t);
  const clock = fakeClock();
  const open = (name: string): Promise<SessionStore> =>
    openDurableStore({ path: join(folder, name), limits: wideLimits, clock });
  const store = await open('store.sqlite');
  await store.load();
  const put = (topic: string): unknown => store.putRetained(storedMessage(topic));
  for (let at = 0; at < 2000; at++) put(`before/${at}`);
  await committed(store);
  const copying = store.copyTo?.(join(folder, 'copy.sqlite'));
  for (let at = 0; at < 2000; at++) put(`during/${at}`);
  await Promise.all([copying, committed(store)]);
  await t.throwsAsync(
    async () => store.copyTo?.(join(folder, 'copy.sqlite')),
    { code: 'store-open-failed' },
    'exists',
  );
  put('after');
  await committed(store);
  await store.close();
  t.is(statSync(join(folder, 'copy.sqlite')).mode & 0o777, 0o600);
  const copy = await open('copy.sqlite');
  await copy.load();
  t.is([...copy.retained('before/#')].length, 2000);
  t.is([...copy.retained('after')].length, 0);
  await copy.close();
});
