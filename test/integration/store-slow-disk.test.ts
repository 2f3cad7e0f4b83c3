import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openDurableStore } from '../../broker/store/durable-store.ts';
import { systemClock } from '../../core/clock.ts';
import { startWorld } from '../support/session-world.ts';
import { wideLimits } from '../support/store-samples.ts';
import { tempFolder } from '../support/temp-folder.ts';

const gated = new URL('../support/store-gated-worker.ts', import.meta.url);

test('while the disk does not respond, only clients wait whose messages must be stored', async (t) => {
  const path = join(tempFolder(t), 'store.sqlite');
  const store = await openDurableStore({
    path,
    limits: wideLimits,
    clock: systemClock,
    worker: gated,
  });
  const world = await startWorld(t, { store });
  const absent = await world.connect({ clientId: 'absent', clean: false });
  await absent.subscribe('kept/#', 1);
  await absent.disconnect();
  const present = await world.connect({ clientId: 'present' });
  await present.subscribe('#', 1);
  const storing = await world.connect({ clientId: 'storing' });
  const other = await world.connect({ clientId: 'other' });

  writeFileSync(`${path}.gate`, '');
  const goOn = (): void => rmSync(`${path}.gate`, { force: true });
  t.teardown(goOn);
  storing.publish('kept/one', 'for both', { qos: 1 });
  t.is(
    String((await present.next('publish')).payload),
    'for both',
    'a connected subscriber gets it at once',
  );
  await storing.settle();
  t.false(
    storing.packets.some(({ cmd }) => cmd === 'puback'),
    'no PUBACK before the message is on the disk',
  );
  // The same connection continues with QoS 0, another one with QoS 0 and with QoS 1 messages that are not
  // stored.
  storing.publish('live/one', 'now');
  other.publish('live/two', 'now');
  other.publish('live/three', 'now', { qos: 1 });
  await other.next('puback');
  const topics = (await present.received()).map(({ topic }) => topic).sort();
  t.deepEqual(topics, ['live/one', 'live/three', 'live/two']);
  t.false(storing.packets.some(({ cmd }) => cmd === 'puback'));
  const newcomer = await world.connect({ clientId: 'newcomer' });
  await newcomer.subscribe('x', 0);

  goOn();
  await storing.next('puback');
  const back = await world.connect({ clientId: 'absent', clean: false });
  t.is(String((await back.next('publish')).payload), 'for both');
});
