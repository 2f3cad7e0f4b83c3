import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { systemClock } from '../../core/clock.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { silentLog } from '../../core/log.ts';
import { listeningPid, usageOf } from '../../device-sim/controller/broker-process.ts';
import { parsePlan } from '../../device-sim/plan/read-plan.ts';
import { prepareFolder } from '../../device-sim/prepare.ts';
import { progressLine, type Progress } from '../../device-sim/view/progress.ts';
import { comparisonOf, comparisonText, readReport } from '../../device-sim/report/compare.ts';
import { compareHtml } from '../../device-sim/report/compare-html.ts';
import type { Report } from '../../device-sim/report/report-model.ts';
import { writeReport } from '../../device-sim/report/write-report.ts';
import type { SimulationDeps } from '../../device-sim/controller/simulation.ts';
import { runSimulation } from '../../device-sim/run.ts';
import { startRunMetrics } from '../../device-sim/view/prometheus.ts';
import { runChild } from '../support/child.ts';
import { debianTool } from '../support/debian-tool.ts';
import { Screen } from '../../device-sim/view/screen.ts';
import {
  certificateFolder,
  hasMosquitto,
  startMosquitto,
  type TestBroker,
  type TestFolder,
} from '../support/sim-mosquitto.ts';

const there = hasMosquitto() || process.env['FLOTILLA_TEST_NO_SKIP'] !== undefined;
const when = there ? test : test.skip;
if (!there) test('these tests are skipped because mosquitto is not installed', (t) => t.pass());

let folder: TestFolder;
let broker: TestBroker;
const names = (prefix: string, count: number): string[] =>
  Array.from(
    { length: count },
    (_item, index) => `${prefix}-${(index + 1).toString().padStart(4, '0')}`,
  );

test.before(async () => {
  if (!there) return;
  folder = await certificateFolder(
    ['meters', 'kept', 'forked', 'drill', 'stopped', 'seed'].flatMap((group) => names(group, 8)),
  );
  broker = await startMosquitto(folder);
});
test.after.always(async () => {
  if (!there) return;
  await broker.close();
  await folder.close();
});

function deps(overrides: Partial<SimulationDeps> = {}): SimulationDeps {
  return {
    target: { mqtts: broker, certificates: folder.folder },
    log: silentLog,
    clock: systemClock,
    progress: () => undefined,
    signal: new AbortController().signal,
    inProcess: true,
    ...overrides,
  };
}

function plan(group: string, phases: string, more = ''): ReturnType<typeof parsePlan> {
  return parsePlan(`
name: test
fleet:
  - group: ${group}
    count: 8
    ${more}
    publish: [{ rate: 10, payload: { kind: walk } }]
phases:
  - phase: enroll
  - { phase: ramp, rate: 100 }
${phases}`);
}

when('a fleet runs against any broker, and every message is counted', async (t) => {
  const seen: Progress[] = [];
  const metrics = await startRunMetrics({ host: '127.0.0.1', port: 0 });
  t.teardown(() => metrics.close());
  const screen = new Screen({ paint: (_color, text) => text, ending: () => 'Ctrl-C ends it' });
  const progress = (event: Progress): void => {
    seen.push(event);
    metrics.update(event);
    screen.update(event);
  };
  const report = await runSimulation(
    plan('meters', '  - { phase: steady, duration: 2s }'),
    deps({ progress }),
  );
  t.true(report.ok, JSON.stringify(report.thresholds));
  t.like(report.devices, { planned: 8, enrolled: 8, connected: 8, failed: 0, distinctKeys: 8 });
  t.like(report.messages, {
    published: 160,
    acknowledged: 160,
    expected: 160,
    delivered: 160,
    lost: 0,
    misdelivered: 0,
  });
  t.is(report.latencyMs.endToEnd.count, 160);
  t.true(
    report.latencyMs.endToEnd.p50 > 0 &&
      report.latencyMs.endToEnd.p50 <= report.latencyMs.endToEnd.max,
  );
  t.true(report.broker.local);
  t.is(listeningPid(broker), broker.pid);
  t.true((usageOf(broker.pid)?.rssBytes ?? 0) > 1_000_000);
  t.true(seen.some(({ kind }) => kind === 'second'));
  t.regex(seen.map(progressLine).join('\n'), /steady: {2}8\/8 online.*received\/s/);
  const text = await (await fetch(metrics.url)).text();
  t.regex(text, /flotilla_sim_devices\{plan="test",seed="[^"]+",state="online"\} 8/);
  t.regex(text, /# TYPE flotilla_sim_messages_total counter/);
  const promtool = debianTool(t, 'promtool');
  if (promtool !== undefined) {
    const checked = await runChild(t, promtool, ['check', 'metrics'], { input: text });
    t.is(`${checked.code} ${checked.stdout}${checked.stderr}`, '0 ');
  }
  const lines = screen.render(80, 24).split('\n');
  t.true(lines.length <= 24 && lines.every((line) => line.length <= 80));
  t.regex(lines.join('\n'), /8 online {2}of 8/);
});

when('workers in processes of their own give the same counts', async (t) => {
  const report = await runSimulation(
    parsePlan(`
name: forked
fleet: [{ group: forked, count: 8, client: light, mqtt: "5.0", publish: [{ rate: 10 }] }]
run: { workers: 2, observers: 2 }
phases:
  - phase: enroll
  - { phase: ramp, rate: 100 }
  - { phase: steady, duration: 1s }
`),
    deps({ inProcess: false }),
  );
  t.true(report.ok, JSON.stringify(report.thresholds));
  // With two observers, each must receive every message.
  t.like(report.messages, { published: 80, expected: 160, delivered: 160, lost: 0 });
  t.is(report.simulator.workers, 2);
});

when('a kept session receives queued commands, and a reconnect storm passes', async (t) => {
  const report = await runSimulation(
    plan(
      'kept',
      `  - { phase: offline-queue, devices: 3, messages: 5 }
  - { phase: command-roundtrip, duration: 1s, rate: 20 }
  - { phase: reconnect-storm, within: 100ms, how: abrupt }`,
      'session: kept',
    ),
    deps(),
  );
  t.true(report.ok, JSON.stringify(report.phases.map(({ evidence }) => evidence)));
  t.like(report.commands, { published: 35, expected: 35, delivered: 35, lost: 0, misdelivered: 0 });
  t.is(report.latencyMs.roundtrip.count, 20);
  t.deepEqual(
    report.phases.map(({ verdict }) => verdict),
    [null, null, 'pass', 'pass', 'pass'],
  );
});

when(
  'drills give a verdict with evidence: this broker separates topics but accepts any client id',
  async (t) => {
    const report = await runSimulation(
      plan(
        'drill',
        `  - { phase: acl-probe, devices: 1 }
  - { phase: bad-certificates, rounds: 1 }
  - { phase: half-open, connections: 8, duration: 1s }
  - { phase: slow-readers, devices: 2, duration: 1s }
  - { phase: clone-attack, devices: 1, attempts: 1 }`,
        'mqtt: "5.0"',
      ),
      deps(),
    );
    const verdicts = Object.fromEntries(report.phases.map(({ name, verdict }) => [name, verdict]));
    t.like(verdicts, {
      'acl-probe': 'pass',
      'bad-certificates': 'pass',
      'half-open': 'pass',
      'slow-readers': 'pass',
      'clone-attack': 'fail',
    });
    t.false(report.ok);
    t.true(report.phases.every(({ evidence }) => evidence.length > 0));
    const clone = report.phases.find(({ name }) => name === 'clone-attack');
    t.regex(clone!.evidence.join('\n'), /accepted 1 times/);
  },
);

when('the same plan and seed give the same sequence numbers at the same offsets', async (t) => {
  const seeded = plan('seed', '  - { phase: steady, duration: 1s }');
  const runs = [
    await runSimulation({ ...seeded, seed: 'x' }, deps()),
    await runSimulation({ ...seeded, seed: 'x' }, deps()),
  ];
  t.deepEqual(
    runs.map(({ seed }) => seed),
    ['x', 'x'],
  );
  t.is(runs[0]!.messages.published, runs[1]!.messages.published);
  t.not(runs[0]!.run, runs[1]!.run);
});

when('a stopped run ends cleanly, with a partial report in every format', async (t) => {
  const stop = new AbortController();
  const report: Report = await runSimulation(
    plan('stopped', '  - { phase: steady, duration: 10m }'),
    deps({
      signal: stop.signal,
      progress: ({ kind, totals }) => {
        if (kind === 'second' && totals.delivered > 0) stop.abort();
      },
    }),
  );
  t.true(report.aborted);
  t.false(report.ok);
  t.true(report.messages.delivered > 0);
  t.is(report.messages.lost, 0);
  const out = await mkdtemp(join(tmpdir(), 'flotilla-report-'));
  t.teardown(() => rm(out, { recursive: true }));
  const paths = await writeReport(out, report);
  t.is(paths.length, 4);
  const html = await readFile(join(out, 'report.html'), 'utf8');
  t.regex(html, /stopped early/);
  t.notRegex(html, /https?:\/\/(?!www\.w3\.org)/, 'the page loads nothing');
  t.regex(
    await readFile(join(out, 'junit.xml'), 'utf8'),
    /<testsuites tests="\d+" failures="[1-9]/,
  );
  const stored = await readReport(out);
  const comparison = comparisonOf(stored, await readReport(join(out, 'report.json')));
  t.true(comparison.figures.every(({ verdict }) => verdict === 'same'));
  t.regex(comparisonText(comparison), /messages\.lost/);
  t.regex(compareHtml(comparison, stored, stored), /end to end: percentiles/);
  const broken = await t.throwsAsync(readReport(join(out, 'junit.xml')));
  t.true(isFlotillaError(broken, 'sim-report-unreadable'));
});

when(
  'missing certificates and wrong targets are reported before the first connection',
  async (t) => {
    const codeOf = async (
      text: string,
      overrides: Partial<SimulationDeps> = {},
    ): Promise<string> => {
      const error = await t.throwsAsync(runSimulation(parsePlan(text), deps(overrides)));
      return isFlotillaError(error) ? `${error.code} ${error.detail ?? ''}` : String(error);
    };
    const one = 'name: a\nfleet: [{ group: nobody, count: 1 }]\nphases: [{ phase: enroll }]';
    t.regex(await codeOf(one), /^sim-certificate-missing nobody-0001 in /);
    const known = one.replace('nobody', 'meters');
    const elsewhere = { mqtts: { host: '127.0.0.1', port: 1 }, certificates: folder.folder };
    t.regex(
      await codeOf(known, { target: elsewhere }),
      /^sim-target-unreachable 127\.0\.0\.1:1: tcp-refused/,
    );
    const foreign = await certificateFolder([]);
    t.teardown(() => foreign.close());
    t.regex(
      await codeOf(known, {
        target: { mqtts: broker, certificates: folder.folder, ca: foreign.ca },
      }),
      /^sim-target-untrusted 127\.0\.0\.1:\d+: /,
    );
    t.regex(
      await codeOf(known.replace('enroll }', 'enroll }, { phase: revocation-drill }')),
      /^sim-phase-unsupported revocation-drill/,
    );
  },
);

when(
  'a folder is prepared for any broker, and existing certificates are kept the second time',
  async (t) => {
    const out = await mkdtemp(join(tmpdir(), 'flotilla-prepare-'));
    t.teardown(() => rm(out, { recursive: true }));
    const small = parsePlan(
      'name: a\nfleet: [{ group: p, count: 5, keyType: ed25519 }]\nphases: [{ phase: enroll }]',
    );
    t.like(await prepareFolder(small, out, ['localhost', '127.0.0.1'], systemClock), {
      devices: 5,
      reused: 0,
    });
    t.like(await prepareFolder(small, out, ['localhost'], systemClock), { devices: 5, reused: 5 });
    t.is((await stat(join(out, 'p-0001', 'key.pem'))).mode & 0o777, 0o600);
    const error = await t.throwsAsync(
      runSimulation(
        small,
        deps({ target: { mqtts: { host: '127.0.0.1', port: 1 }, certificates: out } }),
      ),
    );
    t.true(
      isFlotillaError(error, 'sim-target-unreachable'),
      'the certificates themselves are valid',
    );
  },
);
