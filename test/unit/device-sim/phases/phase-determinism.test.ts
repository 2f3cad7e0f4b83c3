import test from 'ava';
import { silentLog } from '../../../../core/log.ts';
import { WorkerPool, WorkerHandle } from '../../../../device-sim/worker/worker-pool.ts';
import { RunStats } from '../../../../device-sim/stats/run-stats.ts';
import { runPhase } from '../../../../device-sim/phases/phase-registry.ts';
import { phasesOf } from '../../../../device-sim/plan/phase-names.ts';
import { parsePlan } from '../../../../device-sim/plan/read-plan.ts';
import { rosterOf } from '../../../../device-sim/fleet/roster.ts';
import { SharedClock } from '../../../../device-sim/traffic/shared-clock.ts';
import type { CallName } from '../../../../device-sim/worker/protocol.ts';

const refused = { outcome: 'refused', reason: 'no', resumeOffered: false, resumed: false };
/** The replies of a worker; null for all other calls. */
const answers: Partial<Record<CallName, unknown>> = {
  awaitOnline: { missing: [] },
  attempt: { ...refused, elapsedMs: 1 },
  drops: { drops: 0 },
  leaks: { topics: [] },
  status: [],
  subscribe: { code: 0x80, reason: 'refused' },
  publish: { failure: null, stillOnline: true },
  renew: { failed: [] },
};

/** The calls of a phase to the workers, in order, with times relative to the first of each call. */
async function callsOf(phase: string, seed: string): Promise<string[]> {
  const plan = parsePlan(`name: drawn\nfleet: [{ group: a, count: 60 }]\nphases:\n  - ${phase}\n`);
  const [only] = phasesOf(plan);
  if (only === undefined) throw new Error('no phase');
  const calls: string[] = [];
  const worker = new WorkerHandle(
    ({ message }) => ({
      label: 'recorder',
      send: ({ call, name, params }) => {
        const since = (times: number[]): number[] =>
          times.map((ms) => Math.round(ms - (times[0] ?? 0)));
        calls.push(
          `${name} ${JSON.stringify(params, (key, value: unknown) =>
            (key === 'atMs' || key === 'backAtMs') && Array.isArray(value)
              ? since(value.map(Number))
              : key === 'payload' || key === 'timeoutMs'
                ? undefined
                : value,
          )}`,
        );
        message({ kind: 'result', call, result: answers[name] ?? null });
      },
      kill: () => undefined,
    }),
    () => undefined,
    () => undefined,
  );
  const roster = rosterOf(plan, seed);
  const all = only.spec.phase === 'ramp' ? [] : roster.numbersOf();
  await runPhase(only.spec, {
    name: only.name,
    plan,
    seed,
    run: '00000000',
    roster,
    pool: new WorkerPool([worker], []),
    brokers: [{ host: '127.0.0.1', port: 1, ca: '' }],
    api: undefined,
    credentialStore: {
      find: () => Promise.resolve(new Map()),
      save: () => Promise.resolve(),
      remove: () => Promise.resolve(),
    },
    stats: new RunStats(0, () => undefined),
    fleet: {
      retired: new Set(),
      failed: new Map(),
      joined: new Set(all),
      keys: new Set(),
      enrolled: 0,
    },
    clock: new SharedClock(),
    log: silentLog,
    signal: new AbortController().signal,
  });
  return calls;
}

for (const phase of [
  '{ phase: ramp, rate: 1000 }',
  '{ phase: reconnect-storm, share: 0.5, within: 100ms }',
  '{ phase: churn, duration: 200ms, rate: 50, away: 50ms }',
  '{ phase: clone-attack, devices: 3, attempts: 1 }',
  '{ phase: acl-probe, devices: 3 }',
]) {
  test(`the seed determines the devices, times and actions of a phase: ${phase}`, async (t) => {
    const first = await callsOf(phase, '42');
    t.true(first.length > 0);
    t.deepEqual(await callsOf(phase, '42'), first);
    t.notDeepEqual(await callsOf(phase, '43'), first);
  });
}
