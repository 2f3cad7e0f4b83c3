/**
 * Phases that send commands to devices: `command-roundtrip`, `offline-queue`.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { PhaseOf } from '../plan/phase-schema.ts';
import { seeded, shuffled } from '../plan/seed.ts';
import { leadMs } from './load-phases.ts';
import { connectedDevices, type PhaseContext, type PhaseOutcome } from './phase-context.ts';
import { waitForOnline } from './reconnect-phases.ts';

/** The outcome of a phase that needs an observer when the plan has none. */
export const noObserver: PhaseOutcome = {
  passed: false,
  evidence: ['there is no observer to send commands (run.observers is 0)'],
  figures: {},
};
const arrivalMaxMs = 10_000;

export async function runCommandRoundtrip(
  spec: PhaseOf<'command-roundtrip'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  const { pool, seed, name } = context;
  if (pool.observers.length === 0) return noObserver;
  const order = shuffled(connectedDevices(context, spec.groups), seeded(seed, 'commands', name));
  const count = order.length === 0 ? 0 : Math.floor((spec.duration / 1000) * spec.rate);
  const startMs = context.clock.now() + leadMs;
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
  // Replies are still on their way.
  await pool.callAll('settle', { timeoutMs: 2000 });
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
  const keeping = connectedDevices(context, spec.groups).filter(
    (device) =>
      roster.groupOf(device).session === 'kept' && roster.groupOf(device).commands !== null,
  );
  const devices = shuffled(keeping, seeded(seed, 'offline', name)).slice(0, spec.devices);
  if (devices.length === 0) {
    return {
      passed: false,
      evidence: ['no connected device has a kept session (session: kept)'],
      figures: {},
    };
  }
  const before = await commandsAt(context, devices);
  for (const { worker, devices: share } of pool.shares(devices)) {
    await worker.call('disconnect', { devices: share, how: 'clean' });
  }
  await delay(300, undefined, { signal });
  const nowMs = context.clock.now();
  const commands = devices.flatMap((device) =>
    Array.from({ length: spec.messages }, () => ({ device, atMs: nowMs })),
  );
  await pool.command({ commands, qos: 1, bytes: 0, reply: false, accounted: true });
  await pool.callAll('settle', { timeoutMs: 10_000 });
  const early = (await commandsAt(context, devices)) - before;
  const backMs = context.clock.now();
  for (const { worker, devices: share } of pool.shares(devices)) {
    await worker.call('connect', { devices: share, atMs: share.map(() => backMs) });
  }
  const away = await waitForOnline(context, devices, spec.timeout);
  const arrived = (await commandsArrive(context, devices, before + commands.length)) - before;
  const missing = Math.max(0, commands.length - arrived);
  return {
    passed: missing === 0 && away === 0 && early === 0,
    evidence: [
      `${commands.length} commands were sent to ${devices.length} devices while they were offline`,
      missing === 0
        ? `all were delivered ${(context.clock.now() - backMs).toFixed(0)} ms after the devices started to reconnect`
        : `${missing} were not delivered ${(context.clock.now() - backMs).toFixed(0)} ms after the devices started to reconnect`,
      ...(early > 0 ? [`${early} were delivered to devices that were offline`] : []),
      ...(away > 0 ? [`${away} devices did not reconnect`] : []),
    ],
    figures: { commands: commands.length, missing, away },
  };
}

/** All commands that these devices have received so far. */
export async function commandsAt(
  { pool }: PhaseContext,
  devices: readonly number[],
): Promise<number> {
  const parts = await Promise.all(
    pool
      .shares(devices)
      .map(({ worker, devices: share }) => worker.call('status', { devices: share })),
  );
  return parts.flat().reduce((sum, { commands }) => sum + commands, 0);
}

/** Waits until `expected` commands were received, at most {@link arrivalMaxMs}; resolves with the count. */
export async function commandsArrive(
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
