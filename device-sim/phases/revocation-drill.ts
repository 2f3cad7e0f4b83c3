/**
 * `revocation-drill`: revokes live devices, measures until they are out, and proves that they stay
 * out: with a new TLS session, with the resumed one of before, and at the renewal.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { PhaseOf } from '../plan/phase-schema.ts';
import { seeded, shuffled } from '../plan/seed.ts';
import type { AttemptResult } from '../worker/protocol.ts';
import { bystanderEvidence, watchBystanders } from './bystanders.ts';
import {
  connectedDevices,
  serviceOf,
  type PhaseContext,
  type PhaseOutcome,
} from './phase-context.ts';
import { waitForOnline } from './reconnect-phases.ts';

/** How much longer than the limit is waited, to tell late from never. */
const graceMs = 5000;

interface RevokedDevice {
  readonly id: string;
  readonly disconnectMs: number | undefined;
  readonly reason: string;
  readonly fresh: AttemptResult;
  readonly resumed: AttemptResult;
  readonly renewal: string | undefined;
}

export async function runRevocationDrill(
  spec: PhaseOf<'revocation-drill'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  const { pool, fleet, seed, name, signal } = context;
  const order = shuffled(connectedDevices(context, spec.groups), seeded(seed, 'revocation', name));
  const victims = order.slice(0, spec.devices);
  if (victims.length === 0) {
    return { passed: false, evidence: ['no device was connected'], figures: {} };
  }
  // From now on nobody counts on them.
  for (const victim of victims) fleet.retired.add(victim);
  for (const { worker, devices } of pool.shares(victims))
    await worker.call('keepSessions', { devices });
  await delay(100, undefined, { signal });
  await waitForOnline(context, victims, 20_000);
  // Session tickets follow the handshake.
  await delay(200, undefined, { signal });
  const bystanders = await watchBystanders(context, victims);
  const results: RevokedDevice[] = [];
  for (const victim of victims) {
    if (signal.aborted) break;
    results.push(await revokeOne(victim, spec, context));
  }
  return judgeRevocation(results, spec.limit, await bystanders.drops());
}

async function revokeOne(
  device: number,
  spec: PhaseOf<'revocation-drill'>,
  context: PhaseContext,
): Promise<RevokedDevice> {
  const { pool, roster } = context;
  const api = serviceOf(context);
  const worker = pool.workerOf(device);
  const id = roster.idOf(device);
  const watched = worker.call('watchClose', { device, timeoutMs: spec.limit + graceMs });
  // The watch must stand before the call goes out.
  await worker.call('status', { devices: [device] });
  const askedMs = context.clock.now();
  const [closed] = await Promise.all([watched, api.revoke(id, spec.reason)]);
  await worker.call('disconnect', { devices: [device], how: 'abrupt' });
  const fresh = await worker.call('attempt', { device, resume: false, holdMs: 300 });
  const resumed = await worker.call('attempt', { device, resume: true, holdMs: 300 });
  const { failed } = await worker.call('renew', {
    devices: [device],
    atMs: [context.clock.now()],
    rekey: true,
  });
  return {
    id,
    disconnectMs: closed === null ? undefined : Math.max(0, closed.atMs - askedMs),
    reason: closed?.reason ?? 'still connected',
    fresh,
    resumed,
    renewal: failed[0]?.reason,
  };
}

/** Pure: what the drill proved. */
export function judgeRevocation(
  victims: readonly RevokedDevice[],
  limitMs: number,
  drops: number,
): PhaseOutcome {
  const times = victims.flatMap(({ disconnectMs }) => disconnectMs ?? []).toSorted((a, b) => a - b);
  const never = victims.length - times.length;
  const slowest = times.at(-1) ?? Infinity;
  const back = (pick: (victim: RevokedDevice) => AttemptResult): number =>
    victims.filter((victim) => pick(victim).outcome === 'accepted').length;
  const returned = back(({ fresh }) => fresh);
  const returnedResumed = back(({ resumed }) => resumed);
  const offered = victims.filter(({ resumed }) => resumed.resumeOffered).length;
  const atTls = victims.filter(({ resumed }) => resumed.resumed).length;
  const renewed = victims.filter(({ renewal }) => renewal === undefined).length;
  const words = (pick: (victim: RevokedDevice) => string): string =>
    [...new Set(victims.map(pick))].join(', ');
  const passed =
    never === 0 &&
    slowest <= limitMs &&
    returned === 0 &&
    returnedResumed === 0 &&
    renewed === 0 &&
    drops === 0;
  return {
    passed,
    evidence: [
      never === 0
        ? `${victims.length} revoked devices were out after ${slowest.toFixed(0)} ms at most (limit ${limitMs} ms); reason: ${words(({ reason }) => reason)}`
        : `${never} of ${victims.length} revoked devices were still connected ${graceMs} ms after the limit of ${limitMs} ms`,
      returned === 0
        ? `none could connect again: ${words(({ fresh }) => fresh.reason)}`
        : `${returned} could connect again`,
      offered === 0
        ? 'the broker had given no TLS session to resume'
        : returnedResumed === 0
          ? `none of ${offered} could return with its TLS session of before, though TLS itself resumed ${atTls} of them: ${words(({ resumed }) => resumed.reason)}`
          : `${returnedResumed} of ${offered} returned with a resumed TLS session`,
      renewed === 0
        ? `none could renew: ${words(({ renewal }) => renewal ?? '')}`
        : `${renewed} could renew a revoked certificate`,
      bystanderEvidence(drops),
    ],
    figures: {
      devices: victims.length,
      disconnectMaxMs: Number.isFinite(slowest) ? Math.round(slowest * 10) / 10 : -1,
      stillConnected: never,
      returned,
      returnedResumed,
      resumeOffered: offered,
      renewed,
      bystanderDrops: drops,
    },
  };
}
