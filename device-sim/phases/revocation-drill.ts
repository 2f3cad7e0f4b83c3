/**
 * `revocation-drill`: revokes connected devices, measures how long they stay connected, and checks that
 * they can neither reconnect (with a new and with a resumed TLS session) nor renew.
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

/** Extra time after the limit, to distinguish a late disconnect from none. */
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
  const targets = order.slice(0, spec.devices);
  if (targets.length === 0) {
    return { passed: false, evidence: ['no device was connected'], figures: {} };
  }
  // They are no longer expected to be connected.
  for (const device of targets) fleet.retired.add(device);
  for (const { worker, devices } of pool.shares(targets))
    await worker.call('keepSessions', { devices });
  await delay(100, undefined, { signal });
  await waitForOnline(context, targets, 20_000);
  // Session tickets are sent after the handshake.
  await delay(200, undefined, { signal });
  const bystanders = await watchBystanders(context, targets);
  const results: RevokedDevice[] = [];
  for (const device of targets) {
    if (signal.aborted) break;
    results.push(await revokeOne(device, spec, context));
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
  // A round trip ensures that the watch is active before the revocation.
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
    onlyDue: false,
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

/** Judges the drill. Pure. */
export function judgeRevocation(
  targets: readonly RevokedDevice[],
  limitMs: number,
  drops: number,
): PhaseOutcome {
  const times = targets.flatMap(({ disconnectMs }) => disconnectMs ?? []).toSorted((a, b) => a - b);
  const never = targets.length - times.length;
  const slowest = times.at(-1) ?? Infinity;
  const accepted = (pick: (device: RevokedDevice) => AttemptResult): number =>
    targets.filter((device) => pick(device).outcome === 'accepted').length;
  const returned = accepted(({ fresh }) => fresh);
  const returnedResumed = accepted(({ resumed }) => resumed);
  const offered = targets.filter(({ resumed }) => resumed.resumeOffered).length;
  const atTls = targets.filter(({ resumed }) => resumed.resumed).length;
  const renewed = targets.filter(({ renewal }) => renewal === undefined).length;
  const reasons = (pick: (device: RevokedDevice) => string): string =>
    [...new Set(targets.map(pick))].join(', ');
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
        ? `${targets.length} revoked devices were disconnected within ${slowest.toFixed(0)} ms (limit ${limitMs} ms); reason: ${reasons(({ reason }) => reason)}`
        : `${never} of ${targets.length} revoked devices were still connected ${graceMs} ms after the limit of ${limitMs} ms`,
      returned === 0
        ? `none could reconnect: ${reasons(({ fresh }) => fresh.reason)}`
        : `${returned} could reconnect`,
      offered === 0
        ? 'the broker had sent no TLS session ticket'
        : returnedResumed === 0
          ? `none of ${offered} could reconnect with its previous TLS session, although TLS resumed ${atTls} of them: ${reasons(({ resumed }) => resumed.reason)}`
          : `${returnedResumed} of ${offered} reconnected with a resumed TLS session`,
      renewed === 0
        ? `none could renew: ${reasons(({ renewal }) => renewal ?? '')}`
        : `${renewed} could renew a revoked certificate`,
      bystanderEvidence(drops),
    ],
    figures: {
      devices: targets.length,
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
