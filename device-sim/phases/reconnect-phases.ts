/**
 * Phases in which devices disconnect and reconnect: `reconnect-storm`, `churn`, `mass-renewal`.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { PhaseOf } from '../plan/phase-schema.ts';
import { seeded, shuffled } from '../plan/seed.ts';
import { leadMs } from './load-phases.ts';
import {
  connectedDevices,
  serviceOf,
  type PhaseContext,
  type PhaseOutcome,
} from './phase-context.ts';

export async function runReconnectStorm(
  spec: PhaseOf<'reconnect-storm'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  const { pool, seed, name, signal } = context;
  const random = seeded(seed, 'storm', name);
  const all = shuffled(connectedDevices(context, spec.groups), random);
  const devices = all.slice(0, Math.round(all.length * spec.share));
  const startMs = context.clock.now() + leadMs;
  const times = devices.map(() => startMs + random.next() * spec.within);
  for (const { worker, devices: share, places } of pool.shares(devices)) {
    await worker.call('dropConnections', {
      devices: share,
      atMs: places.map((place) => times[place] ?? startMs),
      how: spec.how,
    });
  }
  await delay(leadMs + spec.within + 100, undefined, { signal });
  const missing = await waitForOnline(context, devices, spec.timeout);
  const lastBackMs = context.clock.now() - startMs;
  return {
    passed: missing === 0,
    evidence: [
      `${devices.length} devices lost their connections within ${spec.within} ms`,
      missing === 0
        ? `all were connected again after ${(lastBackMs / 1000).toFixed(1)} s`
        : `${missing} were not connected after ${(lastBackMs / 1000).toFixed(1)} s`,
    ],
    figures: { devices: devices.length, missing, lastBackMs: Math.round(lastBackMs) },
  };
}

export async function runChurn(
  spec: PhaseOf<'churn'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  const { pool, seed, name, signal } = context;
  const order = shuffled(connectedDevices(context, spec.groups), seeded(seed, 'churn', name));
  const startMs = context.clock.now() + leadMs;
  // No device disconnects again before it had time to reconnect.
  const turns = Math.min(
    Math.floor((spec.duration / 1000) * spec.rate),
    order.length * Math.max(1, Math.floor(spec.duration / (spec.away + 2000))),
  );
  const departures = Array.from({ length: order.length === 0 ? 0 : turns }, (_item, turn) => ({
    device: order[turn % order.length] ?? 0,
    atMs: startMs + (turn * 1000) / spec.rate,
  }));
  for (const { worker, devices, places } of pool.shares(departures.map(({ device }) => device))) {
    const atMs = places.map((place) => departures[place]?.atMs ?? startMs);
    await worker.call('churn', { devices, atMs, backAtMs: atMs.map((at) => at + spec.away) });
  }
  await delay(leadMs + spec.duration + spec.away, undefined, { signal });
  const missing = await waitForOnline(context, order, 30_000);
  return {
    evidence: [
      `devices disconnected ${departures.length} times for ${spec.away} ms`,
      missing === 0 ? 'all reconnected' : `${missing} did not reconnect`,
    ],
    figures: { turns: departures.length, missing },
  };
}

export async function runMassRenewal(
  spec: PhaseOf<'mass-renewal'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  serviceOf(context);
  const { pool, seed, name } = context;
  const random = seeded(seed, 'renewal', name);
  const all = shuffled(connectedDevices(context, spec.groups), random);
  const devices = all.slice(0, Math.round(all.length * spec.share));
  const startMs = context.clock.now() + leadMs;
  const results = await Promise.all(
    pool.shares(devices).map(async ({ worker, devices: share, places }) => {
      const atMs = places.map((place) => startMs + (place * spec.over) / devices.length);
      const onlyDue = spec.when === 'due';
      return await worker.call('renew', { devices: share, atMs, rekey: spec.rekey, onlyDue });
    }),
  );
  const failed = results.flatMap((result) => result.failed);
  const notDue = results.reduce((sum, result) => sum + result.notDue, 0);
  const renewed = devices.length - failed.length - notDue;
  await delay(300);
  const missing = await waitForOnline(context, devices, spec.timeout);
  const reasons = [...new Set(failed.map(({ reason }) => reason))];
  const elapsedMs = context.clock.now() - startMs;
  return {
    passed: failed.length === 0 && missing === 0,
    evidence: [
      `${renewed} of ${devices.length} devices renewed${spec.rekey ? ' with a new key' : ''} in ${(elapsedMs / 1000).toFixed(1)} s`,
      ...(notDue > 0 ? [`${notDue} are not due for renewal yet`] : []),
      ...(reasons.length > 0 ? [`rejected: ${reasons.slice(0, 5).join(', ')}`] : []),
      missing === 0 ? 'all reconnected with the new certificate' : `${missing} did not reconnect`,
    ],
    figures: {
      renewed,
      failed: failed.length,
      notDue,
      missing,
      elapsedMs: Math.round(elapsedMs),
    },
  };
}

/** Waits until devices are online, at most `timeoutMs`. Resolves with the number that are not. */
export async function waitForOnline(
  { pool }: PhaseContext,
  devices: readonly number[],
  timeoutMs: number,
): Promise<number> {
  const parts = await Promise.all(
    pool
      .shares(devices)
      .map(({ worker, devices: share }) =>
        worker.call('awaitOnline', { devices: share, timeoutMs }),
      ),
  );
  return parts.reduce((sum, { missing }) => sum + missing.length, 0);
}
