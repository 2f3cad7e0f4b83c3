/**
 * Phases about messages to devices: `command-roundtrip`, `offline-queue`, `slow-readers`.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { PhaseOf } from '../plan/plan-schema.ts';
import { seeded, shuffled } from '../plan/seed.ts';
import { bystanderEvidence, watchBystanders } from './bystanders.ts';
import { leadMs } from './load-phases.ts';
import { connectedOnes, epochNow, type PhaseContext, type PhaseOutcome } from './phase-context.ts';
import { stillAway } from './reconnect-phases.ts';

const noObserver: PhaseOutcome = {
  passed: false,
  evidence: ['no observer is there to send commands (run.observers is 0)'],
  figures: {},
};
const arrivalMaxMs = 10_000;

export async function runCommandRoundtrip(
  spec: PhaseOf<'command-roundtrip'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  const { pool, seed, name } = context;
  if (pool.observers.length === 0) return noObserver;
  const order = shuffled(connectedOnes(context, spec.groups), seeded(seed, 'commands', name));
  const count = order.length === 0 ? 0 : Math.floor((spec.duration / 1000) * spec.rate);
  const startMs = epochNow() + leadMs;
  const commands = Array.from({ length: count }, (_item, index) => ({
    device: order[index % order.length] ?? 0,
    atMs: startMs + (index * 1000) / spec.rate,
  }));
  const before = await commandsAt(context, order);
  await pool.command({
    commands,
    qos: spec.qos,
    bytes: spec.bytes,
    reply: true,
    accounted: true,
  });
  const arrived = await commandsArrive(context, order, before + count);
  // The answers follow.
  await pool.everyone('settle', { timeoutMs: 2000 });
  await delay(200);
  const missing = Math.max(0, count - arrived + before);
  return {
    passed: count > 0 && missing === 0,
    evidence: [
      `${count - missing} of ${count} commands reached their ${Math.min(order.length, count)} devices`,
    ],
    figures: { commands: count, missing },
  };
}

export async function runOfflineQueue(
  spec: PhaseOf<'offline-queue'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  const { pool, roster, seed, name, signal } = context;
  if (pool.observers.length === 0) return noObserver;
  const keeping = connectedOnes(context, spec.groups).filter(
    (device) =>
      roster.groupOf(device).session === 'kept' && roster.groupOf(device).commands !== null,
  );
  const devices = shuffled(keeping, seeded(seed, 'offline', name)).slice(0, spec.devices);
  if (devices.length === 0) {
    return {
      passed: false,
      evidence: ['no connected device keeps its session (session: kept)'],
      figures: {},
    };
  }
  const before = await commandsAt(context, devices);
  for (const { hand, devices: share } of pool.shares(devices)) {
    await hand.call('leave', { devices: share, how: 'clean' });
  }
  await delay(300, undefined, { signal });
  const nowMs = epochNow();
  const commands = devices.flatMap((device) =>
    Array.from({ length: spec.messages }, () => ({ device, atMs: nowMs })),
  );
  await pool.command({ commands, qos: 1, bytes: 0, reply: false, accounted: true });
  await pool.everyone('settle', { timeoutMs: 10_000 });
  const early = (await commandsAt(context, devices)) - before;
  const backMs = epochNow();
  for (const { hand, devices: share } of pool.shares(devices)) {
    await hand.call('connect', { devices: share, atMs: share.map(() => backMs) });
  }
  const away = await stillAway(context, devices, spec.timeout);
  const arrived = (await commandsArrive(context, devices, before + commands.length)) - before;
  const missing = Math.max(0, commands.length - arrived);
  return {
    passed: missing === 0 && away === 0 && early === 0,
    evidence: [
      `${commands.length} commands were sent to ${devices.length} devices while they were away`,
      missing === 0
        ? `all had arrived ${(epochNow() - backMs).toFixed(0)} ms after the devices began to return`
        : `${missing} had not arrived ${(epochNow() - backMs).toFixed(0)} ms after the devices began to return`,
      ...(early > 0 ? [`${early} arrived at devices that were away`] : []),
      ...(away > 0 ? [`${away} devices did not come back`] : []),
    ],
    figures: { commands: commands.length, missing, away },
  };
}

export async function runSlowReaders(
  spec: PhaseOf<'slow-readers'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  const { pool, seed, name, stats, signal } = context;
  if (pool.observers.length === 0) return noObserver;
  const order = shuffled(connectedOnes(context, spec.groups), seeded(seed, 'slow', name));
  const slow = order.slice(0, spec.devices);
  const healthy = order.slice(spec.devices, spec.devices * 2);
  if (slow.length === 0 || healthy.length === 0) {
    return {
      passed: false,
      evidence: ['there are too few connected devices for this drill'],
      figures: {},
    };
  }
  const bystanders = await watchBystanders(context, slow);
  const memoryBefore = stats.columns.at(-1)?.brokerRssBytes;
  const pause = async (paused: boolean): Promise<void> => {
    for (const { hand, devices } of pool.shares(slow))
      await hand.call('pauseReading', { devices, paused });
  };
  await pause(true);
  const startMs = epochNow() + leadMs;
  const perDevice = Math.floor((spec.duration / 1000) * spec.commandRate);
  // Healthy ones get one a second each: what they must go on receiving meanwhile.
  const healthyEach = Math.max(1, Math.floor(spec.duration / 1000));
  const commands = [
    ...slow.flatMap((device) =>
      Array.from({ length: perDevice }, (_item, index) => ({
        device,
        atMs: startMs + (index * 1000) / spec.commandRate,
      })),
    ),
    ...healthy.flatMap((device) =>
      Array.from({ length: healthyEach }, (_item, index) => ({
        device,
        atMs: startMs + index * 1000,
      })),
    ),
  ].toSorted((one, two) => one.atMs - two.atMs);
  const before = await commandsAt(context, healthy);
  await pool.command({
    commands,
    qos: 0,
    bytes: spec.bytes,
    reply: false,
    accounted: false,
  });
  await delay(200, undefined, { signal });
  const healthyGot = await commandsArrive(context, healthy, before + healthy.length * healthyEach);
  const healthyMissing = Math.max(0, before + healthy.length * healthyEach - healthyGot);
  await pool.everyone('flush', {});
  const memoryAfter = stats.columns.at(-1)?.brokerRssBytes;
  await pause(false);
  const away = await stillAway(context, slow, 30_000);
  const drops = await bystanders.drops();
  const grown =
    memoryBefore === undefined || memoryAfter === undefined
      ? undefined
      : memoryAfter - memoryBefore;
  return {
    passed: healthyMissing === 0 && drops === 0 && away === 0,
    evidence: [
      `${slow.length} devices did not read while ${perDevice} commands went to each`,
      healthyMissing === 0
        ? `${healthy.length} healthy devices received all of theirs meanwhile`
        : `healthy devices missed ${healthyMissing} of ${healthy.length * healthyEach}`,
      away === 0 ? 'the slow ones are connected again' : `${away} slow ones did not come back`,
      ...(grown === undefined
        ? []
        : [`the broker's memory changed by ${(grown / 1_048_576).toFixed(1)} MiB`]),
      bystanderEvidence(drops),
    ],
    figures: {
      slow: slow.length,
      commands: slow.length * perDevice,
      healthyMissing,
      away,
      bystanderDrops: drops,
      ...(grown === undefined ? {} : { brokerMemoryGrowthBytes: grown }),
    },
  };
}

/** How many commands these devices have received so far, in all. */
async function commandsAt({ pool }: PhaseContext, devices: readonly number[]): Promise<number> {
  const parts = await Promise.all(
    pool.shares(devices).map(({ hand, devices: share }) => hand.call('status', { devices: share })),
  );
  return parts.flat().reduce((sum, { commands }) => sum + commands, 0);
}

/** Waits until so many have arrived, at most {@link arrivalMaxMs}. */
async function commandsArrive(
  context: PhaseContext,
  devices: readonly number[],
  expected: number,
): Promise<number> {
  const endMs = performance.now() + arrivalMaxMs;
  for (;;) {
    const arrived = await commandsAt(context, devices);
    if (arrived >= expected || performance.now() >= endMs || context.signal.aborted) return arrived;
    await delay(100);
  }
}
