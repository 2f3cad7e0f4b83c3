import test from 'ava';
import { isFlotillaError } from '../../../../core/errors/flotilla-error.ts';
import { settleAccount } from '../../../../device-sim/controller/accounting.ts';
import {
  checkBrokerFileLimit,
  checkLocalLimits,
  machineLimits,
} from '../../../../device-sim/controller/preflight.ts';
import { expandAddresses } from '../../../../device-sim/controller/source-addresses.ts';
import { RunStats } from '../../../../device-sim/stats/run-stats.ts';
import { Meter } from '../../../../device-sim/measure/meter.ts';
import { judgeProbe } from '../../../../device-sim/phases/acl-probe.ts';
import { judgeClones } from '../../../../device-sim/phases/clone-attack.ts';
import { judgeRevocation } from '../../../../device-sim/phases/revocation-drill.ts';
import { comparisonOf } from '../../../../device-sim/report/compare.ts';
import type { AttemptResult } from '../../../../device-sim/worker/protocol.ts';

const refused: AttemptResult = {
  outcome: 'refused',
  reason: 'closed-before-connack',
  resumeOffered: true,
  resumed: false,
  elapsedMs: 3,
};
const accepted: AttemptResult = { ...refused, outcome: 'accepted', reason: 'accepted' };

test('acknowledged messages that an observer did not receive are counted as lost, per observer', (t) => {
  const totals = new Meter();
  totals.count('published', 12);
  const account = settleAccount(
    [
      { device: 0, settled: [0, 10], commands: [0, 2], hadGap: false },
      { device: 1, settled: [0, 2], commands: [], hadGap: true },
    ],
    [
      {
        broker: 0,
        received: [{ device: 0, ranges: [0, 10] }],
        commanded: [
          { device: 0, ranges: [0, 3] },
          { device: 1, ranges: [0, 1] },
        ],
      },
      {
        broker: 0,
        received: [
          { device: 0, ranges: [0, 4, 5, 10] },
          { device: 1, ranges: [0, 9] },
        ],
        commanded: [],
      },
    ],
    totals,
  );
  t.like(account.telemetry, { published: 12, expected: 24, delivered: 21, lost: 3 });
  t.like(account.commands, { expected: 3, delivered: 2, lost: 1, undeliverable: 1 });
  t.deepEqual(account.losses, [
    { device: 0, ranges: [4, 5] },
    { device: 1, ranges: [0, 2] },
  ]);
});

test('with several brokers, each observer counts only the devices of its own broker', (t) => {
  const account = settleAccount(
    [0, 1, 2, 3].map((device) => ({ device, settled: [0, 10], commands: [], hadGap: false })),
    [
      {
        broker: 0,
        received: [0, 2].map((device) => ({ device, ranges: [0, 10] })),
        commanded: [],
      },
      {
        broker: 1,
        // Messages of the other broker's devices do not replace missing ones of its own.
        received: [
          { device: 0, ranges: [0, 10] },
          { device: 1, ranges: [0, 10] },
          { device: 3, ranges: [0, 4] },
        ],
        commanded: [],
      },
    ],
    new Meter(),
    2,
  );
  t.like(account.telemetry, { expected: 40, delivered: 34, lost: 6 });
  t.deepEqual(account.losses, [{ device: 3, ranges: [4, 10] }]);
});

test('a revocation drill fails when a device stays, is late, reconnects, resumes or renews, or when another device is disturbed', (t) => {
  const good = {
    id: 'a',
    disconnectMs: 8,
    reason: 'closed',
    fresh: refused,
    resumed: refused,
    renewal: 'device-revoked',
  };
  t.true(judgeRevocation([good], 1000, 0).passed);
  for (const bad of [
    { ...good, disconnectMs: undefined },
    { ...good, disconnectMs: 1001 },
    { ...good, fresh: accepted },
    { ...good, resumed: accepted },
    { ...good, renewal: undefined },
  ]) {
    const outcome = judgeRevocation([good, bad], 1000, 0);
    t.false(outcome.passed, JSON.stringify(bad));
    t.true(outcome.evidence.length > 3);
  }
  t.false(judgeRevocation([good], 1000, 1).passed);
});

test('a clone attack fails when the copy gets another name, both are connected, or another device is disturbed', (t) => {
  const good = { own: accepted, displaced: true, others: refused, invented: refused };
  t.true(judgeClones([good], 0, 0).passed);
  t.true(judgeClones([{ ...good, own: refused, displaced: false }], 0, 0).passed);
  t.false(judgeClones([{ ...good, displaced: false }], 0, 0).passed);
  t.false(judgeClones([{ ...good, others: accepted }], 0, 0).passed);
  t.false(judgeClones([{ ...good, invented: accepted }], 0, 0).passed);
  t.false(judgeClones([good], 1, 0).passed);
  t.false(judgeClones([good], 0, 2).passed);
  t.false(judgeClones([], 0, 0).passed, 'without an attempt nothing is proven');
});

test('an access probe fails on a leak or a delivered forgery, but not on a granted filter that delivered nothing', (t) => {
  const good = {
    refused: 3,
    granted: new Map<string, number>(),
    outcomes: new Map([['closed', 2]]),
    leaks: [],
    forged: 0,
    listening: true,
  };
  t.true(judgeProbe(good).passed);
  t.true(judgeProbe({ ...good, granted: new Map([['#', 1]]) }).passed);
  t.false(judgeProbe({ ...good, leaks: ['devices/b/telemetry'] }).passed);
  t.false(judgeProbe({ ...good, forged: 1 }).passed);
  t.false(judgeProbe({ ...good, refused: 0 }).passed);
});

test('too few file descriptors or ports are reported with the number needed, before anything is opened', (t) => {
  const limits = { openFiles: 1024, ports: 28_000 };
  t.notThrows(() => checkLocalLimits(1600, 2, 1, limits));
  const files = t.throws(() => checkLocalLimits(10_000, 2, 1, limits));
  t.true(isFlotillaError(files, 'sim-file-descriptors'));
  t.regex(
    files.message,
    /5120 files per worker, 1024 are allowed: run ulimit -n 5120, or set run\.workers: 12/,
  );
  const ports = t.throws(() => checkLocalLimits(60_000, 100, 2, limits));
  t.true(isFlotillaError(ports, 'sim-ports'));
  t.regex(ports.message, /2 source addresses have 50400: 3 addresses are needed/);
  t.notThrows(() => checkLocalLimits(60_000, 100, 3, limits));
  t.throws(() => checkBrokerFileLimit(20_000, 20_000), {
    message: /may open 20000 files and needs 20120/,
  });
  t.notThrows(() => checkBrokerFileLimit(20_000, undefined));
  t.true((machineLimits().openFiles ?? 0) > 0);
});

test('blocks of source addresses are expanded without network and broadcast addresses', (t) => {
  t.deepEqual(expandAddresses(['127.0.0.0/29', '127.0.1.9']), [
    '127.0.0.1',
    '127.0.0.2',
    '127.0.0.3',
    '127.0.0.4',
    '127.0.0.5',
    '127.0.0.6',
    '127.0.1.9',
  ]);
  t.is(expandAddresses(['127.0.0.0/8']).length, 1024);
});

test('a long run is stored in fewer entries, and no count is lost', (t) => {
  const stats = new RunStats(0, () => undefined);
  const devices = { new: 0, enrolled: 0, connecting: 0, online: 5, offline: 0, failed: 0 };
  const worker = {};
  for (let second = 1; second <= 5000; second++) {
    const meter = new Meter();
    meter.count('published', 3);
    meter.time('endToEnd', second * 1000);
    stats.addTick(worker, {
      atMs: second * 1000,
      meter: meter.take(),
      devices,
      everOnline: 5,
      cpuMs: 100,
      rssBytes: 1,
      loopBusy: 0.5,
    });
    stats.closeSecond(second * 1000);
  }
  t.true(stats.seconds.length <= 1200);
  t.is(
    stats.seconds.reduce((sum, { published }) => sum + published, 0),
    15_000,
  );
  t.is(Math.round(stats.seconds.at(-1)!.endToEnd!.max), 5000);
  t.true(stats.seconds.every(({ atMs }, index) => atMs > (stats.seconds[index - 1]?.atMs ?? 0)));
  t.is(stats.cpuMs, 500_000);
});

test('two reports are compared figure by figure, with a warning when they are not comparable', (t) => {
  const report = (lost: number, p99: number, seed = 's') => ({
    plan: 'p',
    seed,
    startedAt: '2026-01-01T00:00:00.000Z',
    ok: true,
    version: 1 as const,
    devices: { planned: 10, connected: 10, failed: 0 },
    messages: { lost, misdelivered: 0, duplicated: 0 },
    latencyMs: { endToEnd: { p50: 1, p99, count: 5 }, renew: { p50: 0, p99: 0, count: 0 } },
    rates: { publishPerSecond: 100 },
    simulator: { valid: true },
    broker: { address: 'a:1' },
  });
  const { figures, warnings } = comparisonOf(report(0, 10), report(2, 5, 'other'));
  const verdict = (name: string): string | undefined =>
    figures.find((figure) => figure.name === name)?.verdict;
  t.is(verdict('messages.lost'), 'worse');
  t.is(verdict('latencyMs.endToEnd.p99'), 'better');
  t.is(verdict('rates.publishPerSecond'), 'same');
  t.is(verdict('latencyMs.renew.p99'), undefined);
  t.deepEqual(warnings, ['the seeds differ, so the traffic was not the same']);
});
