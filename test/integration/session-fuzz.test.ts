import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import { runFuzz } from '../../bench/fuzz/run-fuzz.ts';
import { script } from '../../bench/fuzz/garbage.ts';
import { FuzzRandom } from '../../bench/fuzz/random.ts';
import { silentLog } from '../../core/log.ts';

test('the same seed makes the same garbage', (t) => {
  const make = (seed: number): string => {
    const random = new FuzzRandom(seed);
    return Array.from({ length: 20 }, () =>
      Buffer.concat(script(random).chunks).toString('hex'),
    ).join();
  };
  t.is(make(1), make(1));
  t.not(make(1), make(2));
});

test('seconds of garbage cause no exception, do not affect a healthy client, and leave nothing behind', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const seed = 20_260_101;
  const result = await runFuzz({ seed, durationMs: 4000, width: 10, log: silentLog, collect });
  t.deepEqual(result.faults, []);
  t.true(result.connections > 200, `${result.connections} connections`);
  t.true(result.healthyMessages > 20, JSON.stringify(result));
  t.true(result.heapAfterBytes < result.heapBeforeBytes * 1.2 + 2_000_000, JSON.stringify(result));
});
