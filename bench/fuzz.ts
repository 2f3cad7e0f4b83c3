/**
 * Sends malformed MQTT to the session layer for minutes: `node bench/fuzz.ts [--seconds 600] [--seed N]
 * [--width 20]`. The exit code is 1 after an exception, a disturbed client, or a memory leak.
 *
 * @module
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parseArgs } from 'node:util';
import { silentLog } from '../core/log.ts';
import { runFuzz } from './fuzz/run-fuzz.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    width: { type: 'string', default: '20' },
  },
});
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const result = await runFuzz({
  seed: Number(values.seed),
  durationMs: Number(values.seconds) * 1000,
  width: Number(values.width),
  log: silentLog,
  collect,
});
const grown = result.heapAfterBytes / result.heapBeforeBytes - 1;
const ok = result.faults.length === 0 && result.healthyWorstMs < 1000 && grown < 0.2;
process.stdout.write(
  `${JSON.stringify({ ok, seed: Number(values.seed), seconds: Number(values.seconds), heapGrownPercent: Math.round(grown * 1000) / 10, ...result }, undefined, 2)}\n`,
);
process.exit(ok ? 0 : 1);
