/**
 * `node bench/failover-bench.ts`: disturbs two brokers with a PostgreSQL database and its synchronous standby under QoS 1
 * and 2 load. It starts both servers itself from Debian's package postgresql. Options:
 * `--nemesis kill|freeze|database|restart|all`, `--rounds N` (of each), `--seed S`. The exit code is 1 when an acknowledged
 * message was lost, a QoS 2 message was delivered twice or out of order, a session was lost, or a broker that was replaced
 * did not end.
 *
 * @module
 */
import { parseArgs } from 'node:util';
import { freePort } from './brokers.ts';
import { makeCertificates } from './certificates.ts';
import { clientNames, Clients } from './clients.ts';
import { nemeses, runFailovers, type FailoverRound } from './failover/failover-run.ts';
import { PostgresPair } from './failover/postgres-pair.ts';
import { seededNumbers } from './kill/seeded-numbers.ts';
import { TwoMachines } from './kill/two-machines.ts';

const lostShownMax = 20;

const { values } = parseArgs({
  options: {
    nemesis: { type: 'string', default: 'all' },
    rounds: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
  },
});
// The servers of the database end with this process.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
const chosen = nemeses.filter((one) => values.nemesis === 'all' || values.nemesis === one);
if (chosen.length === 0) throw new Error(`--nemesis is one of ${nemeses.join(', ')}, all`);
const plan = Array.from({ length: Number(values.rounds) }, () => chosen).flat();
const certificates = await makeCertificates(clientNames.slice(0, 40));
const database = await PostgresPair.make();
const ports = [await freePort(), await freePort()];
const machines = await TwoMachines.make(certificates, ports, database.url);
try {
  const { rounds, ...result } = await runFailovers({
    ...{ rounds: plan, machines, database },
    targets: ports.map((port) => ({ host: '127.0.0.1', port })),
    clients: new Clients(certificates),
    random: seededNumbers(Number(values.seed)),
    report: (line) => void process.stderr.write(`${line}\n`),
  });
  const times = Object.fromEntries(chosen.map((one) => [one, timesOf(rounds, one)]));
  const lost = { count: result.lost.length, first: result.lost.slice(0, lostShownMax) };
  const shown = { seed: Number(values.seed), times, ...result, lost };
  process.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
  const wrong = result.lost.length + result.duplicatedQos2.length + result.faults.length;
  if (wrong + result.outOfOrderQos2 + result.sessionsLost > 0) process.exitCode = 1;
} finally {
  machines.close();
  await database.close();
  await certificates.remove();
}

/** For each kind of time: how many rounds have it, and p50, p99 and the longest, in ms. */
function timesOf(all: readonly FailoverRound[], nemesis: string): Record<string, string> {
  const rounds = all.filter((one) => one.nemesis === nemesis);
  const kinds = [
    ...['stallMs', 'takeoverMs', 'frozenMs', 'fencedMs', 'unreachableMs'],
    ...['promotedMs', 'redundantMs'],
  ] as const;
  const texts = kinds.map((kind): [string, string] => {
    const sorted = rounds
      .flatMap((round) => Object.entries(round).filter(([key]) => key === kind))
      .map(([, value]) => Number(value))
      .filter((value) => Number.isFinite(value))
      .sort((one, other) => one - other);
    const at = (share: number): number =>
      Math.round(sorted[Math.ceil(share * sorted.length) - 1] ?? 0);
    return [kind, `${sorted.length} rounds: p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)}`];
  });
  return Object.fromEntries(texts.filter(([, text]) => !text.startsWith('0 ')));
}
