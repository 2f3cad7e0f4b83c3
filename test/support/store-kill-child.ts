/**
 * A process that is killed while it writes: it queues messages as fast as possible and prints the number
 * of messages after each commit. Its argument is the path of the store.
 *
 * @module
 */
import { systemClock } from '../../core/clock.ts';
import { openDurableStore } from '../../broker/store/durable-store.ts';
import { deliveryOf, sessionRecord, storedMessage, wideLimits } from './store-samples.ts';

const store = await openDurableStore({
  path: process.argv[2] ?? '',
  limits: wideLimits,
  clock: systemClock,
});
const { sessions } = await store.load();
if (sessions.length === 0) store.putSession(sessionRecord('a'));
let last = sessions[0]?.queue.messages ?? 0;

const turn = (): void => {
  for (let count = 0; count < 7; count++) {
    last++;
    store.enqueue('a', deliveryOf(storedMessage('t', `${last}`)));
  }
  const said = last;
  store.afterCommit((error) => {
    if (error === undefined) process.stdout.write(`committed ${said}\n`);
    else process.exitCode = 1;
  });
  if (store.congested) store.afterCommit(turn);
  else setImmediate(turn);
};
turn();
