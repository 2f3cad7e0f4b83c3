/** What is written at the end of a turn, and what waits for the next one. */
import test from 'ava';
import { drainLinks } from '../../../../../broker/fronts/front-ports.ts';
import {
  WriteScheduler,
  type FlushTarget,
} from '../../../../../broker/session/connection/write-scheduler.ts';
import { Counters } from '../../../../../broker/session/state/context.ts';
import { openMemoryStore } from '../../../../../broker/store/memory-store.ts';
import { storeLimits } from '../../../../../broker/store/open-store.ts';
import { checkConfig } from '../../../../../core/config/config.ts';
import { silentLog } from '../../../../../core/log.ts';
import { fakeClock } from '../../../../support/fake-clock.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A scheduler, and connections whose writes take 1 ms each. */
function slowWrites() {
  const clock = fakeClock();
  const limits = storeLimits(checkConfig({}).limits.broker);
  const scheduler = new WriteScheduler({
    clock,
    counters: new Counters(),
    events: {},
    log: silentLog,
    store: openMemoryStore({ limits, clock }),
  });
  const written: string[] = [];
  const connection = (name: string): FlushTarget => ({
    flush() {
      clock.advance(1);
      written.push(name);
    },
  });
  const ready = (name: string, count: number): void => {
    for (let n = 0; n < count; n++) scheduler.ready(connection(`${name}${n}`));
  };
  return { clock, scheduler, written, ready };
}

test('the writes to many connections are spread over turns, and those to a few leave at once', async (t) => {
  const { scheduler, written, ready } = slowWrites();
  ready('few', 20);
  await nextTurn();
  t.is(written.length, 20);
  t.false(scheduler.isBehind);
  ready('many', 1000);
  await nextTurn();
  t.true(scheduler.isBehind);
  t.is(written.length, 20 + 32);
  ready('late', 1);
  for (let turn = 0; scheduler.isBehind; turn++) {
    const before = written.length;
    await nextTurn();
    t.true(written.length > before && written.length <= before + 64, `turn ${turn}`);
  }
  t.deepEqual(
    written.slice(20),
    [...Array.from({ length: 1000 }, (_, n) => `many${n}`), 'late0'],
    'in the order in which they became ready',
  );
});

test('writing that falls behind has as much time as everything else', async (t) => {
  const { clock, scheduler, written, ready } = slowWrites();
  ready('a', 1000);
  await nextTurn();
  clock.advance(200);
  const before = written.length;
  await nextTurn();
  t.true(written.length - before >= 200);
  t.true(scheduler.isBehind);
});

test('a front is not read, and the memory of its frames is not freed, until all was written', async (t) => {
  const { scheduler, written, ready } = slowWrites();
  const calls: string[] = [];
  const link = {
    receive() {
      calls.push('receive');
      ready('all', calls.length === 1 ? 40 : 0);
    },
    send: () => void calls.push('send'),
    release: () => void calls.push('release'),
  };
  drainLinks([link], scheduler);
  t.deepEqual(calls, ['receive', 'send']);
  drainLinks([link], scheduler);
  t.deepEqual(calls.slice(2), ['send', 'release']);
  t.is(written.length, 40);
  drainLinks([link], scheduler);
  t.deepEqual(calls.slice(4), ['receive', 'send', 'release']);
  await nextTurn();
  t.is(written.length, 40, 'once each');
});
