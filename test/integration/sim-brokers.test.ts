import test from 'ava';
import { systemClock } from '../../core/clock.ts';
import { silentLog } from '../../core/log.ts';
import { parsePlan } from '../../device-sim/plan/read-plan.ts';
import { runSimulation } from '../../device-sim/run.ts';
import { furtherBroker, simFlotilla } from '../support/sim-flotilla.ts';

const plan = parsePlan(`
name: spread
fleet:
  - group: spread
    count: 9
    client: light
    session: kept
    publish: [{ rate: 10 }]
    reconnect: { minDelay: 100ms, maxDelay: 200ms }
run: { workers: 2 }
phases:
  - phase: enroll
  - { phase: ramp, rate: 100 }
  - parallel:
      - { phase: steady, duration: 1s }
      - { phase: command-roundtrip, duration: 1s, rate: 20 }
  - { phase: offline-queue, devices: 4, messages: 3 }
  - { phase: acl-probe, devices: 1 }
  - { phase: half-open, connections: 16, duration: 1s }
  - { phase: bad-certificates, rounds: 1 }
  - { phase: revocation-drill, devices: 2 }
`);

test('devices are distributed over several brokers of a fleet, and each broker must deliver only for its own devices', async (t) => {
  const target = await simFlotilla(t);
  const second = await furtherBroker(t, target, 'broker-2');
  const report = await runSimulation(plan, {
    target: { ...target, moreMqtts: [second.mqtts] },
    log: silentLog,
    clock: systemClock,
    progress: () => undefined,
    signal: new AbortController().signal,
    inProcess: true,
  });
  t.true(report.ok, JSON.stringify([report.thresholds, report.phases, report.notes], null, 1));
  t.is(
    report.broker.address,
    [target.mqtts, second.mqtts].map(({ host, port }) => `${host}:${port}`).join(', '),
  );
  t.like(report.devices, { planned: 9, connected: 9, retired: 2, failed: 0 });
  // Each message is expected once: an observer of one broker expects nothing from the other.
  t.is(report.telemetry.expected, report.telemetry.acknowledged);
  t.like(report.telemetry, { lost: 0, misdelivered: 0, duplicated: 0 });
  t.like(report.commands, { lost: 0, misdelivered: 0 });
  t.true(report.telemetry.published >= 90, String(report.telemetry.published));
  // The second broker accepted the devices with odd numbers and its observer.
  const metrics = await (await fetch(new URL('/metrics', second.metricsUrl))).text();
  const seen = /^flotilla_messages_received_total\{qos="1"\} (\d+)/m.exec(metrics)?.[1];
  t.true(Number(seen) > 0, metrics.slice(0, 400));
});
