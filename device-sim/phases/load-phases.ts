/**
 * The phases that generate load: `ramp`, `steady`, `soak`, `burst`, `pause`.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { PhaseOf } from '../plan/phase-schema.ts';
import { seeded, shuffled } from '../plan/seed.ts';
import {
  connectedDevices,
  participants,
  type PhaseContext,
  type PhaseOutcome,
} from './phase-context.ts';

/** Delay before the first action of a phase, so that the call can reach every worker. */
export const leadMs = 100;
const rampDefaultPerSecond = 100;

export async function runRamp(spec: PhaseOf<'ramp'>, context: PhaseContext): Promise<PhaseOutcome> {
  const { pool, fleet, seed, name } = context;
  const able = participants(context, spec.groups).filter(
    (number) => !fleet.failed.has(number) && !fleet.joined.has(number),
  );
  const order = shuffled(able, seeded(seed, 'ramp-order', name));
  const devices = order.slice(0, Math.round(order.length * spec.share));
  const gapMs =
    spec.over === undefined
      ? 1000 / (spec.rate ?? rampDefaultPerSecond)
      : spec.over / Math.max(1, devices.length);
  const startMs = context.clock.now() + leadMs;
  for (const device of devices) fleet.joined.add(device);
  const beforeMs = performance.now();
  const missing = (
    await Promise.all(
      pool.shares(devices).map(async ({ worker, devices: share, places }) => {
        await worker.call('connect', {
          devices: share,
          atMs: places.map((place) => startMs + place * gapMs),
        });
        const timeoutMs = leadMs + devices.length * gapMs + spec.timeout;
        return (await worker.call('awaitOnline', { devices: share, timeoutMs })).missing;
      }),
    )
  ).flat();
  for (const { device, reason } of missing) {
    fleet.failed.set(device, `connect: ${reason ?? 'not connected in time'}`);
  }
  const connected = devices.length - missing.length;
  const seconds = Math.max(0.001, (performance.now() - beforeMs - leadMs) / 1000);
  return {
    evidence: [`${connected} of ${devices.length} devices connected in ${seconds.toFixed(1)} s`],
    figures: { connected, missing: missing.length, perSecond: connected / seconds },
  };
}

export async function runTraffic(
  spec: PhaseOf<'steady' | 'burst' | 'soak'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  const { pool, stats, name } = context;
  const devices = connectedDevices(context, spec.groups);
  const startMs = context.clock.now() + leadMs;
  const memoryBefore = stats.seconds.at(-1)?.brokerRssBytes;
  await Promise.all(
    pool.shares(devices).map(({ worker, devices: share }) =>
      worker.call('traffic', {
        phase: name,
        devices: share,
        startMs,
        endMs: startMs + spec.duration,
        factor: spec.phase === 'burst' ? spec.factor : 1,
      }),
    ),
  );
  await pool.callAll('settle', { timeoutMs: 5000 });
  const memoryAfter = stats.seconds.at(-1)?.brokerRssBytes;
  const grown =
    spec.phase === 'soak' && memoryBefore !== undefined && memoryAfter !== undefined
      ? memoryAfter - memoryBefore
      : undefined;
  return {
    evidence: [
      `${devices.length} devices published for ${spec.duration / 1000} s`,
      ...(grown === undefined
        ? []
        : [`the broker's memory changed by ${(grown / 1048576).toFixed(1)} MiB`]),
    ],
    figures: {
      devices: devices.length,
      ...(grown === undefined ? {} : { brokerMemoryGrowthBytes: grown }),
    },
  };
}

export async function runPause(
  spec: PhaseOf<'pause'>,
  { signal }: PhaseContext,
): Promise<PhaseOutcome> {
  await delay(spec.duration, undefined, { signal });
  return { evidence: [], figures: {} };
}
