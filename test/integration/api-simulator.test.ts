import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { makeSecretFolder } from '../../core/atomic-file.ts';
import {
  simulatorSchema,
  simulationRunSchema,
  type SimulationProgress,
} from '../../core/protocol/simulation-api.ts';
import { simulationProcesses } from '../../cli/lib/simulation-process.ts';
import type {
  RunningSimulation,
  SimulationRunner,
  SimulationStart,
} from '../../enroll/simulations/simulation-runner.ts';
import { enrollService, type TestService } from '../support/enroll-service.ts';
import { followEvents } from '../support/event-stream.ts';
import { inventedReport } from '../support/sim-report.ts';
import { until } from '../support/until.ts';

const plan = 'name: small\nfleet: [{ group: a, count: 3 }]\nphases: [{ phase: enroll }]\n';
const progress: SimulationProgress = {
  atMs: 1000,
  phases: [{ name: 'enroll', sinceMs: 0, ofMs: null }],
  planned: 3,
  states: { online: 3 },
  totals: {
    enrolled: 3,
    published: 0,
    acknowledged: 0,
    delivered: 0,
    duplicated: 0,
    misdelivered: 0,
  },
  errors: {},
  point: null,
};

/** A runner whose runs end when they are stopped, or when the test ends them. */
class ManualRunner {
  readonly starts: SimulationStart[] = [];
  readonly #ends: ((outcome: 'passed' | 'failed') => void)[] = [];

  /** Reads and compares plans as the real one, and starts nothing. */
  runner(stateRoot: string): SimulationRunner {
    return {
      ...simulationProcesses(stateRoot),
      start: (run): RunningSimulation => {
        this.starts.push(run);
        const end = Promise.withResolvers<'passed' | 'failed'>();
        this.#ends.push(end.resolve);
        run.onProgress(progress);
        const ended = end.promise.then(async (outcome) => {
          const report = JSON.stringify(inventedReport({}));
          await writeFile(join(run.reportFolder, 'report.json'), report);
          await writeFile(join(run.reportFolder, 'report.html'), '<title>report</title>');
          return { outcome, failure: null };
        });
        return { ended, stop: () => end.resolve('failed') };
      },
    };
  }

  end(outcome: 'passed' | 'failed'): void {
    this.#ends.at(-1)?.(outcome);
  }
}

const idle = (service: TestService): Promise<boolean> =>
  until('no run is in progress', async () => {
    const { body } = await service.asAdmin('GET', '/v1/simulator');
    return body['live'] === null || undefined;
  });

test('an administrator starts, follows and stops a simulation; one runs at a time, the newest reports are kept', async (t) => {
  const manual = new ManualRunner();
  const service = await enrollService(t, {
    simulationRunner: ({ root }) => manual.runner(root),
    config: { limits: { enroll: { simulationsKeptMax: 2 } } },
  });
  const { asAdmin } = service;
  const events = await followEvents(t, {
    url: `${service.url}/v1/events?types=simulation`,
    ca: service.ca,
    ...service.admin,
  });
  const started = await asAdmin('POST', '/v1/simulator/runs', { plan });
  t.is(started.status, 201);
  const first = simulationRunSchema.parse(started.body);
  t.like(first, { plan: 'small', devices: 3, startedBy: 'admin', outcome: 'running' });
  const seen = await events.event('progress', ({ data }) => data['progress'] != null);
  t.deepEqual(seen.data['progress'], { ...progress });
  const busy = await asAdmin('POST', '/v1/simulator/runs', { plan });
  t.is(busy.body['code'], 'simulation-running');
  t.is(
    (await asAdmin('DELETE', `/v1/simulator/runs/${first.id}`)).body['code'],
    'simulation-running',
  );
  t.is((await asAdmin('POST', `/v1/simulator/runs/${first.id}/stop`)).status, 200);
  await idle(service);

  for (let turn = 0; turn < 2; turn++) {
    t.is((await asAdmin('POST', '/v1/simulator/runs', { plan })).status, 201);
    manual.end('passed');
    await idle(service);
  }
  const { runs } = simulatorSchema.parse((await asAdmin('GET', '/v1/simulator')).body);
  t.deepEqual(
    runs.map(({ outcome }) => outcome),
    ['passed', 'passed'],
  );
  t.deepEqual(
    (await readdir(service.state.simulations)).sort(),
    runs.map(({ id }) => id).toReversed(),
  );
  t.is((await asAdmin('GET', `/v1/simulator/runs/${first.id}`)).status, 404);
  const [newer, older] = runs;
  const report = await asAdmin('GET', `/v1/simulator/runs/${newer?.id}`);
  t.like(report.body, { run: { id: newer?.id } });
  const compared = await asAdmin('GET', `/v1/simulator/compare?a=${older?.id}&b=${newer?.id}`);
  t.true(Array.isArray(compared.body['figures']));
  await until('the audit log has both lines of each run', async () => {
    const lines = await service.audit();
    const count = (action: string): number => lines.filter((one) => one.action === action).length;
    return (count('simulation-started') === 3 && count('simulation-ended') === 3) || undefined;
  });
});

test('the page of a report is shown without an origin and cannot load anything', async (t) => {
  const manual = new ManualRunner();
  const service = await enrollService(t, { simulationRunner: ({ root }) => manual.runner(root) });
  const run = simulationRunSchema.parse(
    (await service.asAdmin('POST', '/v1/simulator/runs', { plan })).body,
  );
  manual.end('failed');
  await idle(service);
  const page = await service.asAdmin('GET', `/v1/simulator/runs/${run.id}/report.html`);
  t.regex(
    String(page.headers['content-security-policy']),
    /^sandbox allow-scripts; default-src 'none'/,
  );
  for (const id of ['..', '%2e%2e', 'x/../..', '20260101t000000000-00000000']) {
    const answer = await service.asAdmin('GET', `/v1/simulator/runs/${id}/report.json`);
    t.is(answer.status, 404, id);
  }
});

test('plans that read files, connect elsewhere, are too large or are wrong are not run', async (t) => {
  const manual = new ManualRunner();
  const service = await enrollService(t, {
    simulationRunner: ({ root }) => manual.runner(root),
    config: { limits: { enroll: { simulationDevicesMax: 2 } } },
  });
  const refused = {
    replay:
      'name: a\nfleet: [{ group: a, count: 1, publish: [{ rate: 1/s, payload: { kind: replay, file: /etc/passwd } }] }]\nphases: [{ phase: enroll }]\n',
    brokers: plan.replace('phases', 'run: { brokers: ["192.0.2.1:8883"] }\nphases'),
    agents: plan.replace('phases', 'run: { agents: [other] }\nphases'),
    'exceed the limit of 2': plan,
    'unknown setting': 'name: a\nnonsense: 1\n',
  };
  for (const [reason, text] of Object.entries(refused)) {
    const checked = await service.asAdmin('POST', '/v1/simulator/check', { plan: text });
    t.false(checked.body['ok'], reason);
    t.true(JSON.stringify(checked.body['error']).includes(reason), JSON.stringify(checked.body));
    const answer = await service.asAdmin('POST', '/v1/simulator/runs', { plan: text });
    t.is(answer.body['code'], 'simulation-refused', reason);
  }
  t.is(manual.starts.length, 0);
});

test('operators and viewers start and stop nothing; a service without a runner says so; a run that a stop interrupted is marked', async (t) => {
  const manual = new ManualRunner();
  const service = await enrollService(t, { simulationRunner: ({ root }) => manual.runner(root) });
  const { id } = simulationRunSchema.parse(
    (await service.asAdmin('POST', '/v1/simulator/runs', { plan })).body,
  );
  for (const role of ['viewer', 'operator']) {
    await service.asAdmin('PUT', `/v1/operators/${role}`, { role });
    const made = await service.asAdmin('POST', '/v1/keys', { name: 'ci', operator: role });
    const { key } = made.body;
    for (const path of ['/v1/simulator/runs', `/v1/simulator/runs/${id}/stop`]) {
      const answer = await service.call({
        method: 'POST',
        path,
        bearer: String(key),
        ...(path.endsWith('runs') ? { body: { plan } } : {}),
      });
      t.is(answer.status, 403, `${role} ${path}`);
    }
  }
  const run = simulationRunSchema.parse({
    id: '20260101t000000000-00000000',
    plan: 'lost',
    devices: 1,
    startedAt: '2026-01-01T00:00:00.000Z',
    startedBy: 'admin',
    endedAt: null,
    outcome: 'running',
    failure: null,
    hasReport: false,
  });
  const other = await service.restart({}, async () => {
    const folder = join(service.state.simulations, run.id);
    await makeSecretFolder(folder);
    await writeFile(join(folder, 'run.json'), JSON.stringify(run));
  });
  const { runs } = simulatorSchema.parse((await other.asAdmin('GET', '/v1/simulator')).body);
  t.like(
    runs.find((one) => one.id === run.id),
    { outcome: 'error', failure: 'the service stopped while it ran' },
  );
  // A stop of the service stops the run, and its end is recorded.
  t.like(
    runs.find((one) => one.id === id),
    { outcome: 'failed', hasReport: true },
  );
  const bare = await enrollService(t);
  t.like((await bare.asAdmin('GET', '/v1/simulator')).body, { available: false, runs: [] });
  const answer = await bare.asAdmin('POST', '/v1/simulator/runs', { plan });
  t.is(answer.body['code'], 'simulator-missing');
});
