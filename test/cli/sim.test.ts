/**
 * The simulator through the command line: together with `up`, against it, and with a plan that fails.
 *
 * @module
 */
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { devicePageSchema } from '../../core/protocol/enrollment-api.ts';
import { runChild, spawnNode, type Child } from '../support/child.ts';
import { flotilla, flotillaPath, startUp, type Up } from '../support/cli.ts';
import { tempFolder } from '../support/temp-folder.ts';

const latency = z.looseObject({
  ...{ p50: z.number(), p95: z.number(), p99: z.number(), max: z.number(), count: z.int() },
});

/** The documented fields of the report; more are allowed. */
const reportSchema = z.looseObject({
  seed: z.string(),
  plan: z.string(),
  startedAt: z.iso.datetime(),
  durationMs: z.number(),
  devices: z.looseObject({
    ...{ planned: z.int(), enrolled: z.int(), connected: z.int(), failed: z.int() },
  }),
  messages: z.looseObject({
    ...{ published: z.int(), acknowledged: z.int(), expected: z.int(), delivered: z.int() },
    ...{ lost: z.int(), duplicated: z.int(), misdelivered: z.int() },
  }),
  latencyMs: z.looseObject({
    ...{ enroll: latency, handshake: latency, connect: latency },
    ...{ publishAck: latency, endToEnd: latency },
  }),
  rates: z.looseObject({
    ...{ enrollPerSecond: z.number(), connectPerSecond: z.number(), publishPerSecond: z.number() },
  }),
  phases: z.array(z.looseObject({ name: z.string() })),
  thresholds: z.array(
    z.looseObject({ name: z.string(), limit: z.string(), value: z.unknown(), ok: z.boolean() }),
  ),
  ok: z.boolean(),
});

let up: Up;
test.before(async () => {
  up = await startUp('--devices', '3');
});
test.after.always(() => up.close());

const run = (...args: string[]): ReturnType<typeof runChild> =>
  runChild(
    { teardown: () => undefined },
    process.execPath,
    [flotillaPath, 'sim', 'run', '--state', up.ready.state, '--json', ...args],
    { timeoutMs: 120_000 },
  );

test('up with devices enrolls a fleet that publishes, and prints one line per second', async (t) => {
  await up.child.errorLine((line) => /3\/3 online.*\d+ received/.test(line), 90_000);
  const { devices } = await up.ask(devicePageSchema, 'device', 'list');
  t.true(devices.filter(({ role }) => role === 'device').length >= 3);
});

test('a quick run loses nothing, reports in the documented format, and exits with 0', async (t) => {
  const reports = join(up.folder, 'reports');
  const done = await run(
    ...['--devices', '20', '--duration', '2s', '--rate', '5', '--qos', '1'],
    ...['--seed', 'fixed', '--report', reports, '--remove-devices'],
  );
  t.is(done.code, 0, done.stderr);
  const report = reportSchema.parse(JSON.parse(done.stdout));
  t.true(report.ok);
  t.is(report.seed, 'fixed');
  t.like(report.devices, { planned: 20, enrolled: 20, connected: 20, failed: 0 });
  t.like(report.messages, { lost: 0, misdelivered: 0, duplicated: 0 });
  t.true(report.messages.published >= 100, String(report.messages.published));
  t.is(report.messages.delivered, report.messages.expected);
  t.is(report.latencyMs.endToEnd.count, report.messages.delivered);
  t.deepEqual(
    JSON.parse(readFileSync(join(reports, 'report.json'), 'utf8')),
    JSON.parse(done.stdout),
  );
  t.true(existsSync(join(reports, 'report.txt')));
  t.false(done.stderr.includes('in the registry'), done.stderr);
  const { devices } = await up.ask(devicePageSchema, 'device', 'list', '--group', 'sim');
  t.deepEqual(
    devices.filter(({ id }) => id.startsWith('sim-fixed')),
    [],
  );
});

test('sim compare --html writes a page with plots of both runs, and rejects a broken report', async (t) => {
  const folder = tempFolder(t);
  const reports = join(folder, 'report');
  const done = await run('--devices', '3', '--duration', '1s', '--report', reports);
  t.regex(
    done.stderr,
    /3 simulated devices remain .*\n {2}.* device bulk --action delete --state .* --group sim/,
  );
  t.is(done.code, 0, done.stderr);
  const blocked = join(reports, 'report.txt');
  const notRun = await run('--devices', '3', '--report', blocked);
  t.is(notRun.code, 1);
  t.true(notRun.stderr.includes(blocked), notRun.stderr);
  t.notRegex(notRun.stderr, /enroll started/, 'it is refused before the run');
  const page = join(folder, 'pages', 'compare.html');
  const compared = await flotilla(['sim', 'compare', reports, reports, '--html', page, '--json']);
  t.is(compared.code, 0, compared.stderr);
  const { figures } = z
    .looseObject({ figures: z.array(z.looseObject({ name: z.string(), verdict: z.string() })) })
    .parse(JSON.parse(compared.stdout));
  t.true(figures.length > 10 && figures.every(({ verdict }) => verdict === 'same'));
  t.regex(
    readFileSync(page, 'utf8'),
    /<h1[^>]*>Comparison of two runs<[^]*end to end: percentiles/,
  );
  writeFileSync(join(reports, 'report.json'), '{"plan":"x"}');
  const broken = await flotilla(['sim', 'compare', reports, reports, '--html', page]);
  t.is(broken.code, 2, broken.stderr);
  t.regex(broken.stderr, /it is not a report/);
});

test('a missed threshold exits with 3', async (t) => {
  const plan = join(tempFolder(t), 'impossible.yaml');
  writeFileSync(
    plan,
    [
      'name: impossible',
      'fleet:',
      '  - { group: pumps, count: 2, publish: [{ topic: "devices/{device}/t", qos: 1, rate: 5/s }] }',
      'phases:',
      '  - { phase: enroll }',
      '  - { phase: ramp, rate: 10/s }',
      '  - { phase: steady, duration: 1s }',
      'thresholds:',
      '  - latencyMs.endToEnd.p50 <= 0',
      '',
    ].join('\n'),
  );
  const checked = await flotilla(['sim', 'check', plan, '--json']);
  t.is(checked.code, 0, checked.stderr);
  const done = await run(plan);
  t.is(done.code, 3, done.stderr);
  const report = reportSchema.parse(JSON.parse(done.stdout));
  t.false(report.ok);
  t.true(report.thresholds.some(({ ok }) => !ok));
});

test('an invalid plan fails before the first connection, with line and column', async (t) => {
  const plan = join(tempFolder(t), 'broken.yaml');
  writeFileSync(plan, 'name: x\nphases:\n  - phase: teleport\n');
  for (const args of [
    ['sim', 'check', plan],
    ['sim', 'run', plan, '--state', up.ready.state],
  ]) {
    const done = await flotilla(args);
    t.is(done.code, 2, done.stderr);
    t.regex(done.stderr, /:\d+:\d+/);
  }
});

test('Ctrl-C ends a run with a report of what was done until then', async (t) => {
  const reports = join(up.folder, 'interrupted');
  const running = longRun(t, '--report', reports);
  await running.errorLine(
    (line) => /10\/10 online.* [1-9]\d* received in total/.test(line),
    120_000,
  );
  const done = await running.stop('SIGINT');
  t.is(done.code, 3, done.stderr);
  const report = reportSchema.parse(JSON.parse(done.stdout));
  t.like(report, { aborted: true, ok: false, failure: null });
  t.like(report.messages, { lost: 0, misdelivered: 0 });
  t.true(report.messages.delivered > 0);
  t.true(existsSync(join(reports, 'report.html')));
});

test('a second Ctrl-C ends a run immediately', async (t) => {
  const running = longRun(t);
  await running.errorLine((line) => line.includes('10/10 online'), 120_000);
  // An orderly stop would wait for these workers, which do not respond.
  const workers = childrenOf(running.pid);
  t.true(workers.length > 0);
  for (const worker of workers) process.kill(worker, 'SIGSTOP');
  t.teardown(() => {
    for (const worker of workers) process.kill(worker, 'SIGKILL');
  });
  running.process.kill('SIGINT');
  await running.errorLine((line) => line.includes('Ctrl-C again'));
  const ended = once(running.process, 'exit');
  running.process.kill('SIGINT');
  t.deepEqual(await ended, [130, null]);
  t.is(running.stdout(), '');
});

function longRun(t: ExecutionContext, ...more: string[]): Child {
  return spawnNode(
    t,
    [
      ...[flotillaPath, 'sim', 'run', '--state', up.ready.state, '--json'],
      ...['--devices', '10', '--rate', '10', '--duration', '10m', ...more],
    ],
    { timeoutMs: 300_000 },
  );
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter((text) => text !== '')
    .map(Number);
}
