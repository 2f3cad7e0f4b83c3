/**
 * `node bench/enroll-kill-bench.ts`: kills the enrollment service (`kill -9`) 100 times while devices enroll, renew and
 * are revoked over HTTPS. Options: `--kills N`, `--seed S`, `--workers N` (clients at a time).
 *
 * The exit code is 1 when something acknowledged is missing in the registry, the audit log or the broker's directory,
 * when a token gave two certificates, or when `flotilla audit verify` or `flotilla check` reports a fault.
 *
 * @module
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runEnrollKills } from './kill/enroll-kill-run.ts';
import { seededNumbers } from './kill/seeded-numbers.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    workers: { type: 'string', default: '8' },
  },
});
const folder = await mkdtemp(join(tmpdir(), 'flotilla-enroll-kill-'));
const result = await runEnrollKills({
  folder,
  kills: Number(values.kills),
  workers: Number(values.workers),
  lifeMinMs: 100,
  lifeMaxMs: 3000,
  random: seededNumbers(Number(values.seed)),
  report: (line) => void process.stderr.write(`${line}\n`),
});
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
if (result.faults.length > 0) {
  process.exitCode = 1;
  process.stderr.write(`logs and state are in ${folder}\n`);
} else await rm(folder, { recursive: true });
