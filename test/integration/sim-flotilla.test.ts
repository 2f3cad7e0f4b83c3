import { readdir, readFile } from 'node:fs/promises';
import test from 'ava';
import { systemClock } from '../../core/clock.ts';
import { deviceSchema } from '../../core/protocol/enrollment-api.ts';
import { callHttps, callJson } from '../../core/protocol/https-client.ts';
import { silentLog } from '../../core/log.ts';
import type { Plan } from '../../device-sim/plan/plan-schema.ts';
import { parsePlan, quickPlan, readPlan } from '../../device-sim/plan/read-plan.ts';
import { commentedPlan } from '../../device-sim/plan/commented-plan.ts';
import { prepareFleet } from '../../device-sim/prepare.ts';
import type { Report } from '../../device-sim/report/report-model.ts';
import type { SimulationDeps } from '../../device-sim/controller/simulation.ts';
import { runSimulation, startFleet } from '../../device-sim/run.ts';
import type { FlotillaTarget } from '../../device-sim/fleet/target.ts';
import { certificateFolder, hasMosquitto, startMosquitto } from '../support/sim-mosquitto.ts';
import { simFlotilla } from '../support/sim-flotilla.ts';
import { smallPlan } from '../support/sim-small-plan.ts';
import { prepareFolder } from '../../device-sim/prepare.ts';
import { tempFolder } from '../support/temp-folder.ts';

const plansFolder = new URL('../../examples/plans/', import.meta.url);

function deps(
  target: SimulationDeps['target'],
  overrides: Partial<SimulationDeps> = {},
): SimulationDeps {
  return {
    target,
    log: silentLog,
    clock: systemClock,
    progress: () => undefined,
    signal: new AbortController().signal,
    inProcess: true,
    ...overrides,
  };
}

function evidence(report: Report): string {
  return JSON.stringify(
    {
      thresholds: report.thresholds,
      phases: report.phases.map(({ name, evidence }) => [name, evidence]),
      notes: report.notes,
      failure: report.failure,
    },
    null,
    1,
  );
}

/** The sample plans that run against a Flotilla; the others are for another broker. */
const samples = [
  'first.yaml',
  'smoke.yaml',
  'security.yaml',
  'commands.yaml',
  'ten-thousand.yaml',
  'twenty-thousand.yaml',
  'soak.yaml',
];
const elsewhere = ['mosquitto.yaml', 'emqx.yaml'];

test('these tests run every sample plan', async (t) => {
  const files = (await readdir(plansFolder)).filter((name) => name.endsWith('.yaml'));
  t.deepEqual(files.toSorted(), [...samples, ...elsewhere].toSorted());
  t.is(
    await readFile(new URL('first.yaml', plansFolder), 'utf8'),
    commentedPlan,
    'sim init writes this plan',
  );
});

for (const name of samples) {
  test(`the sample ${name} passes against a Flotilla, at a small size`, async (t) => {
    const target = await simFlotilla(t);
    const plan = smallPlan(await readPlan(new URL(name, plansFolder).pathname));
    const report = await runSimulation(plan, deps(target));
    t.true(report.ok, evidence(report));
    t.is(report.devices.connected, report.devices.planned);
    t.is(report.devices.distinctKeys, report.devices.planned);
    t.true(report.messages.delivered > 0);
  });
}

for (const name of elsewhere) {
  const run =
    hasMosquitto() || process.env['FLOTILLA_TEST_NO_SKIP'] !== undefined ? test : test.skip;
  run(`the sample ${name} passes against another broker, with prepared certificates`, async (t) => {
    const plan = smallPlan(await readPlan(new URL(name, plansFolder).pathname));
    const folder = tempFolder(t);
    await prepareFolder(plan, folder, ['localhost', '127.0.0.1'], systemClock);
    const made = await certificateFolder([]);
    t.teardown(() => made.close());
    const broker = await startMosquitto({
      ...made,
      folder,
      add: () => Promise.resolve({ key: '', chain: '' }),
    });
    t.teardown(() => broker.close());
    const report = await runSimulation(plan, deps({ mqtts: broker, certificates: folder }));
    t.true(report.ok, evidence(report));
  });
}

test('the report has all public keys', async (t) => {
  const target = await simFlotilla(t);
  const report = await runSimulation(
    quickPlan({ devices: 5, durationMs: 1000, ratePerSecond: 2, qos: 1, seed: '7' }),
    deps(target),
  );
  t.true(report.ok, evidence(report));
  t.is(report.seed, '7');
  t.like(report.devices, { planned: 5, enrolled: 5, connected: 5, failed: 0 });
  t.deepEqual(report.messages, {
    published: 10,
    acknowledged: 10,
    expected: 10,
    delivered: 10,
    lost: 0,
    duplicated: 0,
    misdelivered: 0,
  });
  for (const timer of ['enroll', 'handshake', 'connect', 'publishAck', 'endToEnd'] as const) {
    t.deepEqual(Object.keys(report.latencyMs[timer]), ['p50', 'p95', 'p99', 'max', 'count']);
    t.true(report.latencyMs[timer].count > 0, timer);
  }
  t.true(
    report.rates.enrollPerSecond > 0 &&
      report.rates.connectPerSecond > 0 &&
      report.rates.publishPerSecond > 0,
  );
  t.deepEqual(Object.keys(report.thresholds[0]!), ['name', 'limit', 'value', 'ok']);
  // The devices stay in the registry; the observer is removed.
  const admin = { ca: target.ca, ...target.admin };
  const device = await callJson(
    { method: 'GET', url: `${target.enrollUrl}/v1/devices/sim-7-0001`, ...admin },
    deviceSchema,
  );
  t.is(device.status, 'active');
  const observer = await callHttps({
    method: 'GET',
    url: `${target.enrollUrl}/v1/devices/sim-observer-${report.run}-1`,
    ...admin,
  });
  t.is(observer.status, 404);
});

test('a prepared fleet does not enroll again, and a revoked device gets a new certificate', async (t) => {
  const target: FlotillaTarget = await simFlotilla(t);
  const plan: Plan = parsePlan(`
name: kept
fleet: [{ group: k, count: 6, client: light, publish: [{ rate: 2 }] }]
run: { keep: true }
phases:
  - phase: enroll
  - { phase: ramp, rate: 100 }
  - { phase: mass-renewal, over: 200ms, groups: [k] }
  - { phase: mass-renewal, name: due, when: due, over: 200ms, groups: [k] }
  - { phase: revocation-drill, devices: 1 }
  - { phase: steady, duration: 500ms }
`);
  t.like(await prepareFleet(plan, deps(target)), { devices: 6, reused: 0, failed: 0 });
  t.like(await prepareFleet(plan, deps(target)), { devices: 6, reused: 6, failed: 0 });
  const first = await runSimulation(plan, deps(target));
  t.true(first.ok, evidence(first));
  t.like(first.phases[0]!.figures, { reused: 6, enrolled: 0 });
  const due = first.phases.find(({ name }) => name === 'due');
  t.like(due?.figures, { renewed: 0, notDue: 6, failed: 0 });
  t.is(first.devices.retired, 1);
  // Renewed certificates are stored, the revoked one is not.
  const phases = plan.phases.filter(
    (step) => !('phase' in step) || step.phase !== 'revocation-drill',
  );
  const next = await runSimulation({ ...plan, phases }, deps(target));
  t.like(next.phases[0]!.figures, { reused: 5 });
});

test('a demo fleet runs until it is stopped', async (t) => {
  const target = await simFlotilla(t);
  const stop = new AbortController();
  const report = await startFleet(
    { devices: 3, ratePerSecond: 5 },
    deps(target, {
      signal: stop.signal,
      progress: ({ totals }) => {
        if (totals.delivered >= 10) stop.abort();
      },
    }),
  );
  t.true(report.aborted);
  t.is(report.devices.connected, 3);
  t.is(report.messages.lost, 0);
});
