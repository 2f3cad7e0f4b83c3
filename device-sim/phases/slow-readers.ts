/**
 * `slow-readers`: some devices stop reading while commands are sent to them. Other devices must go on
 * receiving theirs, and the slow ones must recover.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { PhaseOf } from '../plan/phase-schema.ts';
import { seeded, shuffled } from '../plan/seed.ts';
import { bystanderEvidence, watchBystanders } from './bystanders.ts';
import { commandsAt, commandsArrive, noObserver } from './command-phases.ts';
import { leadMs } from './load-phases.ts';
import {
  connectedDevices,
  tooFewDevices,
  type PhaseContext,
  type PhaseOutcome,
} from './phase-context.ts';
import { waitForOnline } from './reconnect-phases.ts';

const recoverMaxMs = 30_000;

export async function runSlowReaders(
  spec: PhaseOf<'slow-readers'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  const { pool, seed, name, stats, signal } = context;
  if (pool.observers.length === 0) return noObserver;
  const order = shuffled(connectedDevices(context, spec.groups), seeded(seed, 'slow', name));
  const slow = order.slice(0, spec.devices);
  const healthy = order.slice(spec.devices, spec.devices * 2);
  if (slow.length === 0 || healthy.length === 0) return tooFewDevices;
  const bystanders = await watchBystanders(context, slow);
  const memoryBefore = stats.seconds.at(-1)?.brokerRssBytes;
  const pause = async (paused: boolean): Promise<void> => {
    for (const { worker, devices } of pool.shares(slow))
      await worker.call('pauseReading', { devices, paused });
  };
  await pause(true);
  const perSlow = Math.floor((spec.duration / 1000) * spec.commandRate);
  // Each healthy device gets one command per second, which it must receive meanwhile.
  const perHealthy = Math.max(1, Math.floor(spec.duration / 1000));
  const startMs = context.clock.now() + leadMs;
  const commands = [
    ...commandsEvery(slow, perSlow, startMs, 1000 / spec.commandRate),
    ...commandsEvery(healthy, perHealthy, startMs, 1000),
  ].toSorted((one, two) => one.atMs - two.atMs);
  const expected = (await commandsAt(context, healthy)) + healthy.length * perHealthy;
  await pool.command({ commands, qos: 0, bytes: spec.bytes, reply: false, accounted: false });
  await delay(200, undefined, { signal });
  const missing = Math.max(0, expected - (await commandsArrive(context, healthy, expected)));
  await pool.callAll('flush', {});
  const memoryAfter = stats.seconds.at(-1)?.brokerRssBytes;
  await pause(false);
  const away = await waitForOnline(context, slow, recoverMaxMs);
  return judgeSlowReaders({
    slow: slow.length,
    perSlow,
    healthy: healthy.length,
    perHealthy,
    missing,
    away,
    drops: await bystanders.drops(),
    memoryGrowthBytes:
      memoryBefore === undefined || memoryAfter === undefined
        ? undefined
        : memoryAfter - memoryBefore,
  });
}

interface SlowReaderFindings {
  readonly slow: number;
  readonly perSlow: number;
  readonly healthy: number;
  readonly perHealthy: number;
  /** Commands that healthy devices did not receive. */
  readonly missing: number;
  readonly away: number;
  readonly drops: number;
  /** Undefined when the broker's memory is not known. */
  readonly memoryGrowthBytes: number | undefined;
}

/** Judges the drill. Pure. */
function judgeSlowReaders(findings: SlowReaderFindings): PhaseOutcome {
  const { slow, perSlow, healthy, perHealthy, missing, away, drops, memoryGrowthBytes } = findings;
  return {
    passed: missing === 0 && drops === 0 && away === 0,
    evidence: [
      `${slow} devices stopped reading while ${perSlow} commands were sent to each`,
      missing === 0
        ? `${healthy} healthy devices received all of their commands meanwhile`
        : `healthy devices missed ${missing} of ${healthy * perHealthy} commands`,
      away === 0 ? 'the slow devices are connected again' : `${away} slow devices did not return`,
      ...(memoryGrowthBytes === undefined
        ? []
        : [`the broker's memory changed by ${(memoryGrowthBytes / 1_048_576).toFixed(1)} MiB`]),
      bystanderEvidence(drops),
    ],
    figures: {
      slow,
      commands: slow * perSlow,
      healthyMissing: missing,
      away,
      bystanderDrops: drops,
      ...(memoryGrowthBytes === undefined ? {} : { brokerMemoryGrowthBytes: memoryGrowthBytes }),
    },
  };
}

function commandsEvery(
  devices: readonly number[],
  count: number,
  startMs: number,
  everyMs: number,
): { device: number; atMs: number }[] {
  return devices.flatMap((device) =>
    Array.from({ length: count }, (_item, index) => ({ device, atMs: startMs + index * everyMs })),
  );
}
